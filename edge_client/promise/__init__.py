"""The promise: how far a text may stray from the target's own, and what keeps it within that."""
