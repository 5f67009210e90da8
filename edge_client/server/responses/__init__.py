"""`/v1/responses`: the next turn of a conversation, which may be gone on with by its id."""
