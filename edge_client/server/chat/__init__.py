"""`/v1/chat/completions`: the next turn of a conversation."""
