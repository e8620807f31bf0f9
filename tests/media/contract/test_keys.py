"""Keys, whichever the media backend is: told once, carried across a bridge or hidden, pressed for the peer."""

from collections.abc import Callable

import pytest

from media.api import (
    Capability,
    Digit,
    MediaError,
    PlayFinished,
)
from tests.media.conftest import until

from .conftest import Parties, settled, talking

HIGH, LOW, MIDDLE = 1500, 500, 1000


async def test_each_key_is_told_once_and_stops_a_prompt(party: Parties) -> None:
    one = await party()
    one.leg.play(["long"], interruptible=True, token=4)
    await talking(lambda: one.phone.hears(MIDDLE), (one, LOW))
    for event in (5, 5, 11):
        one.press(event)
        spoken = one.phone.sequence
        await talking(lambda spoken=spoken: one.phone.sequence > spoken + 8, (one, LOW))  # type: ignore[misc]
    await until(lambda: len(one.events) == 4, "three keys and the end")
    assert [event for event in one.events if isinstance(event, Digit)] == [Digit("5"), Digit("5"), Digit("#")]
    ends = [event for event in one.events if isinstance(event, PlayFinished)]
    assert [(end.token, end.interrupted) for end in ends] == [(4, True)]


async def test_keys_cross_a_bridge(party: Parties) -> None:
    one = await party()
    other = await party(answers=True, like=one)
    one.leg.bridge(other.leg)
    await talking(lambda: other.phone.hears(LOW), (one, LOW), (other, HIGH))
    other.phone.forget()
    one.press(8)
    await until(lambda: [header for header in other.phone.headers() if header[1] & 0x7F == 101], "the event")
    await until(lambda: one.events)
    assert (one.events, other.events) == ([Digit("8")], [])


async def test_a_key_told_by_signalling_counts_as_one_of_rtp(party: Parties) -> None:
    one = await party()
    one.leg.play(["long"], interruptible=True, token=4)
    one.leg.receive_digit("7", ms=160)
    await until(lambda: len(one.events) == 2, "the key and the end of the prompt")
    assert one.events[0] == Digit("7", "info")
    assert isinstance(one.events[1], PlayFinished)


@pytest.mark.parametrize(("digits", "ms"), [("12x", 100), (" ", 100), ("5", 0), ("5", 60_001)])
async def test_what_is_no_key_is_refused(party: Parties, digits: str, ms: int) -> None:
    one = await party()
    for call in (one.leg.send_digits, one.leg.receive_digit):
        with pytest.raises(MediaError):
            call(digits, ms=ms)


async def test_keys_are_pressed_for_the_peer(able: Callable[[Capability], None], party: Parties) -> None:
    able(Capability.SENT_DIGITS)
    one = await party()
    one.leg.send_digits("19#", ms=60)
    await until(lambda: len([header for header in one.phone.headers() if header[1] & 0x7F == 101]) == 15, "events")
    begun = [packet[12] for packet in one.phone.read() if packet[1] == 0x80 | 101]
    assert begun == [1, 9, 11]


async def test_hidden_keys_are_told_and_do_not_cross_a_bridge(
    able: Callable[[Capability], None], party: Parties
) -> None:
    able(Capability.HIDDEN_DIGITS)
    one = await party()
    other = await party(answers=True, like=one)
    one.leg.bridge(other.leg)
    await talking(lambda: other.phone.hears(LOW), (one, LOW), (other, HIGH))
    one.leg.hide_digits(True)
    await settled(one)
    other.phone.forget()
    one.press(8)
    await until(lambda: one.events)
    await talking(lambda: other.phone.hears(LOW), (one, LOW), (other, HIGH))
    assert one.events == [Digit("8")]
    assert not [header for header in other.phone.headers() if header[1] & 0x7F == 101]
