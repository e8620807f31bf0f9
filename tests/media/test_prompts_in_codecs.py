"""Prompts heard through every codec, by an independent look at the packets that come."""

import struct
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from media.codecs import ENCODABLE, make_decoder
from media.rtp.stream import EVENTS, Format, Stream
from media.settings import MediaSettings
from media.worker import control

from .conftest import Bench, Phone, until, write_wav

FORMATS = [
    Format(0, "PCMU"),
    Format(8, "PCMA"),
    Format(9, "G722"),
    Format(96, "opus", 48_000, 2, "useinbandfec=1"),
    Format(97, "AMR"),
    Format(98, "AMR", parameters="octet-align=1"),
    Format(99, "AMR-WB", 16_000),
    Format(100, "AMR-WB", 16_000, parameters="octet-align=1;mode-set=0,2"),
]
DIGITS = Format(101, EVENTS)
HERTZ = 500
LASTS_MS = 300


@pytest.fixture
def prompt_directory(tmp_path: Path) -> Path:
    """One prompt, a tone of 500 Hz at 44.1 kHz."""
    time = np.arange(44_100 * LASTS_MS // 1000) / 44_100
    samples = 8000 * np.sin(2 * np.pi * HERTZ * time)
    write_wav(tmp_path / "prompts" / "hum.wav", samples.astype(np.int16).tolist(), rate=44_100)
    return tmp_path / "prompts"


@pytest.fixture
async def bench(ports: Any, prompt_directory: Path) -> Any:
    first = ports.block(20)
    settings = MediaSettings(
        port_min=first, port_max=first + 19, rtp_timeout_seconds=0, prompt_directories=(str(prompt_directory),)
    )
    bench = Bench(settings)
    assert bench.worker.prompts.preload() == []
    yield bench
    bench.close()


def stream(phone: Phone, send: Format, packet_ms: int = 20) -> Stream:
    formats = {send.payload: send, DIGITS.payload: DIGITS}
    return Stream("127.0.0.1", phone.port, send, formats, DIGITS, packet_ms=packet_ms)


@pytest.mark.parametrize("packet_ms", [20, 60])
@pytest.mark.parametrize("send", FORMATS, ids=lambda format_: f"{format_.name} {format_.parameters}".strip())
async def test_a_prompt_is_heard_as_it_is_in_every_codec(bench: Bench, send: Format, packet_ms: int) -> None:
    if send.name not in ENCODABLE:
        pytest.skip(f"{send.name} cannot be encoded here")
    phone = bench.phone()
    leg, _ = bench.open(stream(phone, send, packet_ms))
    bench.handle(control.Play(leg, ("hum",), False, False, 4))
    await until(lambda: bench.of(control.Finished))
    assert bench.of(control.Finished) == [control.Finished(leg, 4, LASTS_MS, False)]

    count = LASTS_MS // packet_ms
    await until(lambda: len(phone.read()) == count)
    headers = phone.headers()
    assert {second & 0x7F for _, second, *_ in headers} == {send.payload}
    assert [second & 0x80 for _, second, *_ in headers] == [0x80, *[0] * (count - 1)]
    step = send.clock_rate * packet_ms // 1000
    assert {(b[2] - a[2]) & 0xFFFF for a, b in pairwise(headers)} == {1}
    assert {(b[3] - a[3]) & 0xFFFFFFFF for a, b in pairwise(headers)} == {step}

    decoder = make_decoder(send)
    heard = np.concatenate([decoder.decode(payload) for payload in phone.payloads()])
    assert len(heard) == decoder.sample_rate * LASTS_MS // 1000
    middle = heard[len(heard) // 4 : -len(heard) // 6].astype(np.float64)
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle))))
    assert np.argmax(spectrum) * decoder.sample_rate / len(middle) == pytest.approx(HERTZ, abs=8)
    assert 20 * np.log10(np.sqrt(np.mean(middle**2)) / (8000 / 2**0.5)) == pytest.approx(0, abs=1.5)


