"""`/v1/completions`: texts that go on from a prompt."""
