"""The demo, and the programs whose figures the documents quote."""

import sys

from shared.extras import explain_missing
from shared.interrupts import end_at_once
from shared.quiet import silence_libraries

if sys.argv[0] == "-m":  # one of these programs is being started, and loads its libraries next
    end_at_once()
silence_libraries()
explain_missing("this program", "edge,train")
