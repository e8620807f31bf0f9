"""The adaptive jitter buffer, on simulated networks and a simulated reader."""

import random
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media.rtp.jitter import CAPACITY, NOT_YET, JitterBuffer, Missing, Packet

RATE = 8000
STEP = 160
SENT_EACH = 0.020


class Sent(NamedTuple):
    arrival: float
    sequence: int
    timestamp: int
    number: int


class Heard(NamedTuple):
    numbers: list[int | None]  # what each 20 ms carried; None: nothing
    missing: int
    delays: list[float]


def network(
    count: int,
    *,
    delay: Callable[[int], float] = lambda n: 0.05,
    lost: Callable[[int], bool] = lambda n: False,
    first_sequence: int = 65500,
    first_timestamp: int = 2**32 - 1000,
    drift: float = 0.0,
    begin: float = 100.0,
) -> Iterator[Sent]:
    """Packets in the order of their arrival; `drift` is by how much the sender's clock is fast."""
    packets = [
        Sent(
            begin + n * SENT_EACH / (1 + drift) + delay(n),
            first_sequence + n & 0xFFFF,
            first_timestamp + n * STEP & 0xFFFFFFFF,
            n,
        )
        for n in range(count)
        if not lost(n)
    ]
    return iter(sorted(packets))


def listen(
    buffer: JitterBuffer[int], packets: Iterable[Sent], *, phase: float = 0.007, seconds: float | None = None
) -> Heard:
    """Read each 20 ms until all has been read, as a mixer does."""
    coming = sorted(packets)
    now = coming[0].arrival - coming[0].arrival % SENT_EACH + phase
    end = (coming[-1].arrival + 0.5) if seconds is None else now + seconds
    heard = Heard([], 0, [])
    missing = 0
    while now < end:
        while coming and coming[0].arrival <= now:
            arrived = coming.pop(0)
            buffer.put(arrived.sequence, arrived.timestamp, arrived.number, arrived.arrival)
        item = buffer.get(now)
        if isinstance(item, Packet):
            heard.numbers.append(item.payload)
            heard.delays.append(buffer.delay_ms)
        else:
            heard.numbers.append(None)
            missing += isinstance(item, Missing)
        now += SENT_EACH
    return Heard(heard.numbers, missing, heard.delays)


def played(heard: Heard) -> list[int]:
    return [number for number in heard.numbers if number is not None]


def gaps(heard: Heard) -> int:
    """The 20 ms pieces without sound between the first and the last with."""
    first = next(i for i, number in enumerate(heard.numbers) if number is not None)
    last = max(i for i, number in enumerate(heard.numbers) if number is not None)
    return sum(number is None for number in heard.numbers[first:last])


def gilbert_elliott(rng: random.Random, *, enter: float, leave: float, loss_bad: float = 1.0) -> Callable[[int], bool]:
    """Loss in bursts: from the good state with probability `enter` into the bad one, out of it with `leave`."""
    state = {"bad": False}

    def is_lost(_: int) -> bool:
        state["bad"] = rng.random() >= leave if state["bad"] else rng.random() < enter
        return state["bad"] and rng.random() < loss_bad

    return is_lost


def test_a_steady_stream_is_played_whole_in_order_through_every_wrap() -> None:
    buffer = JitterBuffer[int](RATE)
    heard = listen(buffer, network(500))
    assert played(heard) == list(range(500))
    assert (gaps(heard), heard.missing, buffer.lost, buffer.late) == (0, 0, 0, 0)
    assert buffer.target_ms == 10
    assert buffer.delay_ms < 60


@pytest.mark.parametrize("spread", [0.005, 0.02, 0.04, 0.08])
def test_the_depth_follows_the_jitter(spread: float) -> None:
    rng = random.Random(int(spread * 1000))
    buffer = JitterBuffer[int](RATE)
    heard = listen(buffer, network(3000, delay=lambda n: 0.03 + rng.uniform(0, spread)))
    late = heard.numbers[600:-40].count(None)
    assert late < 3 * 0.02 * 2400
    assert 0.8 * spread * 1000 <= buffer.target_ms <= spread * 1000 + 5 or buffer.target_ms == 10
    assert max(heard.delays[600:]) <= spread * 1000 + 45


