"""A draft for any target: the target itself with fewer layers, or a smaller model of its family, distilled from it."""
