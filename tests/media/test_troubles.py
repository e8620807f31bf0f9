"""Thresholds: each trouble is told once, with figures, and once when it is over."""

import pytest

from media.api import Recovered, Trouble, Troubled
from media.rtp.troubles import HINTS, WINDOW_SECONDS, Sight, Thresholds, Watch


class Leg:
    """A leg that is looked at each second, whose packets come as told."""

    def __init__(self, **thresholds: float) -> None:
        self.watch = Watch(Thresholds(**thresholds))  # type: ignore[arg-type]
        self.now = 100.0
        self.sight = Sight(True, 100.0, False, 0, 0, 0, 1.0, 0, -1, None, 0, 0, 0, 0.0)
        self.events: list[Troubled | Recovered] = []

    def run(self, seconds: int, *, lost: int = 0, sends: bool = True, hears: bool = True, **changes: object) -> None:
        for _ in range(seconds):
            self.now += 1
            sight = self.sight
            come = 50 if sends else 0
            self.sight = sight._replace(
                heard_at=self.now if sends else sight.heard_at,
                expected=sight.expected + come,
                received=sight.received + come - (lost if sends else 0),
                lost=sight.lost + (lost if sends else 0),
                sent=sight.sent + 50,
                reports=sight.reports + (round(self.now) % 5 == 0),
            )
            if hears and round(self.now) % 5 == 0:
                self.sight = self.sight._replace(far_expected=self.sight.sent, far_at=self.now)
            self.sight = self.sight._replace(**changes)  # type: ignore[arg-type]
            self.events += self.watch.look(self.sight, self.now)

    def told(self) -> list[tuple[str, Trouble]]:
        kinds = {Troubled: "worse", Recovered: "better"}
        return [(kinds[type(event)], event.trouble) for event in self.events]


def test_a_good_leg_has_no_troubles() -> None:
    leg = Leg()
    leg.run(300)
    assert leg.told() == []


def test_loss_is_told_once_until_it_is_clearly_over() -> None:
    leg = Leg(loss_percent=3)
    leg.run(11)
    leg.run(40, lost=5)
    leg.run(20, lost=1)  # 2 %: not over before it is below half of the threshold
    assert leg.told() == [("worse", Trouble.HIGH_LOSS)]
    assert leg.events[0] == Troubled(Trouble.HIGH_LOSS, "10.0 % of 500 packets lost")
    leg.run(20)
    (_, better) = leg.events
    assert isinstance(better, Recovered)
    assert better.seconds >= 40
    leg.run(20, lost=5)
    assert leg.told() == [("worse", Trouble.HIGH_LOSS), ("better", Trouble.HIGH_LOSS), ("worse", Trouble.HIGH_LOSS)]
    assert leg.watch.told == [Trouble.HIGH_LOSS]


def test_loss_of_a_few_packets_says_nothing() -> None:
    leg = Leg()
    for _ in range(30):
        leg.run(1, sends=True, expected=leg.sight.expected + 2, lost=0)
        leg.sight = leg.sight._replace(lost=leg.sight.lost + 1)
    assert Trouble.HIGH_LOSS not in leg.watch.told


def test_jitter() -> None:
    leg = Leg(jitter_ms=50)
    leg.run(12, jitter_ms=49.0)
    assert leg.told() == []
    leg.run(12, jitter_ms=80.0)
    assert leg.events == [Troubled(Trouble.HIGH_JITTER, "jitter of 80 ms")]
    leg.run(12, jitter_ms=20.0)
    assert leg.told()[-1] == ("better", Trouble.HIGH_JITTER)


def test_who_neither_sends_nor_reports_is_gone() -> None:
    leg = Leg()
    leg.run(20)
    leg.run(10, sends=False, hears=False, reports=leg.sight.reports)
    assert leg.events == [Troubled(Trouble.NO_RTP, "nothing received for 6 s")]
    leg.run(3)
    assert leg.events[1:] == [Recovered(Trouble.NO_RTP, 5.0)]


