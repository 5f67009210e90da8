"""The target as the edge sees it: sessions over a link that may break, and what it said, checked."""
