"""Who may do what: authentication (RFC 3261 section 22)."""
