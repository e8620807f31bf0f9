"""Media that only its two ends can read: SRTP with keys from SDP or DTLS, and the checks of ICE before either."""
