"""What is wrong on this device or on the way to a target, and whether splitting pays here: one sentence a check."""
