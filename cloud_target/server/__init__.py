"""The target on a port: calls, streams and statuses, from `cloud-target serve` until it has drained."""
