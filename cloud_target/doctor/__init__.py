"""Is this machine fit to serve, is the configuration sound, and does a running target answer: one sentence a check."""
