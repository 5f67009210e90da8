"""The target as a transformers model: loaded, tried, and run in passes over the texts of many sessions."""
