"""A media worker: the process that receives, relays, plays and sends."""
