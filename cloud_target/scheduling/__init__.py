"""Which feeds run together, and in what order, when many sessions want one device."""
