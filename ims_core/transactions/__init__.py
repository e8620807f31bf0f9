"""The transaction layer and its timers (RFC 3261 section 17, RFC 6026, RFC 4320)."""
