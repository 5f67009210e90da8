"""Mode `auto`: who leads is decided by what was measured, and decided again while the text is written."""
