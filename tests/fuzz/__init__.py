"""Any bytes at all: a message or a ``SipError``, and nothing left behind."""
