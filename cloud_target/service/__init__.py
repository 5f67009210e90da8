"""The target as a service: sessions, the protocol without I/O, and the gRPC server around it."""
