"""`python -m cloud_target` is `cloud-target`."""

import sys

from cloud_target.cli import main

sys.exit(main())