def test_the_depth_falls_again_when_the_jitter_is_over() -> None:
    rng = random.Random(1)
    buffer = JitterBuffer[int](RATE)
    packets = list(network(4000, delay=lambda n: 0.03 + (rng.uniform(0, 0.1) if n < 1000 else 0)))
    listen(buffer, packets[:1000])
    assert buffer.target_ms > 80
    buffer = JitterBuffer[int](RATE)
    heard = listen(buffer, packets)
    assert buffer.target_ms == 10
    assert buffer.excess > 50 * 8  # this reader does not shorten what it plays, so the depth has stayed
    assert played(heard)[-1] == 3999


def test_what_came_in_a_burst_is_not_played_later_than_the_greatest_depth() -> None:
    buffer = JitterBuffer[int](RATE, maximum_ms=60)
    heard = listen(buffer, network(400, delay=lambda n: max(0.02, 4.42 - n * SENT_EACH) if 200 <= n < 220 else 0.02))
    assert buffer.target_ms <= 60
    after = heard.delays[-150:]
    assert max(after) <= 60 + 20
    assert buffer.discarded > 10
    assert played(heard)[-150:] == list(range(250, 400))


@pytest.mark.parametrize("seed", range(5))
def test_lost_packets_are_missed_once_each_at_their_time(seed: int) -> None:
    rng = random.Random(seed)
    gone = {n for n in range(1, 999) if rng.random() < 0.05}
    buffer = JitterBuffer[int](RATE, minimum_ms=40)
    heard = listen(buffer, network(1000, lost=gone.__contains__))
    assert played(heard) == [n for n in range(1000) if n not in gone]
    assert buffer.lost == len(gone)
    first = heard.numbers.index(0)
    assert heard.numbers[first : first + 1000] == [None if n in gone else n for n in range(1000)]
    assert heard.missing == len(gone)


@pytest.mark.parametrize(("enter", "leave"), [(0.01, 0.3), (0.02, 0.15), (0.005, 0.05)])
def test_bursts_of_loss_are_survived(enter: float, leave: float) -> None:
    rng = random.Random(7)
    is_lost = gilbert_elliott(rng, enter=enter, leave=leave)
    gone = {n for n in range(3000) if is_lost(n)} - {0, 2999}
    expected = enter / (enter + leave)
    assert len(gone) / 3000 == pytest.approx(expected, rel=0.5)
    buffer = JitterBuffer[int](RATE, minimum_ms=20)
    heard = listen(buffer, network(3000, delay=lambda n: 0.02 + rng.uniform(0, 0.015), lost=gone.__contains__))
    assert buffer.lost == len(gone)
    assert played(heard) == [n for n in range(3000) if n not in gone]
    assert gaps(heard) - len(gone) < 15


def test_a_missing_packet_comes_with_the_one_that_follows_it() -> None:
    buffer = JitterBuffer[str](RATE, minimum_ms=40)
    for n, text in ((0, "a"), (2, "c"), (3, "d")):
        buffer.put(n, n * STEP, text, 1 + n * SENT_EACH)
    assert buffer.get(1.06) == Packet(0, 0, "a")
    assert buffer.get(1.08) == Missing(STEP, "c")
    assert buffer.get(1.10) == Packet(2, 2 * STEP, "c")


def test_who_wants_to_look_ahead_has_the_packet_after_a_missing_one() -> None:
    gone = set(range(10, 200, 10))
    buffer = JitterBuffer[int](RATE)
    buffer.look_ahead()
    followed = 0
    coming = list(network(200, lost=gone.__contains__))
    for tick in range(220):
        now = 100.051 + tick * SENT_EACH
        while coming and coming[0].arrival <= now:
            arrived = coming.pop(0)
            buffer.put(arrived.sequence, arrived.timestamp, arrived.number, arrived.arrival)
        item = buffer.get(now)
        followed += isinstance(item, Missing) and item.following is not None
    assert followed == buffer.lost == len(gone)
    assert buffer.target_ms == 30  # without jitter it were 10


def test_of_two_missing_packets_only_the_last_is_followed_at_once() -> None:
    buffer = JitterBuffer[str](RATE, minimum_ms=40)
    buffer.put(0, 0, "a", 1.0)
    buffer.put(1, STEP, "b", 1.02)
    buffer.put(4, 4 * STEP, "e", 1.08)
    read = [buffer.get(1.04 + n * SENT_EACH) for n in range(5)]
    assert read[2:] == [Missing(STEP, None), Missing(STEP, "e"), Packet(4, 4 * STEP, "e")]


