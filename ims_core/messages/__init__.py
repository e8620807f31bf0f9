"""What is on the wire: URIs, header values, messages (RFC 3261 sections 7, 19, 20 and 25)."""
