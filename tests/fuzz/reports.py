"""What a fuzzer says when it is done."""

from __future__ import annotations


def runs(report: str) -> int:
    """Return how many inputs it has tried: sometimes one or two more than it was asked for."""
    return int(report.rpartition("Done ")[2].partition(" runs")[0])
