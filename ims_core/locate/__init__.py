"""Finding the next hop and getting a request there (RFC 3263)."""
