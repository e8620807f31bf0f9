"""Bytes between sockets and the element (RFC 3261 section 18)."""
