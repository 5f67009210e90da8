"""The demo, and the programs whose figures the documents quote."""
