"""Training: a target, a draft distilled from it, and the verifier's head."""
