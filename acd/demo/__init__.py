"""The demonstration: an engine, five callers and two agents, all in processes of their own, on loopback addresses.

story       who phones whom, when, and what must come of it
phones      baresip, or phones of ours (phone, softphone, talker), controlled alike
server      the engine's process and its HTTP interface
show        plays the story
screen      what is seen meanwhile
performance all of it from the start to the verdict
"""

from collections.abc import Sequence
from importlib import import_module


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demonstration with these arguments and return the exit status."""
    return int(import_module("acd.demo.performance").main(argv))
