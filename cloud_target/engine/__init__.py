"""The target as an engine: it is fed tokens, keeps their keys and values by slot, and says what it thinks of them."""
