"""Which RTP ports of a worker's range are free, bound for legs to come, or in use."""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Callable
from typing import NamedTuple


class Pair(NamedTuple):
    """The sockets of one leg: RTP on an even port, RTCP on the one above it (RFC 3550 11)."""

    rtp: socket.socket
    rtcp: socket.socket

    def close(self) -> None:
        """Free both ports."""
        self.rtp.close()
        self.rtcp.close()


class PortPool:
    """Binds pairs of ports, named by the even one, oldest first: late packets of an ended call meet no new one."""

    def __init__(self, ports: range, bind: Callable[[int], socket.socket]) -> None:
        self._ports = ports
        self._free = deque(ports)
        self._bound: dict[int, Pair] = {}
        self._taken: set[int] = set()
        self._bind = bind

    @property
    def total(self) -> int:
        """Ports that there are."""
        return len(self._ports)

    @property
    def in_use(self) -> int:
        """Ports that a leg has."""
        return len(self._taken)

    def assign(self, ports: range) -> None:
        """Have these ports from now on; legs keep what they have until they end."""
        self._ports = ports
        for port in [port for port in self._bound if port not in ports]:
            self._bound.pop(port).close()
        known = {*self._free, *self._bound, *self._taken}
        self._free = deque([*(port for port in self._free if port in ports), *(p for p in ports if p not in known)])

    def provide(self, count: int) -> tuple[list[int], str]:
        """Bind up to `count` free ports; returns them and, when there are fewer, why, in one sentence.

        Ports taken by other programs are skipped.
        """
        provided: list[int] = []
        reason = "No RTP port is free."
        for _ in range(len(self._free)):
            if len(provided) == count:
                break
            port = self._free.popleft()
            try:
                self._bound[port] = self._bind_pair(port)
            except OSError as error:
                self._free.append(port)
                reason = f"No RTP port can be bound: {error.strerror or error}."
            else:
                provided.append(port)
        return provided, "" if len(provided) == count else reason

    def take(self, port: int) -> Pair:
        """Return the sockets of a port that was provided. What came meanwhile is still to be read from them."""
        self._taken.add(port)
        return self._bound.pop(port)

    def give_back(self, port: int) -> None:
        """Return a port whose sockets are closed."""
        self._taken.discard(port)
        if port in self._ports:
            self._free.append(port)

    def close(self) -> None:
        """Free the ports that no leg has taken."""
        for port, pair in self._bound.items():
            pair.close()
            self._free.append(port)
        self._bound.clear()

    def _bind_pair(self, port: int) -> Pair:
        """Bind both ports or none. Raises OSError."""
        rtp = self._bind(port)
        try:
            return Pair(rtp, self._bind(port + 1))
        except OSError:
            rtp.close()
            raise
