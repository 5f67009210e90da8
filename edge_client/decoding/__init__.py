"""The loop that writes a text: draft, verify, commit."""
