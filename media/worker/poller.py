"""Readiness of many RTP sockets through one epoll instance, itself watched by the event loop."""

from __future__ import annotations

import select
from asyncio import AbstractEventLoop
from collections.abc import Callable

_BATCH = 256


class Poller:
    """Calls a function for each readable socket, level-triggered, one call per socket and turn.

    libuv ends a poll for good when the kernel reports an error on the descriptor, as it does for every ICMP "port
    unreachable" that a connected UDP socket gets. Here such a socket is merely reported as ready and its next recv
    tells the error.
    """

    def __init__(self, loop: AbstractEventLoop) -> None:
        self._loop = loop
        self._epoll = select.epoll()
        self._callbacks: dict[int, Callable[[], None]] = {}
        loop.add_reader(self._epoll.fileno(), self._ready)

    def watch(self, descriptor: int, callback: Callable[[], None]) -> None:
        """Call `callback` whenever the descriptor is readable or in error; it must read once."""
        if descriptor not in self._callbacks:
            self._epoll.register(descriptor, select.EPOLLIN)
        self._callbacks[descriptor] = callback

    def forget(self, descriptor: int) -> None:
        """Stop watching; to be called before the descriptor is closed."""
        if self._callbacks.pop(descriptor, None) is not None:
            self._epoll.unregister(descriptor)

    def close(self) -> None:
        """Free the epoll instance."""
        self._loop.remove_reader(self._epoll.fileno())
        self._epoll.close()

    def _ready(self) -> None:
        callbacks = self._callbacks
        for descriptor, _ in self._epoll.poll(0, _BATCH):
            callback = callbacks.get(descriptor)
            if callback is not None:
                callback()
