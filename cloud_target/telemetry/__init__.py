"""What operators see of a running target: metrics and logs, and no token of anybody's text."""
