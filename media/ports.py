"""Which RTP ports of a worker's range are free."""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Callable, Iterable

from media.api import MediaUnavailable


class PortPool:
    """Hands out ports oldest first, so that late packets of an ended call do not meet a new one."""

    def __init__(self, ports: Iterable[int], bind: Callable[[int], socket.socket]) -> None:
        self._free = deque(ports)
        self._bind = bind
        self.total = len(self._free)

    @property
    def in_use(self) -> int:
        """Ports handed out."""
        return self.total - len(self._free)

    def take(self) -> socket.socket:
        """Bind a free port; those taken by other programs are skipped. Raises MediaUnavailable when none is left."""
        for _ in range(len(self._free)):
            port = self._free.popleft()
            try:
                return self._bind(port)
            except OSError as error:
                self._free.append(port)
                reason = error.strerror or str(error)
        raise MediaUnavailable(f"No RTP port can be bound: {reason}." if self._free else "No RTP port is free.")

    def give_back(self, port: int) -> None:
        """Return a port whose socket is closed."""
        self._free.append(port)
