"""The demo, and the programs whose figures the documents quote."""

from shared.extras import explain_missing
from shared.quiet import silence_libraries

silence_libraries()
explain_missing("this program", "edge,train")
