"""What is said sent on to a recording server, and described to it (RFC 7866, RFC 7865); signalling carries it."""
