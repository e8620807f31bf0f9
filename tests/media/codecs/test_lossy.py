"""Speech in every codec over a network that loses, delays and reorders: how much of it is heard, and when."""

import random

import numpy as np
import pytest

from media.codecs import ENCODABLE, Samples, make_encoder, sample_rate_of
from media.codecs.playout import Playout
from media.rtp.stream import Format
from tests.media.codecs.signals import compare, rms, speech

FORMATS = {
    "PCMU": Format(0, "PCMU"),
    "G722": Format(9, "G722"),
    "opus": Format(96, "opus", 48000, 2, "useinbandfec=1"),
    "AMR": Format(97, "AMR"),
    "AMR-WB": Format(99, "AMR-WB", 16000),
}
TURNS = 3  # how often the sentence is said

pytestmark = pytest.mark.peer("espeak-ng")


def bursts(rng: random.Random, count: int, enter: float, leave: float) -> set[int]:
    """Gilbert's losses: a packet begins a burst with probability `enter` and ends it with `leave`."""
    lost, bad = set(), False
    for n in range(count):
        bad = rng.random() >= leave if bad else rng.random() < enter
        if bad:
            lost.add(n)
    return lost


def heard_through(
    format_: Format, said: Samples, seed: int, *, enter: float, jitter: float
) -> tuple[Samples, Playout, int]:
    """What is played at the codec's rate, where a third of the losses follow another."""
    rng = random.Random(seed)
    encoder = make_encoder(format_)
    size, step = encoder.sample_rate // 50, format_.clock_rate // 50
    packets = [encoder.encode(said[start : start + size]) for start in range(0, len(said), size)]
    lost = bursts(rng, len(packets), enter, 0.65) - {0, len(packets) - 1}
    coming = sorted(
        (10 + n * 0.02 + rng.expovariate(1 / jitter) if jitter else 10 + n * 0.02, n)
        for n in range(len(packets))
        if n not in lost
    )
    playout = Playout(encoder.sample_rate)
    heard = []
    for tick in range(len(packets) + 15):
        now = 10.005 + tick * 0.02
        while coming and coming[0][0] <= now:
            arrival, n = coming.pop(0)
            playout.put(format_, playout, n, n * step, packets[n], arrival)
        heard.append(playout.pull(size, now))
    return np.concatenate(heard), playout, len(lost)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("name", FORMATS)
def test_losses_in_bursts_leave_speech_that_resembles_what_was_said(name: str, seed: int) -> None:
    format_ = FORMATS[name]
    if format_.name not in ENCODABLE:
        pytest.skip(f"{name} cannot be encoded on this machine")
    rate = sample_rate_of(format_)
    said = np.tile(speech(rate), TURNS)
    heard, playout, lost = heard_through(format_, said, seed, enter=0.03, jitter=0.0)
    assert 0.02 < lost / (len(said) * 50 / rate) < 0.08
    assert playout.buffer.lost == lost, "what was lost is what is counted"
    assert playout.undecodable == 0
    measured = compare(said, heard, rate, longest_ms=80)
    assert measured.likeness > 0.9
    assert measured.gain_db == pytest.approx(0, abs=1.5)
    assert measured.delay_ms < 60


@pytest.mark.skipif("opus" not in ENCODABLE, reason="there is no libopus")
def test_what_opus_repeats_is_waited_for_once_something_was_lost() -> None:
    """In-band FEC helps only who is a packet behind; a stream without losses is not delayed for it."""
    said = np.tile(speech(48000), TURNS)
    likeness = {}
    for parameters in ("useinbandfec=1", ""):
        heard, playout, lost = heard_through(Format(96, "opus", 48000, 2, parameters), said, 3, enter=0.03, jitter=0.0)
        assert playout.buffer.lost == lost
        assert 30 <= playout.delay_ms < 60
        likeness[parameters] = compare(said, heard, 48000, longest_ms=80).likeness
    assert likeness["useinbandfec=1"] > max(0.97, likeness[""] + 0.01)
    _, undisturbed, _ = heard_through(FORMATS["opus"], said, 3, enter=0.0, jitter=0.0)
    assert undisturbed.delay_ms < 30


@pytest.mark.parametrize("name", FORMATS)
def test_jitter_costs_delay_but_little_speech(name: str) -> None:
    format_ = FORMATS[name]
    if format_.name not in ENCODABLE:
        pytest.skip(f"{name} cannot be encoded on this machine")
    rate = sample_rate_of(format_)
    said = np.tile(speech(rate), TURNS)
    heard, playout, _ = heard_through(format_, said, 3, enter=0.0, jitter=0.012)
    assert playout.buffer.reordered > 10
    assert playout.buffer.late + playout.buffer.lost < 0.03 * playout.buffer.received
    assert 20 < playout.delay_ms < 120
    assert rms(heard) == pytest.approx(rms(said), rel=0.15)
    last = len(said) // TURNS * (TURNS - 1)
    measured = compare(said[last:], heard[last:], rate, longest_ms=200)
    assert measured.likeness > 0.6
    assert 10 < measured.delay_ms < 140
