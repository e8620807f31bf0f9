"""Readings from ``/proc``: CPU time and memory of a process tree, UDP drops.

Counters are cumulative; callers take two readings and subtract. The machine's own busy ticks (``/proc/stat``) are
not used: a kernel that accounts by ticks misses work which timers start, while a process's times stay exact.
"""

from __future__ import annotations

import os
from pathlib import Path

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
PROC = Path("/proc")


def tree(root: int) -> list[int]:
    """Return the process ids of `root` and all its living descendants, whichever thread started them."""
    found: list[int] = []
    pending = [root]
    while pending:
        pid = pending.pop()
        found.append(pid)
        try:
            for task in (PROC / str(pid) / "task").iterdir():
                pending.extend(int(child) for child in (task / "children").read_text().split())
        except OSError:
            continue  # it ended while we looked
    return found


def cpu_seconds(root: int) -> float:
    """Return the user and system CPU seconds that the tree under `root` has used so far.

    The times of children that ended and were waited for are part of their parent's (`cutime`, `cstime`).
    """
    ticks = 0
    for pid in tree(root):
        try:
            stat = (PROC / str(pid) / "stat").read_text()
        except OSError:
            continue
        # The command name may hold blanks and parentheses; utime is the 12th field behind it (proc(5)).
        utime, stime, cutime, cstime = stat.rpartition(")")[2].split()[11:15]
        ticks += int(utime) + int(stime) + int(cutime) + int(cstime)
    return ticks / TICKS_PER_SECOND


def proportional_memory(root: int) -> int:
    """Return the bytes of memory of the tree under `root`; pages shared by n processes count 1/n (Pss)."""
    total = 0
    for pid in tree(root):
        try:
            lines = (PROC / str(pid) / "smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
    return total


def udp_drops() -> int:
    """Return how many datagrams this machine has dropped because a socket's receive buffer was full."""
    names, values = (line.split() for line in (PROC / "net/snmp").read_text().splitlines() if line.startswith("Udp:"))
    return int(values[names.index("RcvbufErrors")])
