"""Who hears whom, shown by tones: each talker says one of its own, and each hearer tells which it hears, how loud."""

import math
import random
from collections.abc import Callable
from itertools import combinations_with_replacement, permutations
from typing import Any

import numpy as np
import pytest

from media import conference
from media.codecs import ENCODABLE, sample_rate_of
from media.codecs.names import AMR, AMR_WB, G722, OPUS, PCMA, PCMU
from media.worker import control

from .conftest import Bench
from .talking import AMPLITUDE, HandTicker, Studio, Talker

LOW, MIDDLE, HIGH = 440.0, 700.0, 1100.0
CODECS = [PCMU, PCMA, G722, OPUS, AMR, AMR_WB]


@pytest.fixture
def ticker(monkeypatch: pytest.MonkeyPatch) -> HandTicker:
    ticker = HandTicker()
    monkeypatch.setattr("media.worker.worker.Ticker", lambda *_: ticker)
    return ticker


@pytest.fixture
def studio(ticker: HandTicker, clock: list[float], bench: Bench) -> Studio:
    return Studio(bench, clock, ticker)


Trio = tuple[Talker, Talker, Talker]


@pytest.fixture
def trio(studio: Studio) -> Trio:
    """A caller, an agent and a supervisor."""
    return (
        studio.talker("caller", frequency=LOW),
        studio.talker("agent", frequency=MIDDLE),
        studio.talker("supervisor", frequency=HIGH),
    )


def payloads(talker: Talker) -> list[bytes]:
    return [payload for *_, payload in talker.packets()]


def heard_by(talkers: Trio) -> list[set[str]]:
    return [set(talker.hears(talkers)) for talker in talkers]


PRESETS: list[tuple[Callable[..., dict[tuple[Any, Any], float]], list[set[str]]]] = [
    (conference.together, [{"agent", "supervisor"}, {"caller", "supervisor"}, {"caller", "agent"}]),
    (conference.listen, [{"agent"}, {"caller"}, {"caller", "agent"}]),
    (conference.whisper, [{"agent"}, {"caller", "supervisor"}, {"caller", "agent"}]),
]


@pytest.mark.parametrize(("preset", "expected"), PRESETS, ids=["three-way", "listen", "whisper"])
async def test_each_hears_exactly_whom_the_matrix_says(
    studio: Studio, trio: Trio, preset: Callable[..., Any], expected: list[set[str]]
) -> None:
    studio.mix(preset(*trio))
    await studio.run(1.0)
    assert heard_by(trio) == expected
    for hearer in trio:
        assert all(abs(level) <= 1 for level in hearer.hears(trio).values())


async def test_who_hears_but_one_is_relayed_what_that_one_says(studio: Studio, trio: Trio) -> None:
    caller, agent, supervisor = trio
    studio.mix(conference.listen(*trio))
    await studio.run(0.2)
    assert payloads(caller) == agent.said[-len(payloads(caller)) :]
    assert payloads(agent) == caller.said[-len(payloads(agent)) :]
    assert not set(payloads(supervisor)) & {*caller.said, *agent.said}


async def test_who_is_consulted_is_not_heard_by_the_caller(studio: Studio, trio: Trio) -> None:
    caller, agent, consulted = trio
    studio.mix(conference.consult(agent, consulted, caller))
    await studio.run(1.0)
    assert heard_by(trio) == [set(), {"supervisor"}, {"agent"}]


async def test_gains_are_levels(studio: Studio, trio: Trio) -> None:
    caller, agent, supervisor = trio
    studio.mix({(caller, supervisor): 0.5, (agent, supervisor): 2.0})
    await studio.run(1.0)
    assert supervisor.hears(trio) == {"caller": -6, "agent": 6}


LEVEL_CODECS = [codec for codec in (PCMU, PCMA, G722) if codec in ENCODABLE]
SPEAKABLE = [codec for codec in CODECS if codec in ENCODABLE]


@pytest.mark.parametrize(("codec", "other"), [*combinations_with_replacement(SPEAKABLE, 2)])
async def test_a_bridge_joins_any_two_codecs(studio: Studio, codec: str, other: str) -> None:
    """The tone of either side is heard at the other by its frequency, within 1 dB, and by no more than 100 ms later."""
    one, two = studio.talker("one", codec, frequency=LOW), studio.talker("two", other, frequency=HIGH)
    studio.bench.handle(control.Bridge(one.leg, two.leg, None))
    await studio.run(2.4)
    assert set(one.hears([one, two])) == {"two"}
    assert set(two.hears([one, two])) == {"one"}
    assert (one.level(HIGH), two.level(LOW)) == pytest.approx((0, 0), abs=1)
    one.amplitude = two.amplitude = 0.0
    await studio.run(0.5)
    assert one.hears([one, two], threshold=-40) == two.hears([one, two], threshold=-40) == {}
    one.amplitude = two.amplitude = AMPLITUDE
    heard = len(one.heard(60)), len(two.heard(60))
    await studio.run(0.2)
    for talker, before in zip((one, two), heard, strict=True):
        onset = np.flatnonzero(np.abs(talker.heard(60)[before:]) > AMPLITUDE / 4)[0]
        assert onset <= 0.1 * sample_rate_of(talker.stream.send)


@pytest.mark.parametrize("seed", range(6))
async def test_any_matrix_is_heard_as_it_stands(studio: Studio, seed: int) -> None:
    """Legs of any codecs, gains and volumes drawn by chance: each tone at each hearer has the level that they make."""
    chance = random.Random(seed)
    tones = (400.0, 700.0, 1100.0, 1700.0)
    legs = [
        studio.talker(str(number), chance.choice(LEVEL_CODECS), frequency=tone) for number, tone in enumerate(tones)
    ]
    gains = {pair: chance.choice([0.0, 0.25, 0.5, 1.0]) for pair in permutations(legs, 2)}
    volumes = {leg: (chance.choice([0.5, 1.0]), chance.choice([0.0, 0.5, 1.0])) for leg in legs}
    studio.mix(gains)
    for leg, (heard, spoken) in volumes.items():
        studio.bench.handle(control.Adjust(leg.leg, heard, spoken))
    await studio.run(2.4)
    for (speaker, hearer), gain in gains.items():
        expected = gain * volumes[speaker][1] * volumes[hearer][0]
        level = hearer.level(speaker.frequency)
        if expected:
            assert level == pytest.approx(20 * math.log10(expected), abs=1.5), (speaker.name, hearer.name)
        else:
            assert level < -40, (speaker.name, hearer.name)
