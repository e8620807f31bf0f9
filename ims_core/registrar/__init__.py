"""The registrar and the location service behind it (RFC 3261 section 10)."""
