"""Recordings of calls by SIPp: what a file and a recording server hear, read by decoders that are not ours."""

from __future__ import annotations

import json
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from media.codecs.g711 import PCMU, decode, encode
from tests.peers.conftest import Bench
from tests.peers.kit import Server, Sipp, wait_until
from tests.peers.kit.tones import Samples, level

pytestmark = pytest.mark.peer("sipp")
CALLER_HERTZ, AGENT_HERTZ = 440, 1000
PURE = -1.0  # dB: most of all power is the tone
HALF = -9.0  # of a mix of two, whose talk SIPp may have begun or sent unevenly; what is not in it is below -40


class Ear:
    """A UDP port that RTP is sent to."""

    def __init__(self, port: int) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._socket.bind(("127.0.0.1", port))
        self.port = port
        self.packets: list[bytes] = []

    def read(self) -> int:
        """Read what came; returns how many packets that are in all."""
        while True:
            try:
                self.packets.append(self._socket.recv(2048))
            except BlockingIOError:
                return len(self.packets)

    def audio(self) -> Samples:
        """Return the samples of all packets of PCMU."""
        self.read()
        assert {packet[1] & 0x7F for packet in self.packets} == {0}
        law = b"".join(packet[12:] for packet in self.packets)
        return np.frombuffer(decode(law, PCMU), np.int16) / 32768

    def close(self) -> None:
        """Free the port."""
        self._socket.close()


@pytest.fixture
def ears(bench: Bench) -> Iterator[list[Ear]]:
    first = bench.port(4)  # RTCP comes to the ports between
    made = [Ear(first), Ear(first + 2)]
    yield made
    for ear in made:
        ear.close()


def tone(hertz: float, seconds: int) -> bytes:
    """Return a tone as SIPp sends it: octet for octet, whatever the file is called."""
    samples = 8000 * np.sin(2 * np.pi * hertz / 8000 * np.arange(8000 * seconds))
    return encode(samples.astype("<i2").tobytes(), PCMU)


def talk(bench: Bench, agents: int, server: Server, seconds: float) -> tuple[Sipp, Sipp]:
    """Have a caller and an agent each send a tone of their own."""
    for name, hertz in (("tone.wav", CALLER_HERTZ), ("agent.wav", AGENT_HERTZ)):
        (bench.directory / name).write_bytes(tone(hertz, 30))
    agent = bench.sipp("agent_talks", port=agents, keys={"caller": "agent"}, changes={"tone.wav": "agent.wav"})
    caller = bench.sipp("call_rtp", remote=server.sip, pause=seconds, keys={"caller": "visitor"})
    server.wait_for_call("talking")
    return caller, agent


def pause(server: Server, action: str) -> None:
    (call,) = server.calls
    status, told = server.change("POST", f"calls/{call['id']}/recording", {"action": action})
    assert status == 200, told


@pytest.mark.rfc("7866-6.1.1", "7866-7.1.1", "7866-8.3.1")
def test_a_recording_server_hears_each_side_in_a_stream_of_its_own(bench: Bench, ears: list[Ear]) -> None:
    port = bench.port()
    recorder = bench.sipp("recording_server", port=port, keys={"first": ears[0].port, "second": ears[1].port})
    settings = {"recording.siprec": f"sip:srs@127.0.0.1:{port}"}
    server, agents = bench.serve_lab({"record = false": "record = true"}, settings=settings)
    caller, agent = talk(bench, agents, server, 3.0)
    wait_until(lambda: all(ear.read() > 50 for ear in ears), 10, "RTP at the recording server")
    pause(server, "pause")
    wait_until(lambda: recorder.said("changed") == ["a=inactive"], 5, "the pause")
    pause(server, "resume")
    for sipp in (caller, agent, recorder):
        sipp.succeed()
    assert recorder.said("changed") == ["a=inactive", "a=sendonly"]
    assert recorder.said("invited") == ["siprec +sip.src multipart/mixed Content-Disposition: recording-session"]
    for ear, hertz, other in ((ears[0], CALLER_HERTZ, AGENT_HERTZ), (ears[1], AGENT_HERTZ, CALLER_HERTZ)):
        assert level(ear.audio(), hertz) > PURE
        assert level(ear.audio(), other) < -20
        numbers = [struct.unpack(">H", packet[2:4])[0] for packet in ear.packets]
        assert numbers == [(numbers[0] + step) & 0xFFFF for step in range(len(numbers))]
        assert len({packet[8:12] for packet in ear.packets}) == 1
    (cdr,) = server.wait_for_cdrs()
    assert cdr["outcome"] == "answered"
    assert Path(cdr["recording"]).exists(), "into a file as well"
    assert server.metrics()["acd_siprec_sessions_total{outcome=begun}"] == 1
    server.wait_until_idle()