async def test_a_loop_goes_on_in_the_codec_that_a_new_offer_brings_and_a_digit_ends_it(bench: Bench) -> None:
    phone = bench.phone()
    wide, narrow = FORMATS[2], FORMATS[0]
    leg, port = bench.open(stream(phone, wide))
    bench.handle(control.Play(leg, ("hum",), True, True, 5))
    await until(lambda: len(phone.read()) >= 20)
    bench.handle(control.Configure(leg, stream(phone, narrow)))
    await until(lambda: any(packet[1] & 0x7F == 0 for packet in phone.read()))
    phone.press(port, 3)
    await until(lambda: bench.of(control.Finished))
    (finished,) = bench.of(control.Finished)
    packets = phone.headers()
    assert finished.interrupted
    assert finished.heard_ms == 20 * len(packets)
    assert {(b[2] - a[2]) & 0xFFFF for a, b in pairwise(packets)} == {1}
    assert {(b[3] - a[3]) & 0xFFFFFFFF for a, b in pairwise(packets)} == {160}
    assert len({ssrc for *_, ssrc in packets}) == 1


async def test_a_prompt_that_was_not_there_at_the_start_is_read_by_a_thread(
    bench: Bench, prompt_directory: Path
) -> None:
    phone = bench.phone()
    leg, _ = bench.open(stream(phone, FORMATS[1]))
    write_wav(prompt_directory / "late.wav", [1000] * 320)
    for token in (1, 2):
        bench.handle(control.Play(leg, ("late",), False, False, token))
        assert len(bench.of(control.Finished)) == token - 1
        await until(lambda wanted=token: len(bench.of(control.Finished)) == wanted)  # type: ignore[misc]
    assert {report.heard_ms for report in bench.of(control.Finished)} == {40}


async def test_what_is_stopped_while_it_is_read_is_not_heard(bench: Bench, prompt_directory: Path) -> None:
    phone = bench.phone()
    leg, _ = bench.open(stream(phone, FORMATS[1]))
    write_wav(prompt_directory / "late.wav", [1000] * 320)
    bench.handle(control.Play(leg, ("late",), False, False, 1), control.Stop(leg))
    assert bench.of(control.Finished) == [control.Finished(leg, 1, 0, True)]
    bench.handle(control.Play(leg, ("hum",), False, False, 2))
    await until(lambda: len(bench.of(control.Finished)) == 2)
    assert len(phone.read()) == LASTS_MS // 20
    assert struct.unpack(">BBHII", phone.read()[0][:12])[1] & 0x80


async def test_a_value_is_said_by_prompts_and_one_that_cannot_be_is_told(bench: Bench, prompt_directory: Path) -> None:
    for name in ("digits/4", "digits/2", "numbers/40"):
        write_wav(prompt_directory / "en" / f"{name}.wav", [1000] * 800)
    phone = bench.phone()
    leg, _ = bench.open(stream(phone, FORMATS[1]))
    bench.handle(control.Play(leg, ("digits:en:424", "time:en:25:00", "number:en:42"), False, False, 1))
    await until(lambda: bench.of(control.Finished))
    assert bench.of(control.Finished)[0].heard_ms == 500
    (complaint,) = bench.of(control.Complained)
    assert "'time:en:25:00' cannot be said" in complaint.text
    assert bench.counters().prompts_missing == 1


async def test_a_file_that_breaks_a_library_is_left_out(
    bench: Bench, prompt_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def odd(_: Path) -> None:
        raise RuntimeError("odd")

    monkeypatch.setattr("media.playing.prompts.read_sound", odd)
    write_wav(prompt_directory / "late.wav", [1000] * 320)
    phone = bench.phone()
    leg, _ = bench.open(stream(phone, FORMATS[1]))
    bench.handle(control.Play(leg, ("late",), False, False, 1))
    await until(lambda: bench.of(control.Finished))
    assert [report.text for report in bench.of(control.Complained)] == ["late cannot be read: odd"]