def test_reordered_packets_are_put_in_order() -> None:
    buffer = JitterBuffer[int](RATE, minimum_ms=60)
    heard = listen(buffer, network(500, delay=lambda n: 0.065 if n % 7 == 3 else 0.02))
    assert played(heard) == list(range(500))
    assert buffer.reordered == len(range(3, 500, 7))
    assert (buffer.lost, buffer.late) == (0, 0)


def test_a_packet_that_comes_too_late_is_counted_and_not_played() -> None:
    buffer = JitterBuffer[int](RATE)
    heard = listen(buffer, network(100, delay=lambda n: 0.15 if n == 50 else 0.02))
    assert 50 not in played(heard)
    assert (buffer.late, buffer.lost) == (1, 1)


def test_duplicates_are_counted_and_played_once() -> None:
    once = list(network(200))
    buffer = JitterBuffer[int](RATE)
    heard = listen(buffer, [*once, *(sent._replace(arrival=sent.arrival + 0.03) for sent in once)])
    assert played(heard) == list(range(200))
    assert buffer.duplicates == 200
    assert buffer.late == 0


def test_a_pause_of_the_sender_is_no_loss() -> None:
    """DTX: the sequence numbers go on, the timestamps jump by the time that nothing was sent."""
    talk = list(network(50))
    later = [
        Sent(s.arrival + 3.0, s.sequence + 50 & 0xFFFF, s.timestamp + 50 * STEP + 100 * STEP, s.number + 50)
        for s in network(50, begin=100 + 50 * SENT_EACH - 3.0 + 100 * SENT_EACH)
    ]
    buffer = JitterBuffer[int](RATE)
    heard = listen(buffer, [*talk, *later])
    assert played(heard) == list(range(100))
    assert (buffer.lost, buffer.late, buffer.restarts, heard.missing) == (0, 0, 0, 0)
    assert abs(gaps(heard) - 100) <= 1


def test_depth_is_taken_up_anew_after_a_pause() -> None:
    buffer = JitterBuffer[int](RATE, minimum_ms=40)
    for n in range(10):
        buffer.put(n, n * STEP, n, 1 + n * SENT_EACH)
    for n in range(2, 12):
        buffer.get(1 + n * SENT_EACH)
    buffer.put(10, 110 * STEP, 10, 1 + 110 * SENT_EACH)
    assert buffer.get(1 + 110 * SENT_EACH) is NOT_YET
    assert buffer.get(1 + 111 * SENT_EACH) is NOT_YET
    assert buffer.get(1 + 112 * SENT_EACH + 0.001) == Packet(10, 110 * STEP, 10)


@pytest.mark.parametrize("drift", [500e-6, -500e-6, 100e-6])
def test_a_sender_whose_clock_drifts_is_followed(drift: float) -> None:
    rng = random.Random(3)
    buffer = JitterBuffer[int](RATE, maximum_ms=100)
    count = 15000  # five minutes
    heard = listen(buffer, network(count, delay=lambda n: 0.02 + rng.uniform(0, 0.008), drift=drift))
    assert max(heard.delays) <= 120
    assert len(played(heard)) >= count - 10
    assert heard.numbers[100:-100].count(None) <= 15
    assert buffer.restarts == 0


def test_another_source_is_taken_up_at_once() -> None:
    buffer = JitterBuffer[int](RATE)
    first = listen(buffer, network(50))
    buffer.restart()
    second = listen(buffer, network(50, begin=200.0, first_sequence=7, first_timestamp=99))
    assert played(first) == played(second) == list(range(50))
    assert buffer.restarts == 1
    assert (buffer.lost, buffer.late) == (0, 0)


def test_numbers_that_restart_unannounced_cost_one_packet() -> None:
    buffer = JitterBuffer[int](RATE)
    first = list(network(50))
    second = network(50, begin=101.0, first_sequence=30000, first_timestamp=5)
    heard = listen(buffer, [*first, *(s._replace(number=s.number + 50) for s in second)])
    assert set(range(100)) - set(played(heard)) <= {47, 48, 49, 50}
    assert buffer.restarts == 1


