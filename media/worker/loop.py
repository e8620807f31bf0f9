"""The event loop of a worker: asyncio's, in which packets are served while it waits for everything else."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable
from contextvars import Context
from typing import TypeVarTuple

from media.worker.poller import Poller

Arguments = TypeVarTuple("Arguments")


class WorkerLoop(asyncio.SelectorEventLoop):
    """An event loop whose `poller` reads RTP within the wait for other events.

    A packet then costs no turn of the loop, and one call of epoll instead of two: the selector's own epoll is one of
    the poller's descriptors. What a packet has the loop do, now or later, ends the wait. The poller is closed with it.
    """

    def __init__(self) -> None:
        self.poller = Poller()
        super().__init__(_Selector(self.poller, self._failed))

    def call_soon(
        self, callback: Callable[[*Arguments], object], *args: *Arguments, context: Context | None = None
    ) -> asyncio.Handle:
        """Call back in the next turn."""
        self.poller.interrupt()
        return super().call_soon(callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[[*Arguments], object], *args: *Arguments, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Call back at a time."""
        self.poller.interrupt()
        return super().call_at(when, callback, *args, context=context)

    def _failed(self, error: Exception) -> None:
        self.call_exception_handler({"message": "A packet could not be handled.", "exception": error})


class _Selector(selectors.EpollSelector):
    def __init__(self, poller: Poller, failed: Callable[[Exception], None]) -> None:
        super().__init__()
        self._poller = poller
        self._failed = failed
        self._others = False
        poller.watch(self.fileno(), self._ready)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self._others = False
        try:
            self._poller.wait(timeout)
        except Exception as error:  # noqa: BLE001 - one packet must not end the loop
            self._failed(error)
        return super().select(0) if self._others else []

    def close(self) -> None:
        self._poller.forget(self.fileno())
        super().close()
        self._poller.close()

    def _ready(self) -> None:
        self._others = True
        self._poller.interrupt()
