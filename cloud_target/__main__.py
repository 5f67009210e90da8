import sys

from cloud_target.cli import main

sys.exit(main())
