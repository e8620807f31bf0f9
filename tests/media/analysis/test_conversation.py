"""Who spoke, talk-over and dead air, from loud moments."""

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media.analysis.conversation import DEAD, PAUSE, SLOTS, Conversation, Voice, _closed
from media.api import Talk

BEGIN = 1000.0


class Talkers:
    """Voices that speak at stated times, in seconds since the beginning."""

    def __init__(self, count: int = 2) -> None:
        self.conversation = Conversation()
        self.voices = [Voice() for _ in range(count)]
        for voice in self.voices:
            self.conversation.join(voice, BEGIN)

    def run(self, seconds: float, *speeches: list[tuple[float, float]], fold_each: int = SLOTS) -> list[Talk | None]:
        for slot in range(round(seconds * SLOTS)):
            now = BEGIN + (slot + 0.5) / SLOTS
            for voice, times in zip(self.voices, speeches, strict=True):
                if any(begin <= slot / SLOTS < end for begin, end in times):
                    voice.speak(now)
            if slot % fold_each == 0:
                self.conversation.fold(now)
        for voice in self.voices:
            self.conversation.leave(voice, BEGIN + seconds)
        return [voice.talk() for voice in self.voices]


def test_each_speaks_in_turn() -> None:
    caller, agent = Talkers().run(20, [(0, 5), (12, 15)], [(5, 12), (15, 19)])
    assert caller == Talk(connected=20, spoken=8, heard=11)
    assert agent == Talk(connected=20, spoken=11, heard=8)


def test_talk_over_is_when_both_speak() -> None:
    caller, agent = Talkers().run(10, [(0, 6)], [(4, 9)])
    assert caller is not None
    assert agent is not None
    assert caller.both == agent.both == 2


def test_dead_air_is_when_nobody_speaks_for_long() -> None:
    caller, _ = Talkers().run(30, [(0, 2), (9, 10)], [(3.5, 4), (18, 29)])
    # 1.5 s, 5 s, 8 s and 1 s of silence.
    assert caller is not None
    assert (caller.dead, caller.longest_dead) == (13, 8)


def test_silence_at_the_end_counts() -> None:
    caller, _ = Talkers().run(30, [(0, 2)], [])
    assert caller is not None
    assert (caller.dead, caller.longest_dead) == (28, 28)


def test_pauses_between_words_are_speech() -> None:
    words = [(start / 2, start / 2 + 0.2) for start in range(20)]  # 0.3 s between them
    caller, _ = Talkers().run(10, words, [])
    assert caller is not None
    assert caller.spoken == pytest.approx(9.7)


def test_three_hear_each_other() -> None:
    one, two, three = Talkers(3).run(10, [(0, 4)], [(3, 6)], [])
    assert one is not None
    assert two is not None
    assert three is not None
    assert (one.spoken, one.heard, one.both) == (4, 3, 1)
    assert (three.spoken, three.heard, three.both) == (0, 6, 0)


def test_time_in_which_somebody_hears_a_prompt_or_holds_does_not_count() -> None:
    talkers = Talkers()
    caller, agent = talkers.voices
    agent.engaged = False
    talkers.conversation.fold(BEGIN + 20)
    agent.engaged = True
    talkers.conversation.fold(BEGIN + 30.5)
    talk = caller.talk()
    assert talk is not None
    assert talk.connected == pytest.approx(10, abs=0.6)


def test_a_codec_that_cannot_be_decoded_leaves_it_unknown() -> None:
    talkers = Talkers()
    talkers.voices[1].known = False
    assert talkers.run(20, [(0, 5)], []) == [None, None]


def test_who_is_alone_has_no_conversation() -> None:
    assert Talkers(1).run(5, [(0, 5)]) == [None]


def test_an_account_begins_anew() -> None:
    talkers = Talkers()
    talkers.conversation.fold(BEGIN + 5)
    for voice in talkers.voices:
        voice.reset()
    caller, _ = talkers.run(6, [(5, 6)], [])
    assert caller is not None
    assert caller.connected == pytest.approx(1.5, abs=0.1)


@given(st.integers(0, 2**32), st.integers(1, 40))
def test_it_does_not_matter_how_often_it_is_reckoned(seed: int, fold_each: int) -> None:
    chance = random.Random(seed)
    speeches: list[list[tuple[float, float]]] = [
        sorted((float(at), at + chance.uniform(0.1, 4)) for at in chance.sample(range(40), 5)) for _ in range(2)
    ]
    assert Talkers().run(40, *speeches, fold_each=fold_each) == Talkers().run(40, *speeches, fold_each=1)


@given(st.integers(0, 2**60))
def test_pauses_are_closed_and_nothing_else(mask: int) -> None:
    bits = [slot for slot in range(61) if mask >> slot & 1]
    closed = {slot for slot in range(70) if _closed(mask) >> slot & 1}
    expected = set(bits)
    for one, other in itertools.pairwise(bits):
        if other - one - 1 <= PAUSE:
            expected |= set(range(one, other))
    assert closed == expected
    assert DEAD > PAUSE
