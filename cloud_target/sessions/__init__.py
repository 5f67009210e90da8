"""The texts that the cache holds, found by their session's id, and who makes room for whom."""
