"""What one request does to a session, without network, threads or clock."""
