"""What every media backend does, whichever it is: real sockets, real tones."""

from collections.abc import Callable
from pathlib import Path

import pytest

from media import conference
from media.api import (
    Capability,
    Lost,
    Media,
    MediaError,
    NotAcceptable,
    PlayFinished,
    Unsupported,
)
from media.sdp.description import parse
from tests.media.conftest import until

from .conftest import Backend, Parties, Party, TonePhone, port_of, settled, strength, talking

HIGH, LOW, MIDDLE = 1500, 500, 1000


async def test_an_offer_is_answered_in_kind(media: Media, party: Parties) -> None:
    one = await party("PCMA")
    description = parse(one.leg.local_sdp)
    assert description.media[0].formats == ["8", "101"]
    assert description.direction(description.media[0]) == "sendrecv"
    assert one.port % 2 == 0
    for offer in ("", "nonsense", one.phone.sdp().replace("RTP/AVP 8 101", "RTP/AVP 18")):
        with pytest.raises(NotAcceptable):
            await media.open("bad", print, offer=offer)


async def test_an_offer_of_ours_is_like_another_leg(media: Media, party: Parties) -> None:
    one = await party("PCMA")
    other = await party("PCMA", answers=True, like=one)
    assert parse(other.leg.local_sdp).media[0].formats[0] == "8"
    other.leg.play(["long"])
    await until(lambda: other.phone.hears(MIDDLE), "the prompt")


async def test_prompts_follow_one_another_and_end(party: Parties) -> None:
    one = await party()
    one.leg.play(["low", "high"], token=7)
    await talking(lambda: one.events, (one, LOW))
    assert one.events == [PlayFinished(7, 800, False)]
    heard = one.phone.heard()
    assert strength(heard[:3000], LOW) > 0.9
    assert strength(heard[3400:6200], HIGH) > 0.9


async def test_a_prompt_repeats_until_it_is_stopped(party: Parties) -> None:
    one = await party()
    one.leg.play(["low"], loop=True, token=3)
    await until(lambda: len(one.phone.heard()) > 8000, "more than it lasts once")
    assert strength(one.phone.heard()[:8000], LOW) > 0.8
    one.leg.stop()
    await until(lambda: one.events)
    (finished,) = one.events
    assert isinstance(finished, PlayFinished)
    assert (finished.token, finished.interrupted) == (3, True)
    assert finished.heard_ms >= 800


async def test_another_prompt_takes_the_place_of_the_first(party: Parties) -> None:
    one = await party()
    one.leg.play(["long"], token=1)
    await until(lambda: one.phone.hears(MIDDLE), "the first")
    one.leg.play(["high"], token=2)
    await until(lambda: one.phone.hears(HIGH), "the second")
    await until(lambda: len(one.events) == 2, "both ends")
    assert [(event.token, event.interrupted) for event in one.events] == [(1, True), (2, False)]  # type: ignore[union-attr]


async def test_a_prompt_that_is_not_there_ends_at_once(media: Media, party: Parties) -> None:
    one = await party()
    one.leg.play(["nowhere"], token=9)
    await until(lambda: one.events)
    assert one.events == [PlayFinished(9, 0, False)]
    await until(lambda: media.counters().prompts_missing == 1, "its count")


async def test_a_bridge_carries_the_same_codec_both_ways(party: Parties) -> None:
    one = await party()
    other = await party(answers=True, like=one)
    one.leg.bridge(other.leg)
    await talking(lambda: one.phone.hears(HIGH) and other.phone.hears(LOW), (one, LOW), (other, HIGH))


@pytest.mark.parametrize("codec", ["PCMA", "G722"])
async def test_a_bridge_joins_different_codecs(able: Callable[[Capability], None], party: Parties, codec: str) -> None:
    if codec == "G722":
        able(Capability.TRANSCODING)
    one = await party("PCMU")
    other = await party(codec)
    one.leg.bridge(other.leg)
    await talking(lambda: one.phone.hears(HIGH) and other.phone.hears(LOW), (one, LOW), (other, HIGH))


async def test_a_supervisor_hears_both_and_whispers_to_one(
    media: Media, able: Callable[[Capability], None], party: Parties
) -> None:
    able(Capability.MIXING)
    caller = await party()
    agent, supervisor = [await party(answers=True, like=caller) for _ in range(2)]
    three = (caller, LOW), (agent, HIGH), (supervisor, MIDDLE)
    media.connect(conference.listen(caller.leg, agent.leg, supervisor.leg))
    await talking(lambda: supervisor.phone.says(LOW, HIGH) and agent.phone.hears(LOW), *three)
    media.connect(conference.whisper(caller.leg, agent.leg, supervisor.leg))
    await talking(lambda: agent.phone.says(LOW, MIDDLE) and caller.phone.hears(HIGH), *three)


