"""``python -m benchmarks.training``: what the server does most, for a compiler that watches (scripts/compile).

A little of each load of `make bench` for our own servers only. Nothing is measured; a part that cannot be done ends it
with exit 1.
"""

from __future__ import annotations

import sys

from benchmarks import decisions, loads, ours
from benchmarks.processes import BenchmarkError, temporary_directory
from benchmarks.sampling import Sampler, Scale

SHORT = Scale(rounds=1, share=0.25)
SESSIONS = 50


def work() -> dict[str, Sampler]:
    """Return the loads by what they are."""
    engine = ours.start_engine({})
    return {
        "registrations": loads.registrations(engine),
        "registrations with digest": loads.registrations(ours.start_engine({}, ours.DIGEST), digest=True),
        "proxied calls": loads.proxied_calls(engine),
        "queue calls": loads.queued_calls(ours.start_clever_queue({}), ours.QUEUE_NUMBER),
        "relayed packets": loads.relayed_packets(ours.start_media_worker({}), SESSIONS),
        "recorded packets": loads.relayed_packets(ours.start_media_worker({}, recording=True), SESSIONS),
        "decisions": decisions.searches,
    }


def main() -> int:
    """Do all of it, a part after the other."""
    for name, load in work().items():
        try:
            with temporary_directory() as directory:
                units = load(directory, SHORT).units
        except BenchmarkError as error:
            print(f"training: {name}: {error}", file=sys.stderr)
            return 1
        if not units:
            print(f"training: {name}: nothing was done", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
