"""SDP, RTP, prompts, digits, recording and voice quality: the audio side of a call.

The interface is `media.api`; `media.builtin.supervisor` runs the built-in workers, `media.testing` does no I/O at all.
"""
