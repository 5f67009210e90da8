"""Who may call, how they prove it, and how much one tenant may have."""
