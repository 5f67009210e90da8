"""The sessions that the target holds: found by their text, leased to one stream at a time, and evicted for room."""
