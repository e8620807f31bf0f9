"""Secured legs of a worker on loopback sockets: keys from SDP and DTLS, ICE, and what strangers send."""

from __future__ import annotations

import itertools
import sys
from types import FrameType

import pytest

from media.rtp.stream import Ice
from media.secure import stun
from media.worker import control
from tests.media.conftest import Bench, stream, until

from .conftest import CREDENTIALS, SUITE, SecurePhone, check, sdes
from .conftest import secured_leg as leg


@pytest.mark.rfc("3711-3.3", "4568-5.1")
@pytest.mark.parametrize("name", ["AES_CM_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_32", "AEAD_AES_256_GCM"])
async def test_one_side_may_be_secured_and_the_other_not(secured: Bench, name: str) -> None:
    agreed = sdes(name=name)
    caller, caller_leg = leg(secured, security=agreed)
    caller.use(agreed)
    agent, agent_leg, agent_port = secured.leg()
    secured.handle(control.Bridge(caller_leg, agent_leg, None))
    caller.say(b"1" * 160, times=3)
    await until(lambda: len(agent.read()) == 3)
    assert agent.payloads() == [b"1" * 160] * 3
    for _ in range(3):
        agent.send(agent_port, b"2" * 160)
    await until(lambda: len(caller.read()) == 3)
    assert [packet[12:] for packet in caller.heard] == [b"2" * 160] * 3
    assert all(b"2" * 8 not in data for data in caller.phone.received)


async def test_a_prompt_is_played_to_a_secured_leg_that_has_said_nothing(secured: Bench) -> None:
    agreed = sdes()
    caller, number = leg(secured, security=agreed)
    caller.use(agreed)
    secured.handle(control.Play(number, ("tone",), False, False, 1))
    await until(lambda: len(caller.read()) == 5)


@pytest.mark.rfc("3711-3.3")
async def test_what_the_keys_do_not_open_latches_nothing_and_is_heard_by_nobody(secured: Bench) -> None:
    agreed = sdes()
    caller, number = leg(secured, security=agreed)
    caller.use(agreed)
    secured.handle(control.Echo(number))
    stranger = SecurePhone(secured.phone(), caller.port)
    stranger.use(sdes(5, 6))
    stranger.say(times=3)
    stranger.phone.send(caller.port)  # plain RTP
    caller.say()
    await until(lambda: len(caller.read()) == 1)
    stranger.say(times=2)
    caller.say()
    await until(lambda: len(caller.read()) == 2)
    assert stranger.phone.read() == []
    counters = secured.counters()
    assert (counters.packets_unauthentic, counters.packets_foreign) == (4, 2)
    assert len(secured.of(control.Complained)) == 1


@pytest.mark.rfc("3711-3.3.2")
async def test_replayed_packets_are_counted_and_not_heard(secured: Bench) -> None:
    agreed = sdes()
    caller, number = leg(secured, security=agreed)
    caller.use(agreed)
    secured.handle(control.Echo(number))
    caller.say()
    assert caller.protector is not None
    packet = caller.protector.protect(caller.phone.header(0) + b"r" * 160)
    for _ in range(4):
        caller.raw(packet)
    caller.phone.sequence += 1
    caller.say()
    await until(lambda: len(caller.read()) == 3)
    assert secured.counters().packets_replayed == 3


@pytest.mark.rfc("3711-3.3.1", "4568-7.1.4")
async def test_new_keys_in_a_new_offer_go_on_with_the_same_stream(secured: Bench) -> None:
    first, second = sdes(1, 2), sdes(3, 4)
    caller, number = leg(secured, security=first)
    caller.use(first)
    secured.handle(control.Echo(number))
    caller.say(times=3)
    await until(lambda: len(caller.read()) == 3)
    secured.handle(control.Configure(number, stream(caller.phone.port, security=second)))
    caller.use(second)
    caller.say(times=3)
    await until(lambda: len(caller.read()) == 6)
    headers = [(int.from_bytes(packet[2:4], "big"), packet[8:12]) for packet in caller.heard]
    assert len({ssrc for _, ssrc in headers}) == 1
    assert [(b[0] - a[0]) & 0xFFFF for a, b in itertools.pairwise(headers)] == [1] * 5


