"""What tests of several transports share."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
import uvloop

from tests.kit.certificates import Authority


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Iterator[Callable[[Awaitable[None]], None]]:
    """Runs a coroutine on a loop of its own; what the loop complains about fails the test."""
    complaints: list[dict[str, Any]] = []
    factory = uvloop.new_event_loop if request.param == "uvloop" else asyncio.new_event_loop

    async def watched(main: Awaitable[None]) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        await main
        assert asyncio.all_tasks() == {asyncio.current_task()}, "a task is left over"

    with asyncio.Runner(loop_factory=factory) as runner:
        yield lambda main: runner.run(watched(main))
    assert [context for context in complaints if not isinstance(context.get("exception"), RuntimeError)] == []
