"""The fake media backend that tests of calls are built on."""

import asyncio
import selectors
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import pytest

from media import conference
from media.api import (
    Digit,
    Lost,
    Media,
    MediaError,
    MediaEvent,
    MediaUnavailable,
    NotAcceptable,
    PlayFinished,
    RtpTimeout,
)
from media.sdp.description import parse
from media.testing import Call, FakeLeg, FakeMedia

OFFER = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8\r\n"


class _Leap(selectors.SelectSelector):
    """Waits for nothing: the loop's clock leaps to the next timer instead."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.now += timeout or 0
        return super().select(0)


def virtually(scenario: Callable[[FakeMedia, list[MediaEvent]], Coroutine[Any, Any, None]]) -> None:
    """Run a scenario on virtual time, with a fake and a list that takes the events of its legs."""
    selector = _Leap()
    loop = asyncio.SelectorEventLoop(selector)
    loop.time = lambda: selector.now  # type: ignore[method-assign]
    try:
        loop.run_until_complete(scenario(FakeMedia({"long": 60.0}), []))
    finally:
        loop.close()


def test_it_is_a_media_backend() -> None:
    backend: Media = FakeMedia()
    assert backend.healthy()


def test_it_negotiates_as_the_real_one_does() -> None:
    async def scenario(media: FakeMedia, events: list[MediaEvent]) -> None:
        caller = await media.open("caller", events.append, offer=OFFER)
        agent = await media.open("agent", events.append, like=caller)
        assert parse(caller.local_sdp).media[0].formats == ["8"]
        assert parse(agent.local_sdp).media[0].formats[0] == "8"
        assert caller.local_sdp != agent.local_sdp
        agent.accept(OFFER)
        with pytest.raises(NotAcceptable):
            await media.open("x", events.append, offer="v=0")
        with pytest.raises(NotAcceptable):
            agent.accept("v=0")
        assert "a=recvonly" in await caller.reoffer(OFFER + "a=sendonly\r\n")
        assert sorted(media.legs) == ["agent", "caller"]

    virtually(scenario)


def test_a_play_ends_after_the_declared_length() -> None:
    async def scenario(media: FakeMedia, events: list[MediaEvent]) -> None:
        leg = await media.open("a", events.append)
        leg.play(["long", "other"], token=3)
        assert leg.playing == ("long", "other")
        await asyncio.sleep(60.9)
        assert events == []
        await asyncio.sleep(0.2)
        assert events == [PlayFinished(3, 61_000, False)]
        assert not leg.playing

    virtually(scenario)


def test_a_loop_ends_only_when_it_is_stopped() -> None:
    async def scenario(media: FakeMedia, events: list[MediaEvent]) -> None:
        leg = await media.open("a", events.append)
        leg.play(["other"], loop=True, token=3)
        await asyncio.sleep(3600)
        assert events == []
        leg.stop()
        assert events == [PlayFinished(3, 3_600_000, True)]

    virtually(scenario)


def test_a_digit_interrupts_what_is_interruptible() -> None:
    async def scenario(media: FakeMedia, events: list[MediaEvent]) -> None:
        leg = await media.open("a", events.append)
        leg.play(["long"], token=1)
        leg.press("1")
        leg.play(["long"], interruptible=True, token=2)
        leg.press("#9")
        assert events == [Digit("1"), PlayFinished(1, 0, True), Digit("#"), PlayFinished(2, 0, True), Digit("9")]

    virtually(scenario)


def test_bridging_joins_both_legs_until_one_leaves() -> None:
    async def scenario(media: FakeMedia, events: list[MediaEvent]) -> None:
        caller, agent = [await media.open(name, events.append) for name in ("caller", "agent")]
        caller.play(["long"], loop=True)
        caller.bridge(agent, record="/tmp/call.wav")
        assert (caller.bridged_to, agent.bridged_to, caller.playing) == (agent, caller, ())
        assert events == [PlayFinished(0, 0, True)]
        await agent.close()
        assert caller.bridged_to is None
        assert (await caller.close()).recording == "/tmp/call.wav"
        assert media.legs == {}
        assert len(media.opened) == 2
        assert [call.method for call in caller.calls] == ["play", "bridge", "close"]
        assert caller.calls[0] == Call("play", (("long",), True, False, 0))

    virtually(scenario)


def inject(leg: FakeLeg) -> Mapping[str, Callable[[], None]]:
    return {"press": lambda: leg.press("1"), "time_out": leg.time_out, "lose": leg.lose}


@pytest.mark.parametrize(
    ("name", "expected"),
    [("press", Digit("1")), ("time_out", RtpTimeout()), ("lose", Lost("the media worker was lost"))],
)
def test_a_test_injects_events_until_the_leg_is_closed(name: str, expected: MediaEvent) -> None:
    async def scenario(media: FakeMedia, events: list[MediaEvent]) -> None:
        leg = await media.open("a", events.append)
        inject(leg)[name]()
        assert events == [expected]
        await leg.close()
        inject(leg)[name]()
        assert events == [expected]

    virtually(scenario)


def test_a_lost_leg_takes_calls_without_effect() -> None:
    async def scenario(media: FakeMedia, events: list[MediaEvent]) -> None:
        leg = await media.open("a", events.append)
        leg.lose()
        leg.play(["other"])
        leg.echo()
        await asyncio.sleep(10)
        assert events == [Lost("the media worker was lost")]
        assert not leg.echoing
        await leg.close()
        assert media.counters().legs == 0

    virtually(scenario)


def test_an_unavailable_backend_says_so() -> None:
    async def scenario(media: FakeMedia, events: list[MediaEvent]) -> None:
        media.available = False
        with pytest.raises(MediaUnavailable):
            await media.open("a", events.append)
        assert not media.healthy()
        assert media.legs == {}

    virtually(scenario)


def test_who_hears_whom_is_remembered() -> None:
    async def scenario(media: FakeMedia, events: list[MediaEvent]) -> None:
        caller, agent, supervisor = [await media.open(name, events.append) for name in ("a", "b", "c")]
        media.connect(conference.whisper(caller, agent, supervisor))
        assert caller.hears == {agent: 1.0}
        assert agent.hears == {caller: 1.0, supervisor: 1.0}
        assert supervisor.hears == {caller: 1.0, agent: 1.0}
        media.connect(conference.together(caller, agent))
        assert supervisor.hears == {}
        await supervisor.close()
        media.connect(conference.together(agent, supervisor))
        assert (caller.hears, agent.hears) == ({agent: 1.0}, {caller: 1.0}), "a leg that is closed takes no part"
        with pytest.raises(MediaError):
            media.connect({(caller, agent): 100.0})
        with pytest.raises(MediaError):
            media.connect({(caller, object()): 1.0})  # type: ignore[dict-item]
        caller.adjust(heard=0.5)
        assert (caller.heard, caller.spoken) == (0.5, 1.0)
        with pytest.raises(MediaError):
            caller.adjust(spoken=float("nan"))

    virtually(scenario)