async def test_a_mute_peer_is_heard_again_when_it_is_not(able: Callable[[Capability], None], party: Parties) -> None:
    able(Capability.VOLUME)
    one = await party()
    other = await party(answers=True, like=one)
    one.leg.bridge(other.leg)
    one.leg.adjust(spoken=0.0)
    await talking(lambda: one.phone.hears(HIGH), (one, LOW), (other, HIGH))
    assert not other.phone.hears(LOW)
    one.leg.adjust()
    await talking(lambda: other.phone.hears(LOW), (one, LOW), (other, HIGH))
    with pytest.raises(MediaError):
        one.leg.adjust(heard=-1.0)


async def test_a_prompt_hides_the_other_side_for_its_time(party: Parties) -> None:
    one = await party()
    other = await party(answers=True, like=one)
    one.leg.bridge(other.leg)
    await talking(lambda: one.phone.hears(HIGH) and other.phone.hears(LOW), (one, LOW), (other, HIGH))
    one.leg.play(["low"], token=2)
    await talking(lambda: one.phone.hears(LOW), (one, LOW), (other, HIGH), what="the prompt alone")
    await talking(lambda: other.phone.hears(LOW), (one, LOW), (other, HIGH), what="the one side still heard")
    await talking(lambda: one.events, (one, LOW), (other, HIGH), what="the end of the prompt")
    await talking(lambda: one.phone.hears(HIGH), (one, LOW), (other, HIGH), what="the other side again")


async def test_a_bridge_ends_and_another_begins(party: Parties) -> None:
    one, other, third = await party(), await party(), await party()
    one.leg.bridge(other.leg)
    await talking(lambda: one.phone.hears(HIGH), (one, LOW), (other, HIGH))
    one.leg.bridge(third.leg)
    await talking(lambda: one.phone.hears(MIDDLE), (one, LOW), (other, HIGH), (third, MIDDLE), what="the third")
    await talking(lambda: third.phone.hears(LOW), (one, LOW), (other, HIGH), (third, MIDDLE), what="the first")
    third.leg.unbridge()
    one.leg.play(["long"], token=1)
    await talking(lambda: one.phone.hears(MIDDLE), (other, HIGH), (third, HIGH), what="a prompt alone")


async def test_a_peer_hears_itself(able: Callable[[Capability], None], party: Parties) -> None:
    able(Capability.ECHO)
    one = await party()
    one.leg.echo()
    await talking(lambda: one.phone.hears(HIGH), (one, HIGH))


async def test_who_holds_is_sent_nothing(party: Parties) -> None:
    one = await party()
    other = await party(answers=True, like=one)
    one.leg.bridge(other.leg)
    await talking(lambda: one.phone.hears(HIGH) and other.phone.hears(LOW), (one, LOW), (other, HIGH))
    answer = await one.leg.reoffer(one.phone.sdp("sendonly"))
    assert "a=recvonly\r\n" in answer
    assert one.port == port_of(answer)
    await settled(one)
    one.phone.forget()
    other.phone.forget()
    await talking(lambda: other.phone.hears(LOW), (one, LOW), (other, HIGH), what="the one who holds")
    assert not one.phone.read()
    assert "a=sendrecv\r\n" in await one.leg.reoffer(one.phone.sdp())
    await talking(lambda: one.phone.hears(HIGH), (one, LOW), (other, HIGH), what="the other after the hold")


async def test_a_prompt_is_heard_when_a_hold_ends(party: Parties) -> None:
    one = await party()
    await one.leg.reoffer(one.phone.sdp("inactive"))
    one.leg.play(["long"], loop=True)
    await settled(one)
    assert not one.phone.read()
    await one.leg.reoffer(one.phone.sdp())
    await until(lambda: one.phone.hears(MIDDLE), "the prompt")


async def test_a_peer_moves_to_another_port(party: Parties) -> None:
    one = await party()
    other = await party(answers=True, like=one)
    one.leg.bridge(other.leg)
    await talking(lambda: other.phone.hears(LOW) and one.phone.hears(HIGH), (one, LOW), (other, HIGH))
    before, port = one.phone, one.port
    one.phone = type(before)("PCMU")
    answer = await one.leg.reoffer(one.phone.sdp())
    assert port_of(answer) == port
    other.phone.forget()
    await talking(
        lambda: other.phone.hears(LOW) and one.phone.hears(HIGH), (one, LOW), (other, HIGH), what="the new port"
    )
    before.close()


async def test_a_reoffer_brings_another_codec(able: Callable[[Capability], None], party: Parties) -> None:
    one = await party("PCMU")
    other = await party("PCMU", answers=True, like=one)
    one.leg.bridge(other.leg)
    await talking(lambda: other.phone.hears(LOW), (one, LOW), (other, HIGH))
    before = one.phone
    one.phone = type(before)("PCMA")
    answer = await one.leg.reoffer(one.phone.sdp())
    assert parse(answer).media[0].formats == ["8", "101"]
    await talking(lambda: one.phone.hears(HIGH) and other.phone.hears(LOW), (one, LOW), (other, HIGH))
    before.close()


