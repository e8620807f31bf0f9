"""Requests for modes of AMR (CMR), where what is said is encoded by us on one way or on both."""

import pytest

from media import conference
from media.codecs import ENCODABLE
from media.codecs.names import AMR, PCMU
from media.worker import control

from .conftest import Bench
from .talking import HandTicker, Studio, Talker

pytestmark = [
    pytest.mark.rfc("4867-4.3.1"),
    pytest.mark.skipif(AMR not in ENCODABLE, reason="AMR cannot be encoded on this machine"),
]


@pytest.fixture
def ticker(monkeypatch: pytest.MonkeyPatch) -> HandTicker:
    ticker = HandTicker()
    monkeypatch.setattr("media.worker.worker.Ticker", lambda *_: ticker)
    return ticker


@pytest.fixture
def studio(ticker: HandTicker, clock: list[float], bench: Bench) -> Studio:
    return Studio(bench, clock, ticker)


def latest(talker: Talker) -> tuple[int, int]:
    """The request and the mode in the last packet that a talker of octet-aligned AMR has heard."""
    payload = talker.packets()[-1][-1]
    return payload[0] >> 4, payload[1] >> 3 & 15


async def test_who_is_spoken_to_by_us_has_the_mode_that_it_asks_for(studio: Studio) -> None:
    one, two = studio.talker("one", AMR), studio.talker("two", PCMU)
    studio.bench.handle(control.Bridge(one.leg, two.leg, None))
    await studio.run(0.3)
    assert latest(one) == (15, 7)
    one._encoder.ask(2)
    await studio.run(0.3)
    assert latest(one) == (15, 2)
    one._encoder.ask(None)
    await studio.run(0.3)
    assert latest(one) == (15, 2), "no request is not a new one"


async def test_a_relayed_request_reaches_who_is_heard(studio: Studio) -> None:
    one, two = studio.talker("one", AMR), studio.talker("two", AMR)
    studio.bench.handle(control.Bridge(one.leg, two.leg, None))
    one._encoder.ask(3)
    await studio.run(0.1)
    assert latest(two)[0] == 3


async def test_a_request_reaches_who_is_relayed_though_it_hears_a_mix(studio: Studio) -> None:
    """A caller hears the agent undecoded, the agent hears caller and supervisor, whom we encode."""
    caller, agent = studio.talker("caller", AMR), studio.talker("agent", AMR)
    supervisor = studio.talker("supervisor", PCMU)
    studio.mix(conference.whisper(caller, agent, supervisor))
    await studio.run(0.3)
    assert latest(agent)[0] == 15
    caller._encoder.ask(4)
    await studio.run(0.3)
    assert latest(agent)[0] == 4
    agent._encoder.ask(1)
    await studio.run(0.3)
    assert latest(agent)[1] == 1, "what we encode follows the agent's own requests"
    studio.mix(conference.together(caller, agent, supervisor))
    await studio.run(0.3)
    assert latest(agent)[0] == 15, "nobody hears the agent undecoded any more"