def test_without_its_recording_server_a_call_goes_on(bench: Bench) -> None:
    settings = {"recording.siprec": f"sip:srs@127.0.0.1:{bench.port()};transport=tcp"}
    server, agents = bench.serve_lab({"record = false": "record = true"}, settings=settings)
    for sipp in talk(bench, agents, server, 1.0):
        sipp.succeed()
    (cdr,) = server.wait_for_cdrs()
    assert cdr["outcome"] == "answered"
    (line,) = server.logged("siprec.failed")
    assert line["outcome"] == "refused"
    server.wait_until_idle()


@pytest.mark.parametrize("format_", ["wav", "opus"])
def test_an_encrypted_recording_with_a_gap_is_made_playable_again(bench: Bench, format_: str) -> None:
    keys = bench.directory / "recordings.keys"
    keys.write_text("k1:" + "5a" * 32)
    settings = {"recording.format": format_, "recording.mixed": True, "recording.key_file": str(keys)}
    server, agents = bench.serve_lab({"record = false": "record = true"}, settings=settings)
    caller, agent = talk(bench, agents, server, 3.5)
    wait_until(lambda: server.metrics()["acd_rtp_packets_total{direction=in}"] > 100, 10, "a second of talk")
    pause(server, "pause")
    assert server.calls[0]["recording"] == "paused"
    wait_until(lambda: server.metrics()["acd_media_recordings_paused"] == 1, 5, "the pause")
    pause(server, "resume")
    caller.succeed()
    agent.succeed()
    (cdr,) = server.wait_for_cdrs()
    recorded = cdr["recorded"]
    assert [Path(file).suffixes for file in recorded["files"]] == [
        [f".{format_}", ".sealed"],
        [".mixed", f".{format_}", ".sealed"],
    ]
    (gap,) = recorded["gaps"]
    assert gap["reason"] == "paused"
    for file in map(Path, recorded["files"]):
        playable = bench.directory / file.name.removesuffix(".sealed")
        arguments = map(str, ("decrypt", file, "--keys", keys, "--output", playable))
        command = [sys.executable, "-m", "acd.cli", "recording", *arguments]
        subprocess.run(command, check=True, capture_output=True)
        audio, rate = soundfile.read(playable, always_2d=True)
        assert len(audio) / rate == pytest.approx(recorded["seconds"], abs=0.01)
        before, inside = audio[int((gap["begin"] - 0.6) * rate) : int((gap["begin"] - 0.1) * rate)], _inside(gap, rate)
        assert np.abs(audio[inside]).max() < 0.03, "the mark alone"
        heard = [CALLER_HERTZ, AGENT_HERTZ]
        for channel in range(audio.shape[1]):
            for hertz in heard if audio.shape[1] == 1 else [heard[channel]]:
                assert level(before[:, channel], hertz, rate) > (PURE if audio.shape[1] == 2 else HALF)
    side_car = json.loads(Path(f"{recorded['files'][0]}.json").read_bytes())
    assert (side_car["complete"], side_car["key"], side_car["lost_seconds"]) == (True, "k1", 0.0)
    assert server.metrics()["acd_recording_bytes_total"] > 1000
    server.wait_until_idle()


def _inside(gap: dict[str, float], rate: int) -> slice:
    """Return where in the file the gap is, without its edges, which Opus blurs."""
    return slice(int((gap["begin"] + 0.05) * rate), int((gap["end"] - 0.05) * rate))