@pytest.mark.parametrize("jump", [8000 * 60, -8000 * 60, 2**31 - 5])
def test_a_jump_of_the_timestamps_costs_one_packet(jump: int) -> None:
    buffer = JitterBuffer[int](RATE)
    packets = [s._replace(timestamp=s.timestamp + (jump if s.number >= 50 else 0) & 0xFFFFFFFF) for s in network(100)]
    heard = listen(buffer, packets)
    assert set(range(100)) - set(played(heard)) <= {47, 48, 49, 50}
    assert buffer.restarts == 1


def test_one_stray_packet_disturbs_nothing() -> None:
    buffer = JitterBuffer[int](RATE)
    stray = [Sent(100.5, 12345, 77, -1), Sent(100.7, 65510, 2**31, -2)]
    heard = listen(buffer, [*network(100), *stray])
    assert played(heard) == list(range(100))
    assert buffer.restarts == 0
    assert buffer.discarded + buffer.duplicates + buffer.late == 2


def test_an_outage_of_the_network_is_played_on_after() -> None:
    buffer = JitterBuffer[int](RATE)
    heard = listen(buffer, network(400, delay=lambda n: max(0.02, 4.02 - n * SENT_EACH) if 100 <= n < 300 else 0.02))
    assert played(heard)[-1] == 399
    assert max(heard.delays[-50:]) < 400


def test_numbers_passed_over_are_not_missing() -> None:
    """A digit of 100 ms, whose telephone-events have numbers of the same row, between audio before and after."""
    buffer = JitterBuffer[int](RATE)
    for n in range(10):
        buffer.put(n, n * STEP, n, 1 + n * SENT_EACH)
    for n in range(10, 17):
        buffer.pass_over(n)
    for n in range(17, 27):
        buffer.put(n, (n - 2) * STEP, n, 1 + (n - 2) * SENT_EACH)
    read = [buffer.get(1.03 + n * SENT_EACH) for n in range(30)]
    assert [item.payload for item in read if isinstance(item, Packet)] == [*range(10), *range(17, 27)]
    assert buffer.lost == 0
    assert not any(isinstance(item, Missing) for item in read)


@pytest.mark.parametrize("packet_ms", [10, 30, 40, 60])
def test_packets_of_any_length_are_learned(packet_ms: int) -> None:
    step = packet_ms * RATE // 1000
    buffer = JitterBuffer[int](RATE, minimum_ms=4 * packet_ms)
    for n in range(20):
        if n not in {7, 8}:
            buffer.put(n, n * step, n, 1 + n * packet_ms / 1000)
    read = [buffer.get(1.001 + (n + 4) * packet_ms / 1000) for n in range(20)]
    assert read[7:9] == [Missing(step, None), Missing(step, 9)]
    assert read[19] == Packet(19, 19 * step, 19)


def test_what_nobody_reads_is_bounded() -> None:
    buffer = JitterBuffer[int](RATE)
    for sent in network(5000):
        buffer.put(sent.sequence, sent.timestamp, sent.number, sent.arrival)
    for n in range(5000):
        buffer.pass_over(65500 + 5000 + n & 0xFFFF)
    assert len(buffer) == CAPACITY
    assert len(buffer._passed) <= CAPACITY
    assert buffer.discarded == 5000 - CAPACITY


@given(
    st.lists(
        st.tuples(
            st.integers(0, 65535),
            st.integers(0, 2**32 - 1),
            st.sampled_from([0.0, 0.001, 0.02, 1.5, 600.0]),
            st.sampled_from("pgog"),
        ),
        max_size=200,
    )
)
def test_any_packets_at_any_time_are_survived(steps: list[tuple[int, int, float, str]]) -> None:
    buffer = JitterBuffer[int](RATE)
    now = 5.0
    given_out = put = 0
    for sequence, timestamp, passed, what in steps:
        now += passed
        if what == "p":
            buffer.put(sequence, timestamp, put, now)
            put += 1
        elif what == "o":
            buffer.pass_over(sequence)
        else:
            item = buffer.get(now)
            given_out += isinstance(item, Packet)
            if isinstance(item, Missing):
                assert 0 < item.duration <= RATE
    assert given_out + len(buffer) <= put == buffer.received
    assert len(buffer) <= CAPACITY
    assert buffer.delay_ms >= 0
    assert 10 <= buffer.target_ms <= 300
