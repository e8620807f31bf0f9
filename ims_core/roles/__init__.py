"""The roles of IMS as pure decisions (TS 24.229 section 5)."""
