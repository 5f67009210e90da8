"""From any pair of models to a finished bundle: one command, which can be interrupted."""
