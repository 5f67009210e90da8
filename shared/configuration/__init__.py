"""Where the values of options come from: flags, the environment, a file, or their defaults."""
