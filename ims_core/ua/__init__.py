"""User agents: dialogs and what happens within them (RFC 3261 sections 8, 12 to 15)."""
