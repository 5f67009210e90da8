"""Values on a command line: read, checked, and refused in one sentence."""
