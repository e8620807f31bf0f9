"""Samples the main thread of every Python process that has this directory on its path, children included.

Active when IMS_ACD_SAMPLES names a directory: each process leaves a file ``<pid>.txt`` there, rewritten every few
seconds and at the end: its command line, the CPU seconds of the process and of its main thread, then
one collapsed stack a line with its number of samples (``outer;inner 12``).

The timer runs on real time, because the kernel's CPU-time timers tick coarsely and in step with the load. Samples
taken while the event loop waits are sorted out by `benchmarks.profile`. A signal that arrives within C code is
noticed when Python code runs next: the time that uvloop takes to receive a datagram shows at the callback it calls.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
import time
from collections import Counter
from pathlib import Path
from types import CodeType, FrameType

INTERVAL_SECONDS = 0.00137  # in step with nothing else
WRITE_SECONDS = 3.0

_stacks: Counter[tuple[CodeType, ...]] = Counter()
_written = time.monotonic()


def _name(code: CodeType) -> str:
    return f"{code.co_filename}:{code.co_qualname}"


def _write() -> None:
    signal.setitimer(signal.ITIMER_REAL, 0)  # a sample must not be taken within
    lines = [" ".join(sys.orig_argv), f"{time.process_time()} {time.thread_time()}"]
    lines += [f"{';'.join(map(_name, stack))} {count}" for stack, count in _stacks.copy().items()]
    unfinished = Path(os.environ["IMS_ACD_SAMPLES"]) / f"{os.getpid()}.part"
    unfinished.write_text("\n".join(lines) + "\n")
    unfinished.rename(unfinished.with_suffix(".txt"))


def _sample(_: int, frame: FrameType | None) -> None:
    global _written  # noqa: PLW0603 - a signal handler has no better place
    codes = []
    while frame is not None:
        codes.append(frame.f_code)
        frame = frame.f_back
    _stacks[tuple(reversed(codes))] += 1
    now = time.monotonic()
    if now - _written > WRITE_SECONDS:
        _written = now
        _write()
        signal.setitimer(signal.ITIMER_REAL, INTERVAL_SECONDS, INTERVAL_SECONDS)


if os.environ.get("IMS_ACD_SAMPLES"):
    signal.signal(signal.SIGALRM, _sample)
    signal.siginterrupt(signal.SIGALRM, False)
    signal.setitimer(signal.ITIMER_REAL, INTERVAL_SECONDS, INTERVAL_SECONDS)
    atexit.register(_write)