@pytest.mark.interpreted  # calls are counted
async def test_a_plain_leg_costs_no_call_more_for_those_that_are_secured(secured: Bench) -> None:
    caller, number = leg(secured, security=sdes())
    caller.use(sdes())
    caller.say()
    one, one_leg, one_port = secured.leg()
    other, other_leg, other_port = secured.leg()
    secured.handle(control.Bridge(one_leg, other_leg, None))
    one.send(one_port)
    other.send(other_port)
    await until(lambda: len(one.read()) == len(other.read()) == 1)
    called: list[str] = []

    def watch(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and "/tests/" not in frame.f_code.co_filename:
            called.append(frame.f_code.co_filename)

    for _ in range(10):
        one.send(one_port)
    sys.setprofile(watch)
    try:
        await until(lambda: len(other.read()) == 11)
    finally:
        sys.setprofile(None)
    assert sum("/media/worker/" in name for name in called) >= 10
    assert not any("media/secure" in name for name in called)
    assert number


async def test_a_leg_may_become_secured_and_plain_again(secured: Bench) -> None:
    caller, number = leg(secured)
    secured.handle(control.Echo(number))
    caller.phone.send(caller.port, b"p" * 160)
    await until(lambda: len(caller.phone.read()) == 1)
    agreed = sdes()
    secured.handle(control.Configure(number, stream(caller.phone.port, security=agreed)))
    caller.use(agreed)
    caller.phone.received.clear()
    caller.say(b"s" * 160)
    await until(lambda: len(caller.read()) == 1)
    caller.phone.send(caller.port, b"p" * 160)
    secured.handle(control.Configure(number, stream(caller.phone.port)))
    caller.phone.send(caller.port, b"q" * 160)
    await until(lambda: caller.phone.received[-1][12:] == b"q" * 160 if caller.phone.read() else False)


@pytest.mark.rfc("8445-7.3", "8489-9.1.4", "7675-5.1")
async def test_checks_are_answered_and_the_nominated_pair_is_used(secured: Bench) -> None:
    caller, number = leg(secured, security=sdes(), ice=CREDENTIALS, host="192.0.2.1")
    caller.use(sdes())
    other = SecurePhone(secured.phone(), caller.port)
    other.use(sdes())
    other.check(nominate=False)
    caller.check()
    await until(lambda: bool(caller.read() or caller.answers))
    secured.handle(control.Play(number, ("tone",), False, False, 1))
    await until(lambda: len(caller.read()) == 5)
    (answer,) = caller.answers
    assert answer.kind == stun.BINDING_SUCCESS
    assert answer.has_integrity(CREDENTIALS.local_pwd.encode())
    mapped = stun.xor_address(("127.0.0.1", caller.phone.port), answer.transaction)
    assert answer.attributes[stun.XOR_MAPPED_ADDRESS] == mapped
    assert other.read() == []
    assert len(other.answers) == 1
    other.check()
    await until(lambda: len(other.answers) == 2 if other.read() == [] else False)
    secured.handle(control.Play(number, ("tone",), False, False, 2))
    await until(lambda: len(other.read()) == 5)
    assert len(caller.read()) == 5


@pytest.mark.rfc("8489-9.1.3", "8445-7.3")
async def test_checks_with_wrong_credentials_move_nothing(secured: Bench) -> None:
    caller, number = leg(secured, security=sdes(), ice=CREDENTIALS)
    caller.use(sdes())
    caller.check()
    secured.handle(control.Echo(number))
    caller.say()
    await until(lambda: len(caller.read()) == 1)
    stranger = SecurePhone(secured.phone(), caller.port)
    stranger.use(sdes())
    wrong = Ice("ours", "x" * 22, "theirs", "")
    stranger.check(wrong)
    stranger.check(Ice("else", "o" * 22, "theirs", ""))
    stranger.raw(stun.write(stun.BINDING_REQUEST, b"x" * 12, {stun.USE_CANDIDATE: b""}))
    stranger.say()
    await until(lambda: len(stranger.answers) == 3 if stranger.read() is not None else False)
    codes = [answer.attributes[stun.ERROR_CODE][2:4] for answer in stranger.answers]
    assert codes == [bytes((4, 1)), bytes((4, 1)), bytes((4, 0))]
    caller.say()
    await until(lambda: len(caller.read()) == 2)
    assert stranger.heard == []
    counters = secured.counters()
    assert counters.checks_refused == 3
    assert counters.packets_foreign == 1


async def test_a_flood_of_stun_is_answered_and_forgotten(secured: Bench) -> None:
    caller, _ = leg(secured, security=sdes(), ice=CREDENTIALS)
    flooder = SecurePhone(secured.phone(), caller.port)
    for number in range(300):
        flooder.raw(check(password="guess", transaction=number.to_bytes(12, "big")))
    await until(lambda: secured.counters().checks_refused == 300)
    assert SUITE


async def test_a_secured_peer_that_has_moved_without_a_word_is_found_by_its_keys(secured: Bench) -> None:
    caller, number = leg(secured, security=sdes())
    caller.use(sdes())
    secured.handle(control.Echo(number))
    caller.say()
    await until(lambda: len(caller.read()) == 1)
    secured.worker._sessions[number]._socket.seek_anew()
    moved = SecurePhone(secured.phone(), caller.port)
    moved.protector, moved.unprotector = caller.protector, caller.unprotector
    moved.phone.sequence = caller.phone.sequence
    stranger = SecurePhone(secured.phone(), caller.port)
    stranger.use(sdes(5, 6))
    stranger.say(times=3)
    moved.say(times=2)
    await until(lambda: len(moved.read()) == 2)
    assert (len(caller.read()), stranger.phone.read()) == (1, [])


async def test_the_report_tells_how_the_leg_was_secured(secured: Bench) -> None:
    caller, number = leg(secured, security=sdes())
    plain, plain_leg = leg(secured)
    secured.handle(control.Close(number), control.Close(plain_leg))
    by_leg = {closed.leg: closed.report for closed in secured.of(control.Closed)}
    assert by_leg[number].security == "SDES AES_CM_128_HMAC_SHA1_80"
    assert by_leg[plain_leg].security is None
    assert caller.port != plain.port
