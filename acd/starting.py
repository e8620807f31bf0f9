"""Why a server does not start."""


class CannotStart(Exception):
    """The server cannot start; the message is one line."""
