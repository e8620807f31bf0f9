"""The workers are stopped at an awkward moment: no process is left behind."""

import asyncio
import os
import signal
from asyncio.subprocess import Process
from pathlib import Path
from typing import Any

import pytest

from media.api import MediaEvent
from media.builtin.supervisor import MediaSupervisor

from .conftest import until
from .test_supervisor import running, settings


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[asyncio.Future[Process]]:
    """Return the workers whose start began."""
    spawned: list[asyncio.Future[Process]] = []
    spawn = asyncio.create_subprocess_exec

    async def noting(*args: Any, **keywords: Any) -> Process:
        spawned.append(asyncio.ensure_future(spawn(*args, **keywords)))
        return await spawned[-1]

    monkeypatch.setattr("media.builtin.slot.asyncio.create_subprocess_exec", noting)
    return spawned


async def test_while_a_worker_that_hangs_is_waited_for(
    ports: Any, prompt_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("media.builtin.slot.SILENT_SECONDS", 1.5)
    monkeypatch.setattr("media.builtin.slot.STOP_SECONDS", 1.0)
    media = MediaSupervisor(settings(ports, prompt_directory))
    await media.start()
    events: list[MediaEvent] = []
    await media.open("a", events.append)
    (pid,) = media.worker_pids()
    os.kill(pid, signal.SIGSTOP)
    await until(lambda: events, "loss")
    await media.stop()
    assert not running(pid)


async def test_while_a_worker_that_drained_is_waited_for(ports: Any, prompt_directory: Path) -> None:
    media = MediaSupervisor(settings(ports, prompt_directory, workers=2))
    await media.start()
    pids = media.worker_pids()
    media.drain("1")
    await until(lambda: len(media.members()) == 1, "the end of the drain")
    await media.stop()
    assert not any(map(running, pids))


@pytest.mark.parametrize("turns", [0, 1, 2, 5])
async def test_while_the_successor_of_a_killed_worker_is_started(
    ports: Any, prompt_directory: Path, begun: list[asyncio.Future[Process]], turns: int
) -> None:
    media = MediaSupervisor(settings(ports, prompt_directory))
    await media.start()
    os.kill(media.worker_pids()[0], signal.SIGKILL)
    await until(lambda: len(begun) == 2, "the start of another")
    for _ in range(turns):
        await asyncio.sleep(0)
    await media.stop()
    assert all(one.done() for one in begun)
    assert not any(running(one.result().pid) for one in begun)


async def test_while_no_successor_can_be_started(
    ports: Any, prompt_directory: Path, begun: list[asyncio.Future[Process]], monkeypatch: pytest.MonkeyPatch
) -> None:
    media = MediaSupervisor(settings(ports, prompt_directory))
    await media.start()
    tried = asyncio.Event()

    async def failing(*args: Any, **keywords: Any) -> Process:
        tried.set()
        await asyncio.sleep(0)
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr("media.builtin.slot.asyncio.create_subprocess_exec", failing)
    os.kill(media.worker_pids()[0], signal.SIGKILL)
    async with asyncio.timeout(30):
        await tried.wait()
        await media.stop()
    assert media.worker_pids() == []
