"""SDP, RTP, prompts, digits, recording and voice quality: the audio side of a call.

The interface is `media.api`; `media.supervisor` is the built-in implementation, `media.testing` one without I/O.
"""
