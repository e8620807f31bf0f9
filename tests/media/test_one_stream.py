"""Whatever a peer is given to hear in turn, it hears one stream: no break in numbers, no jump in time."""

import random
from collections.abc import Awaitable, Callable
from itertools import pairwise
from typing import Any

import msgspec
import pytest

from media import conference
from media.codecs import ENCODABLE
from media.codecs.names import AMR_WB, EVENTS, G722, OPUS, PCMA, PCMU
from media.worker import control

from .conftest import Bench, until
from .talking import FORMATS, TICK, HandTicker, Studio, Talker

CODECS = [codec for codec in (PCMU, PCMA, G722, OPUS, AMR_WB) if codec in ENCODABLE]
LATE = 0.06
"""By how much a packet's timestamp may differ from its time: what a jitter buffer holds and a packet lasts."""


@pytest.fixture
def ticker(monkeypatch: pytest.MonkeyPatch) -> HandTicker:
    ticker = HandTicker()
    monkeypatch.setattr("media.worker.worker.Ticker", lambda *_: ticker)
    return ticker


@pytest.fixture
def studio(ticker: HandTicker, clock: list[float], bench: Bench) -> Studio:
    return Studio(bench, clock, ticker)


class Listener:
    """Notes when each packet came that the talker heard."""

    def __init__(self, studio: Studio, talker: Talker) -> None:
        self.studio = studio
        self.talker = talker
        self.times: list[float] = []

    async def run(self, ticks: int) -> None:
        for _ in range(ticks):
            await self.studio.run(TICK)
            new = len(self.talker.packets()) - len(self.times)
            self.times += [self.studio.clock[0]] * new


class Day:
    """One leg's day: what is done to it, drawn by chance."""

    def __init__(self, studio: Studio, chance: random.Random) -> None:
        self.studio = studio
        self.chance = chance
        self.caller = studio.talker("caller", PCMU, also=list(FORMATS.values()))
        self.agents = [studio.talker("agent", codec, frequency=700.0) for codec in (PCMU, chance.choice(CODECS))]
        self.listener = Listener(studio, self.caller)
        self.rates = {number: each.clock_rate for number, each in self.caller.stream.receive.items()}
        self.doings: list[Callable[[], Awaitable[None]]] = [
            self.prompt,
            self.music,
            self.stop,
            self.bridge,
            self.part,
            self.hold,
            self.mix,
            self.other_codec,
            self.other_length,
            self.volume,
            self.restart_of_the_agent,
            self.other_codec_of_the_agent,
            self.key,
        ]

    def handle(self, *commands: control.Command) -> None:
        self.studio.bench.handle(*commands)

    def configure(self, **changes: Any) -> None:
        self.caller.stream = msgspec.structs.replace(self.caller.stream, **changes)
        self.handle(control.Configure(self.caller.leg, self.caller.stream))

    async def prompt(self) -> None:
        self.handle(control.Play(self.caller.leg, ("tone", "en/odd"), False, False, 1))

    async def music(self) -> None:
        self.handle(control.Play(self.caller.leg, ("long",), True, False, 1))

    async def stop(self) -> None:
        self.handle(control.Stop(self.caller.leg))

    async def bridge(self) -> None:
        self.handle(control.Bridge(self.caller.leg, self.chance.choice(self.agents).leg, None))

    async def part(self) -> None:
        self.handle(control.Unbridge(self.caller.leg))

    async def hold(self) -> None:
        self.configure(sends=False, held=True)
        await self.listener.run(self.chance.randrange(20))
        self.configure(sends=True, held=False)

    async def mix(self) -> None:
        self.studio.mix(conference.together(self.caller, *self.agents))

    async def other_codec(self) -> None:
        self.configure(send=FORMATS[self.chance.choice(CODECS)])

    async def other_length(self) -> None:
        self.configure(packet_ms=self.chance.choice([10, 20, 40, 60]))

    async def volume(self) -> None:
        self.handle(control.Adjust(self.caller.leg, self.chance.choice([0.0, 0.5, 1.0]), 1.0))

    async def restart_of_the_agent(self) -> None:
        phone = self.chance.choice(self.agents).phone
        phone.ssrc, phone.sequence, phone.timestamp = (self.chance.randrange(65536) for _ in range(3))

    async def other_codec_of_the_agent(self) -> None:
        agent = self.chance.choice(self.agents)
        agent.stream = msgspec.structs.replace(
            agent.stream, receive=agent.stream.receive | {each.payload: each for each in FORMATS.values()}
        )
        self.handle(control.Configure(agent.leg, agent.stream))
        agent.speaks(FORMATS[self.chance.choice(CODECS)])

    async def key(self) -> None:
        agent = self.chance.choice(self.agents)
        event = next(each for each in agent.stream.receive.values() if each.name == EVENTS)
        before = self.studio.bench.counters().packets_received
        timestamp = agent.phone.timestamp
        agent.phone.press(agent.port, self.chance.randrange(16), event.payload)
        agent.phone.timestamp = timestamp
        await until(lambda: self.studio.bench.counters().packets_received >= before + 6)

    async def pass_by(self, doings: int) -> None:
        await self.listener.run(3)
        for _ in range(doings):
            await self.chance.choice(self.doings)()
            await self.listener.run(self.chance.randrange(10))


@pytest.mark.rfc("3550-5.1")
@pytest.mark.rfc("7160-4.1")
@pytest.mark.parametrize("seed", range(10))
async def test_the_stream_of_a_leg_is_one(studio: Studio, seed: int) -> None:
    """One SSRC; numbers in a row; timestamps that keep step with the time at the clock of the codec, in packets."""
    day = Day(studio, random.Random(seed))
    await day.pass_by(30)
    packets = list(zip(day.caller.packets(), day.listener.times, strict=True))
    assert len(packets) > 20
    assert len({ssrc for (_, _, _, _, ssrc, _), _ in packets}) == 1
    assert {(after[0][2] - before[0][2]) & 0xFFFF for before, after in pairwise(packets)} == {1}
    audio = [(packet, came) for packet, came in packets if day.caller.stream.receive[packet[0]].name != EVENTS]
    behind = 0.0
    for ((_, _, _, began, _, _), came_before), ((number, _, _, begins, _, _), came) in pairwise(audio):
        step = (begins - began) & 0xFFFFFFFF
        assert 0 < step < 0x80000000
        lag = step / day.rates[number] - (came - came_before)
        assert abs(lag) <= LATE
        behind += lag
    assert abs(behind) <= 0.25, "what is late is made good"