def test_who_reports_that_he_hears_us_but_is_not_heard_has_audio_one_way() -> None:
    leg = Leg()
    leg.run(20)
    leg.run(10, sends=False)
    (event,) = leg.events
    assert isinstance(event, Troubled)
    assert event.trouble is Trouble.ONE_WAY_AUDIO
    assert "reports that it receives us" in event.detail
    leg.run(3)
    assert leg.told()[-1] == ("better", Trouble.ONE_WAY_AUDIO)


def test_who_is_not_heard_while_the_other_side_is_has_audio_one_way() -> None:
    leg = Leg()
    leg.run(20)
    leg.run(10, sends=False, hears=False, opposed=True)
    assert leg.events == [Troubled(Trouble.ONE_WAY_AUDIO, "nothing received for 6 s, but the other side is received")]


@pytest.mark.parametrize("heard_before", [True, False])
def test_who_is_heard_but_reports_nothing_of_ours_has_audio_one_way(heard_before: bool) -> None:
    leg = Leg()
    leg.run(20, hears=heard_before)
    leg.run(30, hears=False)
    (event,) = leg.events
    assert event == Troubled(Trouble.ONE_WAY_AUDIO, "the peer reports that it receives nothing from us")
    leg.run(10)
    assert leg.told()[-1] == ("better", Trouble.ONE_WAY_AUDIO)


def test_who_sends_no_reports_is_not_said_to_hear_nothing() -> None:
    leg = Leg()
    leg.run(60, hears=False, reports=0)
    assert leg.told() == []


@pytest.mark.parametrize("changes", [{"expects": False}, {"rests": True}])
def test_who_holds_or_sends_comfort_noise_is_not_missed(changes: dict[str, bool]) -> None:
    leg = Leg()
    leg.run(60, sends=False, **changes)
    assert leg.told() == []


def test_silence_of_who_sends_packets() -> None:
    leg = Leg(silence_seconds=60)
    leg.run(60, loud_at=100.0)
    assert leg.told() == []
    leg.run(2, loud_at=100.0)
    assert leg.events == [Troubled(Trouble.SILENCE, "nothing but silence for 61 s")]
    leg.run(1, loud_at=163.0)
    assert leg.told()[-1] == ("better", Trouble.SILENCE)


def test_who_sends_nothing_is_not_told_to_be_silent_as_well() -> None:
    leg = Leg()
    leg.run(120, sends=False, hears=False, loud_at=100.0)
    assert leg.told() == [("worse", Trouble.NO_RTP)]


def test_wrong_payload_types() -> None:
    leg = Leg(wrong_payloads=25)
    leg.run(11)
    leg.run(11, wrong=24, wrong_payload=18)
    assert leg.told() == []
    leg.run(11, wrong=60, wrong_payload=18)
    assert leg.events == [Troubled(Trouble.WRONG_PAYLOAD, "36 packets of payload type 18, which was not agreed")]
    leg.run(11, wrong=60, wrong_payload=18)
    assert leg.told()[-1] == ("better", Trouble.WRONG_PAYLOAD)


def test_zero_turns_each_off() -> None:
    leg = Leg(no_rtp_seconds=0, silence_seconds=0, loss_percent=0, jitter_ms=0, wrong_payloads=0)
    leg.run(40, lost=40, jitter_ms=900.0, loud_at=1.0, hears=False)
    for _ in range(30):
        leg.run(1, wrong=leg.sight.wrong + 50)
    leg.run(60, sends=False)
    assert leg.told() == []


def test_what_still_troubles_a_leg_troubles_its_next_call() -> None:
    leg = Leg()
    leg.run(20)
    leg.run(10, sends=False, hears=False, reports=0)
    leg.run(30, lost=20)
    leg.watch.settle()
    assert leg.watch.told == [Trouble.HIGH_LOSS]


def test_each_trouble_says_what_it_means_and_what_to_check() -> None:
    assert set(HINTS) == set(Trouble)
    assert all(hint.meaning and hint.check for hint in HINTS.values())
    assert WINDOW_SECONDS == 10
