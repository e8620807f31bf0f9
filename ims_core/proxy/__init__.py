"""The proxy core (RFC 3261 section 16)."""
