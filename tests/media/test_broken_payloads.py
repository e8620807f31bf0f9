"""Payloads that no decoder takes, in the middle of calls that are decoded."""

import random

import pytest

from media.codecs import ENCODABLE
from media.codecs.names import AMR, AMR_WB, G722, OPUS, PCMA, PCMU
from media.worker import control

from .conftest import Bench
from .talking import HandTicker, Studio


@pytest.fixture
def ticker(monkeypatch: pytest.MonkeyPatch) -> HandTicker:
    ticker = HandTicker()
    monkeypatch.setattr("media.worker.worker.Ticker", lambda *_: ticker)
    return ticker


@pytest.fixture
def studio(ticker: HandTicker, clock: list[float], bench: Bench) -> Studio:
    return Studio(bench, clock, ticker)


@pytest.mark.parametrize("codec", [codec for codec in (OPUS, AMR, AMR_WB) if codec in ENCODABLE])
async def test_each_is_one_counted_error_and_the_call_goes_on(studio: Studio, codec: str) -> None:
    one, two = studio.talker("one", codec, frequency=440), studio.talker("two", PCMU, frequency=700)
    studio.bench.handle(control.Bridge(one.leg, two.leg, None))
    await studio.run(0.5)
    one.silent = True
    broken = b"\xff\xff\xff" if codec == OPUS else b"\xf0\x4c"
    for _ in range(10):
        one.phone.raw(one.port, one.phone.header(one.format.payload) + broken)
        await studio.run(0.02)
    one.silent = False
    await studio.run(0.7)
    assert set(two.hears([one, two])) == {"one"}
    assert 8 <= studio.bench.counters().packets_invalid <= 10
    studio.bench.handle(control.Unbridge(one.leg))
    assert 8 <= studio.bench.counters().packets_invalid <= 10


@pytest.mark.parametrize("codec", [codec for codec in (PCMA, G722, OPUS, AMR, AMR_WB) if codec in ENCODABLE])
async def test_any_octets_are_survived(studio: Studio, codec: str) -> None:
    rng = random.Random(codec)
    one, two = studio.talker("one", codec, frequency=440), studio.talker("two", PCMU, frequency=700)
    studio.bench.handle(control.Bridge(one.leg, two.leg, None))
    await studio.run(0.2)
    one.silent = True
    for _ in range(100):
        one.phone.raw(one.port, one.phone.header(one.format.payload) + rng.randbytes(rng.randrange(1, 200)))
        await studio.run(0.02)
    one.silent = False
    await studio.run(1.5)
    assert set(two.hears([one, two])) == {"one"}
    assert set(one.hears([one, two])) == {"two"}


async def test_packets_too_late_for_the_jitter_buffer_are_told_of(studio: Studio) -> None:
    one, two = studio.talker("one", PCMA, frequency=440), studio.talker("two", G722, frequency=700)
    studio.bench.handle(control.Bridge(one.leg, two.leg, None))
    await studio.run(1.0)
    late = one.phone.header(one.format.payload)
    one.silent = True
    await studio.run(0.02)
    one.silent = False
    await studio.run(0.3)
    one.phone.raw(one.port, late + bytes(160))
    await studio.run(0.1)
    studio.bench.handle(control.Close(one.leg))
    (closed,) = studio.bench.of(control.Closed)
    assert (closed.report.lost, closed.report.discarded) == (0, 1)
    assert closed.report.r_factor < 93
