"""What both sides must agree on, to the bit."""
