"""Keys of a telephone: heard in audio, made as tones, sent to a peer, and told apart whatever way they come."""
