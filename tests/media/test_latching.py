"""Whom a leg takes for its peer: no scan and no spoofed packet takes a call over."""

import random
import struct
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from media.rtp.latching import IN_A_ROW, MOST_STRANGERS, STILL_ON_THEIR_WAY, Latching, Probation
from media.worker import control

from .conftest import Bench, Phone, stream, until

DECLARED = ("192.0.2.1", 4000)
STRANGER = ("198.51.100.7", 5000)


def rtp(sequence: int, ssrc: int = 1) -> bytes:
    return struct.pack(">BBHII", 0x80, 0, sequence & 0xFFFF, 0, ssrc) + bytes(160)


def probation(**latching: Any) -> Probation:
    probation = Probation(Latching(**latching))
    probation.begin(DECLARED)
    return probation


@pytest.mark.parametrize(
    ("source", "declared", "same_host", "stranger"),
    [("any", True, True, True), ("host", True, True, False), ("address", True, False, False)],
)
def test_the_setting_says_from_where_the_first_packets_may_come(
    source: str, declared: bool, same_host: bool, stranger: bool
) -> None:
    for address, expected in ((DECLARED, declared), ((DECLARED[0], 9), same_host), (STRANGER, stranger)):
        judge = probation(source=source)
        assert any(judge.judge(rtp(number), address) for number in range(5)) is expected


def test_a_stranger_is_believed_after_packets_in_a_row_none_of_which_is_lost() -> None:
    judge = probation()
    packets = [rtp(0xFFFF + number) for number in range(IN_A_ROW)]
    assert [judge.judge(packet, STRANGER) for packet in packets[:-1]] == [[]] * (IN_A_ROW - 1)
    assert judge.judge(packets[-1], STRANGER) == packets


def test_a_stranger_that_cannot_be_connected_to_is_not_remembered_ever_longer() -> None:
    judge = probation()
    kept = [len(judge.judge(rtp(number), STRANGER)) for number in range(4 * IN_A_ROW)]
    assert kept == [0, 0, IN_A_ROW] * 4


def test_nobody_is_the_peer_before_its_description_has_come() -> None:
    judge = Probation(Latching())
    assert not any(judge.judge(rtp(number), STRANGER) for number in range(10))
    judge.begin(DECLARED)
    assert judge.judge(rtp(10), DECLARED) == [rtp(10)]


@given(st.permutations(range(0, 60, 2)))
def test_packets_that_are_not_in_a_row_convince_nobody(sequences: list[int]) -> None:
    judge = probation()
    assert not any(judge.judge(rtp(sequence), STRANGER) for sequence in sequences)


@given(st.integers(0, 2**32))
def test_many_strangers_neither_keep_the_peer_out_nor_are_remembered(seed: int) -> None:
    judge, chance = probation(), random.Random(seed)
    for number in range(500):
        address = (f"10.0.0.{chance.randrange(256)}", chance.randrange(65536))
        assert not judge.judge(rtp(chance.randrange(65536), number), address)
    assert len(judge._strangers) <= MOST_STRANGERS
    assert judge.judge(rtp(7), DECLARED) == [rtp(7)]


def configured(bench: Bench, **latching: Any) -> None:
    bench.worker.settings = msgspec.structs.replace(bench.worker.settings, latching=Latching(**latching))


async def heard(bench: Bench, phone: Phone, port: int, count: int = 1) -> bool:
    """Send some packets and tell whether any was received from there."""
    before = bench.counters()
    for _ in range(count):
        phone.send(port)

    def seen() -> int:
        counters = bench.counters()
        return counters.packets_received + counters.packets_foreign

    await until(lambda: seen() >= before.packets_received + before.packets_foreign + count)
    return bench.counters().packets_received > before.packets_received


@pytest.mark.rfc("4961-4")
async def test_a_peer_behind_a_nat_is_heard_from_its_first_packet_on(bench: Bench) -> None:
    declared, leg, port = bench.leg()
    behind = bench.phone(host="127.0.0.2")
    bench.handle(control.Echo(leg))
    payloads = [bytes([number]) * 160 for number in range(5)]
    for payload in payloads:
        behind.send(port, payload)
    await until(lambda: len(behind.read()) == 5)
    assert behind.payloads() == payloads
    assert declared.read() == []
    assert bench.counters().packets_foreign == 0


async def test_a_scan_of_the_port_range_takes_no_call_over(bench: Bench) -> None:
    declared, leg, port = bench.leg()
    scanner = bench.phone(host="127.0.0.2")
    bench.handle(control.Echo(leg))
    for _ in range(40):
        scanner.send(port)
        scanner.sequence += 1
    await until(lambda: bench.counters().packets_foreign == 40)
    declared.send(port)
    await until(lambda: len(declared.read()) == 1)
    assert scanner.read() == []


