"""What operators see of a running target: metrics, logs and spans, and no token of anybody's text."""
