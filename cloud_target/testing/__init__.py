"""A target without a model and without a port, for tests of whatever asks one."""
