"""Steering: what keeps a promise. A threshold on the doubt, moved by every audit; arithmetic alone."""
