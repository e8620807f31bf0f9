"""RTP without sockets: packets, what is counted of them, and events."""