async def test_a_reoffer_that_cannot_be_taken_changes_nothing(party: Parties) -> None:
    one = await party()
    before = one.leg.local_sdp
    with pytest.raises(NotAcceptable):
        await one.leg.reoffer(one.phone.sdp().replace("RTP/AVP 0 101", "RTP/AVP 18"))
    assert one.leg.local_sdp == before
    one.leg.play(["low"], token=1)
    await until(lambda: one.events, "the end of the prompt")


async def test_an_offer_of_ours_may_be_asked_for_in_the_dialog(party: Parties) -> None:
    one = await party()
    ours = await one.leg.reoffer(None)
    assert port_of(ours) == one.port
    one.leg.accept(one.phone.sdp())
    one.leg.play(["long"])
    await until(lambda: one.phone.hears(MIDDLE), "the prompt")


async def test_who_came_first_is_the_peer(party: Parties) -> None:
    """A stranger cannot take a stream over, nor be heard, once the peer was heard."""
    one, stranger = await party(), await party()
    other = await party(answers=True, like=one)
    one.leg.bridge(other.leg)
    await talking(lambda: other.phone.hears(LOW) and one.phone.hears(HIGH), (one, LOW), (other, HIGH))
    one.phone.forget()
    stranger.phone.forget()

    def intrude() -> bool:
        stranger.phone.tone(one.port, MIDDLE)
        return len(one.phone.heard()) > 8000

    await talking(intrude, (one, LOW), (other, HIGH), what="a second of talk")
    assert other.phone.hears(LOW)
    assert not stranger.phone.read()


async def test_a_leg_is_reported_on(party: Parties) -> None:
    one = await party()
    other = await party(answers=True, like=one)
    one.leg.bridge(other.leg)
    await talking(lambda: len(other.phone.read()) >= 50, (one, LOW), (other, HIGH))
    first = await one.leg.measure()
    assert first.codec == "PCMU"
    assert first.packets_received >= 50
    assert first.packets_sent > 0
    assert (first.lost, first.recording) == (0, None)
    second = await one.leg.close()
    assert second.packets_received < first.packets_received
    assert await one.leg.close() == second


async def test_what_is_closed_is_gone(media: Media, party: Parties) -> None:
    one = await party()
    assert media.counters().legs >= 0
    one.leg.play(["long"], token=1)
    await until(lambda: one.phone.hears(MIDDLE))
    await one.leg.close()
    one.phone.forget()
    assert not one.events
    one.leg.play(["low"])
    one.leg.stop()
    one.leg.unbridge()
    await until(lambda: media.counters().legs == 0, "the end of the leg")
    assert not one.events


async def test_a_leg_is_bridged_to_another_of_its_backend_only(media: Media, party: Parties) -> None:
    one = await party()
    with pytest.raises(MediaError):
        one.leg.bridge(one.leg)
    with pytest.raises(MediaError):
        one.leg.bridge(object())  # type: ignore[arg-type]


async def test_what_is_not_declared_is_refused(media: Media, party: Parties, tmp_path: Path) -> None:
    one, other = await party(), await party()
    able = media.capabilities()
    refused: dict[Capability, Callable[[], None]] = {
        Capability.RECORDING: lambda: one.leg.bridge(other.leg, record=str(tmp_path / "call.wav")),
        Capability.MIXING: lambda: media.connect(conference.together(one.leg, other.leg)),
        Capability.VOLUME: lambda: one.leg.adjust(heard=0.5),
    }
    if able >= refused.keys():
        pytest.skip("declared: all of these")
    for capability in refused.keys() - able:
        with pytest.raises(Unsupported):
            refused[capability]()


async def test_legs_of_what_dies_are_lost_and_calls_go_on_elsewhere(
    backend: Backend, media: Media, party: Parties
) -> None:
    legs = [await party() for _ in range(4)]
    backend.lose(legs[0].leg)
    await until(lambda: any(isinstance(event, Lost) for event in legs[0].events), "the loss")
    there = [one for one in legs if one.events]
    assert 0 < len(there) < len(legs)
    assert all(len(one.events) == 1 for one in there)
    assert media.healthy()
    again = await party()
    again.leg.play(["long"])
    await until(lambda: again.phone.hears(MIDDLE), "a new call")
    for one in set(legs) - set(there):
        one.leg.play(["long"])
        await until(lambda one=one: one.phone.hears(MIDDLE), "a call on the other")  # type: ignore[misc]
    report = await legs[0].leg.close()
    assert "lost" in report.basis


async def test_a_peer_that_offers_several_codecs_is_understood_in_what_it_speaks(media: Media, party: Parties) -> None:
    one = Party(TonePhone("PCMA"))
    other = await party("PCMU")
    one.leg = await media.open("several", one.events.append, offer=one.phone.sdp("sendrecv", "PCMU", "G722"))
    assert parse(one.leg.local_sdp).media[0].formats[0] == "8"
    one.leg.bridge(other.leg)
    await talking(lambda: other.phone.hears(LOW) and one.phone.hears(HIGH), (one, LOW), (other, HIGH))
    await one.leg.close()
    one.phone.close()
