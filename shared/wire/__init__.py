"""The wire contract as Python: stubs generated from `proto/` in `v1`, and small functions around them in `codec`."""
