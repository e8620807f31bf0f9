"""The synchronous heart of call distribution: events and the time in, actions and facts out; no I/O, no clock."""
