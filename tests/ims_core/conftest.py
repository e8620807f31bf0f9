"""What tests of several parts share."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from ims_core.element import Element

PATIENCE = 20.0  # until a test that hangs is broken off
STEPS = 10_000  # of timers, until an element counts as busy for ever


@pytest.fixture
def nothing_left(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Tasks of an element's calls end while it is there; what else it has left runs out, in no time, after the test.

    Elements whose sockets are closed before are spared the first.
    """
    left: list[Element] = []
    leave = Element.__aexit__

    async def settled(element: Element, *how: Any) -> None:
        left.append(element)
        going_on: set[asyncio.Task[None]] = set()
        if how[0] is None and element._tasks and element.stack._node is not None:
            _, going_on = await asyncio.wait(element._tasks, timeout=PATIENCE)
        await leave(element, *how)
        assert not going_on

    monkeypatch.setattr(Element, "__aexit__", settled)
    yield
    for element in left:
        run_out(element)


def run_out(element: Element) -> None:
    """Have all its timers run out, its messages reaching nobody: no task, dialog, transaction or timer may be left."""
    node = element.node
    for _ in range(STEPS):
        node.data_to_send()
        deadline = node.next_deadline()
        if deadline is None:
            break
        node.endpoint.clock = partial(float, deadline)
        node.handle_timer()
    assert not element._tasks
    assert node.endpoint.transactions() == {"client": 0, "server": 0}
    assert node.next_deadline() is None
    assert len(node.ua) == len(node.ua.usages) == len(node.ua._calls) == 0
    assert not node.proxy.active
