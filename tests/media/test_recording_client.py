"""The process that writes recordings: it may die, hang or outlive its worker, and no sound that it has got is lost."""

import asyncio
import json
import os
import signal
import socket
import sys
import time
import wave
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from media.codecs.g711 import PCMU, encode
from media.frames import encode as framed
from media.recording import client as module
from media.recording import jobs
from media.recording.client import RecordingClient
from media.recording.gathering import Gathering
from media.recording.recorder import Recording
from media.recording.report import Recorded
from media.recording.settings import RecordingSettings
from media.rtp.stream import Format

from .conftest import until

MU = Format(0, PCMU)
LOUD = encode((8031).to_bytes(2, "little", signed=True), PCMU) * 160


class Office:
    """A client with a clock that is moved by hand; `told` is what was complained about."""

    def __init__(self, limit: int = module.MOST_WAITING) -> None:
        self.now = 1000.0
        self.told: list[tuple[str, str]] = []
        self.recorded: list[Recorded] = []
        self.client = RecordingClient(
            asyncio.get_running_loop(),
            RecordingSettings(),
            now=lambda: self.now,
            unix=time.time,
            complain=lambda *told: self.told.append(told),
            limit=limit,
        )
        self._sequence = 0

    def record(self, path: Path, number: int = 1) -> Recording:
        recording = Recording(number, str(path), self.client)
        self.client.begin(recording)
        return recording

    def speak(self, recording: Recording, seconds: float) -> None:
        """Say something for so long and hand it over."""
        tap = recording.channel(0)
        for _ in range(round(seconds * 50)):
            self.now += 0.02
            self._sequence += 1
            tap.take(MU, self, self._sequence, 160 * self._sequence, LOUD, self.now)
        recording.flush(self.now)

    async def finish(self, recording: Recording) -> Recorded:
        recording.finish(self.now, self.recorded.append)
        await until(lambda: bool(self.recorded))
        return self.recorded.pop()

    @property
    def process(self) -> int:
        assert self.client.process is not None
        return self.client.process


@pytest.fixture
async def offices() -> Any:
    made: list[Office] = []

    def build(**changes: Any) -> Office:
        made.append(Office(**changes))
        return made[-1]

    yield build
    for office in made:
        office.client.close()


@pytest.fixture
async def office(offices: Callable[..., Office]) -> Office:
    return offices()


def loud_seconds(path: Path) -> float:
    with wave.open(str(path), "rb") as file:
        audio = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, 2)
    return float((np.abs(audio[:, 0]) > 4000).sum() / 8000)


def side_car(path: Path) -> dict[str, Any]:
    return dict(json.loads(Path(f"{path}.json").read_bytes()))


async def test_one_process_writes_all_recordings(office: Office, tmp_path: Path) -> None:
    first, second = (office.record(tmp_path / f"{number}.wav", number) for number in (1, 2))
    process = office.process
    office.speak(first, 2)
    office.speak(second, 1)
    assert await office.finish(first) == Recorded((str(tmp_path / "1.wav"),), 3.0)
    assert (await office.finish(second)).files == (str(tmp_path / "2.wav"),)
    assert (loud_seconds(tmp_path / "1.wav"), loud_seconds(tmp_path / "2.wav")) == (2.0, 1.0)
    octets = sum((tmp_path / f"{number}.wav").stat().st_size for number in (1, 2))
    assert (office.client.octets, office.client.errors, office.told) == (octets, 0, [])
    assert office.process == process


