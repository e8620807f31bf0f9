"""Worker processes: started, used over the control connection, replaced when they die, never left behind."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from media.api import (
    Digit,
    Lost,
    MediaError,
    MediaEvent,
    MediaUnavailable,
    NotAcceptable,
    PlayFinished,
)
from media.builtin.supervisor import MediaSupervisor
from media.sdp.description import parse
from media.settings import MediaSettings
from media.testing import FakeMedia

from .conftest import Phone, until


def sdp(port: int, formats: str = "0 8 101") -> str:
    return (
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
        f"m=audio {port} RTP/AVP {formats}\r\na=rtpmap:101 telephone-event/8000\r\n"
    )


def port_of(text: str) -> int:
    return parse(text).media[0].port


def running(pid: int) -> bool:
    """Tell whether the process exists and is no zombie."""
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except FileNotFoundError:
        return False


def settings(ports: Any, directory: Path, count: int = 20, **changes: Any) -> MediaSettings:
    first = ports.block(count)
    return MediaSettings(port_min=first, port_max=first + count - 1, prompt_directories=(str(directory),), **changes)


async def performed(media: MediaSupervisor) -> None:
    """Wait until the worker has performed all commands so far: it answers in order."""
    await (await media.open("barrier", print)).close()


@pytest.fixture
async def media(ports: Any, prompt_directory: Path) -> AsyncIterator[MediaSupervisor]:
    media = MediaSupervisor(settings(ports, prompt_directory))
    await media.start()
    yield media
    await media.stop()


@pytest.fixture
def phones() -> Iterator[Callable[[], Phone]]:
    """Phones that are put down at the end."""
    made: list[Phone] = []

    def make() -> Phone:
        made.append(Phone())
        return made[-1]

    yield make
    for phone in made:
        phone.close()


@pytest.fixture
def phone(phones: Callable[[], Phone]) -> Phone:
    return phones()


async def test_a_call_through_a_worker_process(
    media: MediaSupervisor, phones: Callable[[], Phone], tmp_path: Path
) -> None:
    phone = phones()
    events: list[MediaEvent] = []
    agent = phones()
    caller_leg = await media.open("caller", events.append, offer=sdp(phone.port, "8 101"))
    agent_leg = await media.open("agent", events.append, like=caller_leg)
    assert parse(agent_leg.local_sdp).media[0].formats == ["8", "0", "101"]
    agent_leg.accept(sdp(agent.port, "8 101"))

    caller_leg.play(["tone", "long"], interruptible=True, token=5)
    await until(lambda: len(phone.read()) > 6)
    phone.press(port_of(caller_leg.local_sdp), 2)
    await until(lambda: len(events) == 2)
    assert events[0] == Digit("2")
    assert isinstance(events[1], PlayFinished)
    assert (events[1].token, events[1].interrupted) == (5, True)

    path = tmp_path / "call.wav"
    caller_leg.bridge(agent_leg, record=str(path))
    await performed(media)
    agent.send(port_of(agent_leg.local_sdp), b"from agent", payload_type=8)
    await until(lambda: b"from agent" in phone.payloads())
    phone.send(port_of(caller_leg.local_sdp), b"from caller", payload_type=8)
    await until(lambda: b"from caller" in agent.payloads())

    assert (await agent_leg.measure()).packets_received == 1
    report, agent_report = await asyncio.gather(caller_leg.close(), agent_leg.close())
    assert report.recording == str(path)
    assert path.stat().st_size > 44
    assert (report.codec, report.packets_received, agent_report.packets_received) == ("PCMA", 7, 0)
    assert await caller_leg.close() == await caller_leg.measure() == report
    await until(lambda: media.counters().packets_received == 8, "heartbeat")
    counters = media.counters()
    assert (counters.legs, counters.ports_in_use, counters.playing, counters.recordings) == (0, 0, 0, 0)
    assert (counters.workers, counters.workers_healthy, counters.ports_total) == (1, 1, 10)


async def test_a_leg_may_be_reoffered_either_way(media: MediaSupervisor, phone: Phone) -> None:
    leg = await media.open("a", print, offer=sdp(phone.port))
    held = await leg.reoffer(sdp(phone.port) + "a=sendonly\r\n")
    assert "a=recvonly\r\n" in held
    ours = await leg.reoffer(None)
    assert "a=sendrecv\r\n" in ours
    assert leg.local_sdp == ours
    leg.accept(sdp(phone.port))
    with pytest.raises(NotAcceptable):
        await leg.reoffer(sdp(phone.port, "18"))
    leg.echo()
    await performed(media)
    phone.send(port_of(ours))
    await until(phone.read)
    await leg.close()


async def test_unusable_sdp_opens_nothing(media: MediaSupervisor) -> None:
    for offer in ("", "nonsense", sdp(4000, "18")):
        with pytest.raises(NotAcceptable):
            await media.open("a", print, offer=offer)
    leg = await media.open("a", print)
    with pytest.raises(NotAcceptable):
        leg.accept(sdp(4000, "18"))
    await leg.close()
    with pytest.raises(MediaError):
        leg.bridge(leg)


async def test_no_free_port_is_unavailable_and_a_cancelled_open_keeps_none(media: MediaSupervisor) -> None:
    legs = [await media.open(str(number), print) for number in range(9)]
    await legs.pop().close()
    opening = [asyncio.create_task(media.open(str(number), print)) for number in range(8, 11)]
    await asyncio.sleep(0)
    for task in opening[1:]:
        task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening[2]
    legs += [await opening[0], await media.open("last", print)]
    with pytest.raises(MediaUnavailable):
        await media.open("one too many", print)
    assert media.healthy()
    await legs[0].close()
    again = await media.open("again", print)
    for leg in (*legs, again):
        await leg.close()


async def test_legs_spread_over_workers_and_stay_beside_their_like(ports: Any, prompt_directory: Path) -> None:
    media = MediaSupervisor(settings(ports, prompt_directory, count=40, workers=2))
    await media.start()
    try:
        first, second = [await media.open(name, print) for name in "ab"]
        near = await media.open("c", print, like=second)
        middle = (min(map(port_of, (first.local_sdp, second.local_sdp))) // 20) * 20
        assert middle
        assert abs(port_of(first.local_sdp) - port_of(second.local_sdp)) >= 20
        assert abs(port_of(near.local_sdp) - port_of(second.local_sdp)) < 20
        first.bridge(second)
        second.bridge(near)
        with pytest.raises(MediaError):
            await media.open("d", print, like=await FakeMedia().open("x", print))
        assert media.counters().workers_healthy == 2
    finally:
        await media.stop()


async def test_a_dead_worker_loses_its_legs_cleanly_and_is_replaced(media: MediaSupervisor, phone: Phone) -> None:
    events: list[MediaEvent] = []
    leg = await media.open("a", events.append, offer=sdp(phone.port))
    other = await media.open("b", events.append, like=leg)
    phone.send(port_of(leg.local_sdp))
    await until(lambda: media.counters().packets_received == 1)
    (pid,) = media.worker_pids()
    closing = asyncio.ensure_future(other.close())
    os.kill(pid, signal.SIGKILL)
    await until(lambda: not media.healthy())
    with pytest.raises(MediaUnavailable):
        await media.open("c", print)
    with pytest.raises(MediaUnavailable):
        await media.open("c", print, like=leg)
    await closing
    assert [type(event) for event in events] == [Lost]
    leg.play(["tone"])
    assert (await leg.close()).mos is None
    await until(media.healthy, "replacement")
    counters = media.counters()
    assert (counters.worker_restarts, counters.legs, counters.ports_in_use) == (1, 0, 0)
    assert counters.packets_received == 1
    assert media.worker_pids() != [pid]
    assert not running(pid)
    again = await media.open("d", print, offer=sdp(phone.port))
    await again.close()


async def test_a_worker_that_hangs_is_killed_and_replaced(
    media: MediaSupervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("media.builtin.slot.SILENT_SECONDS", 1.5)
    monkeypatch.setattr("media.builtin.slot.STOP_SECONDS", 0.05)
    events: list[MediaEvent] = []
    await media.open("a", events.append)
    (pid,) = media.worker_pids()
    os.kill(pid, signal.SIGSTOP)
    await until(lambda: events, "loss")
    assert [type(event) for event in events] == [Lost]
    await until(lambda: media.healthy() and media.worker_pids() != [pid], "replacement")
    assert not running(pid)


async def test_signals_meant_for_the_engine_do_not_end_a_worker(media: MediaSupervisor, phone: Phone) -> None:
    (pid,) = media.worker_pids()
    os.kill(pid, signal.SIGINT)
    os.kill(pid, signal.SIGTERM)
    leg = await media.open("a", print, offer=sdp(phone.port))
    leg.echo()
    await performed(media)
    phone.send(port_of(leg.local_sdp))
    await until(phone.read)
    await leg.close()
    assert media.worker_pids() == [pid]


async def test_stop_leaves_no_process_and_tells_open_legs(ports: Any, prompt_directory: Path) -> None:
    media = MediaSupervisor(settings(ports, prompt_directory))
    await media.start()
    events: list[MediaEvent] = []
    leg = await media.open("a", events.append)
    (pid,) = media.worker_pids()
    await media.stop()
    assert not running(pid)
    assert [type(event) for event in events] == [Lost]
    await leg.close()
    assert not media.healthy()
    with pytest.raises(MediaUnavailable):
        await media.open("b", print)


async def test_a_worker_outlives_no_engine(ports: Any) -> None:
    first = ports.block(4)
    program = (
        "import asyncio, os\n"
        "from media.settings import MediaSettings\n"
        "from media.builtin.supervisor import MediaSupervisor\n"
        "async def main():\n"
        f"    media = MediaSupervisor(MediaSettings(port_min={first}, port_max={first + 3}, prompt_directories=()))\n"
        "    await media.start()\n"
        "    await media.open('a', print)\n"
        "    print(media.worker_pids()[0], flush=True)\n"
        "    os._exit(9)\n"
        "asyncio.run(main())\n"
    )
    engine = await asyncio.create_subprocess_exec(sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE)
    async with asyncio.timeout(30):
        output, _ = await engine.communicate()
    assert engine.returncode == 9
    pid = int(output.split()[-1])
    await until(lambda: not running(pid), "end of the worker")


async def test_an_address_that_is_not_ours_is_told_at_the_start(ports: Any, prompt_directory: Path) -> None:
    media = MediaSupervisor(settings(ports, prompt_directory, bind="192.0.2.1"))
    with pytest.raises(MediaUnavailable, match=r"192\.0\.2\.1"):
        await media.start()


async def test_a_worker_that_does_not_start_is_told(
    ports: Any, prompt_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("media.builtin.slot.sys.executable", "/bin/false")
    media = MediaSupervisor(settings(ports, prompt_directory))
    with pytest.raises(MediaUnavailable):
        await media.start()
    assert media.worker_pids() == []