async def test_who_sends_while_a_phone_rings_is_not_heard_in_its_place(bench: Bench) -> None:
    phone, thief = bench.phone(), bench.phone(host="127.0.0.2")
    leg, port = bench.open(stream(0, host=None))
    bench.handle(control.Echo(leg))
    for _ in range(50):
        thief.send(port)
    await until(lambda: bench.counters().packets_foreign == 50)
    bench.handle(control.Configure(leg, stream(phone.port)))
    phone.send(port)
    await until(lambda: len(phone.read()) == 1)
    assert thief.read() == []


async def test_who_was_heard_is_not_replaced_by_who_sends_more(bench: Bench) -> None:
    a, leg, port = bench.leg()
    bench.handle(control.Echo(leg))
    assert await heard(bench, a, port)
    thief = bench.phone(host="127.0.0.2")
    thief.ssrc, thief.sequence = a.ssrc, a.sequence
    for _ in range(50):
        thief.send(port)
    a.send(port, b"a" * 160)
    await until(lambda: b"a" * 160 in a.payloads())
    assert thief.read() == []
    assert bench.counters().packets_received == 2


async def test_a_peer_that_falls_silent_may_be_found_elsewhere_where_that_is_wanted(
    bench: Bench, clock: list[float]
) -> None:
    configured(bench, relatch="silence", silence_seconds=5)
    a, leg, port = bench.leg()
    bench.handle(control.Echo(leg))
    assert await heard(bench, a, port)
    moved = bench.phone(host="127.0.0.2")
    clock[0] += 4
    bench.worker.heartbeat()
    for _ in range(IN_A_ROW):
        moved.send(port)
    a.send(port)
    await until(lambda: bench.counters().packets_received == 2)
    clock[0] += 6
    bench.worker.heartbeat()
    bench.handle(control.Play(leg, ("tone",), False, False, 1))
    await until(lambda: len(a.read()) >= 5, "it is spoken to where it was")
    assert await heard(bench, moved, port, IN_A_ROW)
    await until(lambda: bench.of(control.Finished))
    bench.handle(control.Echo(leg))
    moved.send(port, b"m" * 160)
    await until(lambda: b"m" * 160 in moved.payloads())


async def test_a_peer_that_falls_silent_is_waited_for_otherwise(bench: Bench, clock: list[float]) -> None:
    a, _, port = bench.leg()
    assert await heard(bench, a, port)
    clock[0] += 3600
    bench.worker.heartbeat()
    other = bench.phone(host="127.0.0.2")
    for _ in range(IN_A_ROW):
        other.send(port)
    a.send(port)
    await until(lambda: bench.counters().packets_received == 2)


async def test_a_peer_that_moves_by_sdp_is_sought_only_there_if_that_is_wanted(bench: Bench) -> None:
    configured(bench, relatch="never")
    a, leg, port = bench.leg()
    assert await heard(bench, a, port)
    moved, other = bench.phone(), bench.phone()
    bench.handle(control.Configure(leg, stream(moved.port)), control.Echo(leg))
    other.send(port)
    moved.send(port, b"m" * 160)
    await until(lambda: moved.payloads() == [b"m" * 160])
    assert bench.counters().packets_received == 2
    assert other.read() == []


@pytest.mark.rfc("3264-8.3.1")
@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2"], ids=["as declared", "behind a NAT"])
async def test_packets_still_on_their_way_from_where_a_peer_was_are_not_taken_for_it(bench: Bench, host: str) -> None:
    _, leg, port = bench.leg()
    before = bench.phone(host=host)
    assert await heard(bench, before, port, IN_A_ROW)
    moved = bench.phone()
    bench.handle(control.Configure(leg, stream(moved.port)), control.Echo(leg))
    bench.handle(control.Configure(leg, stream(moved.port)))
    assert not await heard(bench, before, port, STILL_ON_THEIR_WAY - 1)
    moved.send(port, b"m" * 160)
    await until(lambda: moved.payloads() == [b"m" * 160])
    assert before.read() == []


async def test_a_peer_that_goes_on_where_it_was_is_heard_again(bench: Bench) -> None:
    a, leg, port = bench.leg()
    assert await heard(bench, a, port)
    bench.handle(control.Configure(leg, stream(bench.phone().port)), control.Echo(leg))
    assert not await heard(bench, a, port, STILL_ON_THEIR_WAY)
    a.send(port, b"a" * 160)
    await until(lambda: a.payloads() == [b"a" * 160])
