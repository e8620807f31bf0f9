"""Who speaks: loudness of packets, and what it tells of a conversation."""