async def test_when_it_dies_another_one_goes_on_in_further_files(
    office: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "REPLACE_SECONDS", 0.01)
    kept, paused, ended = (office.record(tmp_path / f"{name}.wav", place) for place, name in enumerate("abc"))
    for recording in (kept, paused, ended):
        office.speak(recording, 2)
    paused.pause(office.now)
    path = tmp_path / "a.wav"
    await until(Path(f"{path}.json").exists)
    killed = office.process
    os.kill(killed, signal.SIGKILL)
    ended.finish(office.now, office.recorded.append)
    await until(lambda: office.client.process not in {None, killed})
    office.speak(kept, 1)
    office.speak(paused, 1)
    await until(lambda: bool(office.recorded))
    assert set(office.recorded.pop().files) <= {str(tmp_path / "c.wav"), str(tmp_path / "c.2.wav")}
    recorded = await office.finish(kept)
    assert recorded.files == (str(path), str(tmp_path / "a.2.wav"))
    assert loud_seconds(tmp_path / "a.2.wav") == 1.0
    assert [side_car(Path(file))["complete"] for file in recorded.files] == [False, True]
    assert (await office.finish(paused)).gaps[-1].reason == "paused"
    assert loud_seconds(tmp_path / "b.2.wav") == 0.0
    assert office.told == [("", "The process for recordings has ended (-9); they go on in further files.")]
    assert office.client.errors >= 1


async def test_while_it_hangs_little_is_kept_and_nobody_waits_for_ever(
    offices: Callable[..., Office], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ANSWER_SECONDS", 0.05)
    office = offices(limit=500_000)
    path = tmp_path / "call.wav"
    recording = office.record(path)
    office.speak(recording, 2)
    await until(Path(f"{path}.json").exists)
    os.kill(office.process, signal.SIGSTOP)
    try:
        for _ in range(300):
            office.speak(recording, 1)
            await asyncio.sleep(0)
        left_out = office.client.left_out
        assert 50 * 150 <= left_out <= 50 * 290
        assert await office.finish(recording) == Recorded((str(path),))
        assert [told[0] for told in office.told] == [str(path)]
    finally:
        os.kill(office.process, signal.SIGCONT)
    await until(lambda: side_car(path)["complete"])
    assert (side_car(path)["seconds"], side_car(path)["left_out"]) == (302.0, left_out)
    assert loud_seconds(path) == pytest.approx(302 - left_out / 50, abs=0.03)


async def test_one_that_does_not_start_is_tried_again(
    office: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "REPLACE_SECONDS", 0.01)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "executable", str(tmp_path / "nothing"))
        recording = office.record(tmp_path / "call.wav")
        office.speak(recording, 1)
    assert office.client.left_out == 50
    assert "does not start" in office.told[0][1]
    await until(lambda: office.client.process is not None)
    office.speak(recording, 1)
    assert (await office.finish(recording)).files == (str(tmp_path / "call.wav"),)
    assert loud_seconds(tmp_path / "call.wav") == 1.0


@pytest.fixture
def alone() -> Iterator[tuple[socket.socket, int]]:
    """A process with nobody but this test to talk to."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.set_inheritable(True)
        command = [sys.executable, "-m", "media.recording.process", str(theirs.fileno())]
        process = os.posix_spawn(sys.executable, command, os.environ)
        theirs.close()
        yield ours, process
        ours.close()
        assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0


def test_it_completes_the_files_of_a_worker_that_has_died(alone: tuple[socket.socket, int], tmp_path: Path) -> None:
    sock, process = alone
    path, now = tmp_path / "call.wav", time.monotonic()
    heard = Gathering(MU, 1)
    for number in range(50):
        heard.add(number, 160 * number, LOUD, now - 2 + (number + 1) / 50)
    told = [
        jobs.Start(RecordingSettings()),
        jobs.Begin(7, str(path), 8000, now - 2, 0.0),
        jobs.Hear(7, 1, 0, MU, 1, heard.columns()),
        jobs.GoOn(7, now, 0),
    ]
    sock.sendall(b"".join(map(framed, told)))
    assert sock.recv(65536)
    for number in (signal.SIGTERM, signal.SIGINT):  # meant for the engine
        os.kill(process, number)
    sock.shutdown(socket.SHUT_WR)
    while sock.recv(65536):
        pass
    assert side_car(path)["complete"] is True
    assert loud_seconds(path) == 1.0
