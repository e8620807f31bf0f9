"""Readiness of many RTP sockets, without a turn of the event loop for each packet."""

from __future__ import annotations

import math
import select
import time
from collections.abc import Callable

from media.worker import wire


class Poller:
    """Calls a function for each readable socket, level-triggered, one call per socket and turn.

    It waits as well, for the event loop of the process (`media.worker.loop`), which `interrupt` ends the wait for. In
    another loop have `fileno` watched, and `turn` called when it is readable.
    """

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._callbacks: list[Callable[[], None] | None] = []  # by descriptor
        self._interrupted = False

    def fileno(self) -> int:
        """Return the descriptor that is readable whenever a socket is."""
        return self._epoll.fileno()

    def watch(self, descriptor: int, callback: Callable[[], None]) -> None:
        """Call `callback` whenever the descriptor is readable or in error; it must read once."""
        callbacks = self._callbacks
        callbacks += [None] * (descriptor + 1 - len(callbacks))
        if callbacks[descriptor] is None:
            self._epoll.register(descriptor, select.EPOLLIN)
        callbacks[descriptor] = callback

    def forget(self, descriptor: int) -> None:
        """Stop watching; to be called before the descriptor is closed."""
        if 0 <= descriptor < len(self._callbacks) and self._callbacks[descriptor] is not None:
            self._callbacks[descriptor] = None
            self._epoll.unregister(descriptor)

    def close(self) -> None:
        """Free the epoll instance."""
        self._epoll.close()

    def interrupt(self) -> None:
        """End a `wait` after the turn that it is in."""
        self._interrupted = True

    def wait(self, seconds: float | None) -> None:
        """Serve sockets for so long (None: without end), or until it is interrupted."""
        self._interrupted = False
        deadline = math.inf if seconds is None else time.monotonic() + seconds
        remaining = seconds
        while True:
            self.turn(remaining)
            if self._interrupted:
                return
            if seconds is not None:
                remaining = deadline - time.monotonic()
                if remaining <= 0:
                    return

    def turn(self, seconds: float | None = 0.0) -> None:
        """Serve each socket that becomes readable within so many seconds once."""
        callbacks = self._callbacks
        # Milliseconds, rounded up: less than one would be a busy loop.
        patience = -1 if seconds is None else max(math.ceil(seconds * 1000), 0)
        for place in range(wire.wait(self._epoll, patience)):
            callback = callbacks[wire.ready(place)]
            if callback is not None:
                callback()
