"""Many simulated edges against a target over real gRPC streams: what it can carry, and how long it takes to answer."""
