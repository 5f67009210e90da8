"""The bundle that a target offers to its edges."""
