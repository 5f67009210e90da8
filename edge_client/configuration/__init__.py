"""What may be configured on a device; how, it has in common with the cloud (`shared.configuration`)."""
