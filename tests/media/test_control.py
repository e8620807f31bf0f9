"""Framing between engine and worker, and the settings that cross it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media.api import LegReport, MediaCounters
from media.frames import FrameReader, ProtocolError, encode
from media.settings import MediaSettings
from media.worker import control

from .conftest import stream

COMMANDS: list[control.Command] = [
    control.Start(MediaSettings(), 20_000, 20_010),
    control.Open(1, 20_000, stream(4000)),
    control.Play(1, ("en/welcome", "music/hold"), True, False, 7),
    control.Bridge(1, 2, "/tmp/call.wav"),
    control.Close(1),
    control.Provide(64),
    control.Measure(1),
]
REPORTS: list[control.Report] = [
    control.Provided((20_000, 20_002), ""),
    control.Measured(1, LegReport(codec="PCMU", lost=2)),
    control.Closed(1, LegReport(codec="PCMU", mos=4.4)),
    control.Pressed(1, "#", "info"),
    control.Heartbeat(MediaCounters(legs=3)),
]


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_messages_survive_any_cut(size: int) -> None:
    frames = FrameReader()
    data = b"".join(map(encode, COMMANDS))
    pieces = [data[start : start + size] for start in range(0, len(data), size)]
    bodies = [body for piece in pieces for body in frames.feed(piece)]
    assert [control.command_decoder.decode(body) for body in bodies] == COMMANDS


def test_reports_survive_the_way() -> None:
    bodies = FrameReader().feed(b"".join(map(encode, REPORTS)))
    assert [control.report_decoder.decode(body) for body in bodies] == REPORTS


@given(st.lists(st.binary(max_size=40), max_size=10))
def test_any_octets_yield_bodies_or_a_protocol_error(chunks: list[bytes]) -> None:
    frames = FrameReader()
    fed = taken = 0
    for chunk in chunks:
        fed += len(chunk)
        try:
            taken += sum(4 + len(body) for body in frames.feed(chunk))
        except ProtocolError:
            return
        assert taken <= fed


@pytest.mark.parametrize(
    "wrong",
    [
        {"bind": "localhost"},
        {"bind": "0.0.0.0"},
        {"advertise": "example.com"},
        {"advertise": "::1"},
        {"advertise": "0.0.0.0"},
        {"advertise_other": "::1"},
        {"bind": "::", "advertise": "::1", "advertise_other": "::2"},
        {"codecs": ("G729",)},
        {"codecs": ("CN",)},
        {"port_min": 0},
        {"port_min": 30_000},
        {"port_max": 70_000},
        {"workers": 0},
        {"port_min": 20_000, "port_max": 20_003, "workers": 3},
        {"rtp_timeout_seconds": -1},
    ],
)
def test_contradictory_settings_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"^[^\n]+$"):
        MediaSettings(**wrong)  # type: ignore[arg-type]


@pytest.mark.rfc("3550-11")
def test_each_worker_has_even_ports_of_its_own() -> None:
    settings = MediaSettings(port_min=20_001, port_max=20_020, workers=3)
    shares = [list(settings.share(index)) for index in range(3)]
    together = [port for share in shares for port in share]
    assert together == list(range(20_002, 20_020, 2))
    assert all(share for share in shares)
    assert all(port + 1 <= 20_020 for port in together)
