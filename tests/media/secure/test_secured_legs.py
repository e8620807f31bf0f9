"""Secured legs of a worker on loopback sockets: keys from SDP and DTLS, ICE, and what strangers send."""

from __future__ import annotations

import itertools
import random
import sys
from types import FrameType
from typing import Any

import pytest

from media.rtp.stream import Dtls, Ice
from media.secure import stun
from media.worker import control
from tests.media.conftest import Bench, stream, until

from .conftest import CREDENTIALS, ELSE, SUITE, SecurePhone, check, dtls, sdes


def leg(bench: Bench, **changes: Any) -> tuple[SecurePhone, int]:
    phone, number, port = bench.leg(**changes)
    return SecurePhone(phone, port), number


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


async def test_a_peer_hears_a_prompt_from_its_beginning_however_long_the_handshake_takes(secured: Bench) -> None:
    caller, number = leg(secured, security=dtls(), ice=CREDENTIALS, mux=True)
    plain, plain_leg, _ = secured.leg()
    secured.handle(
        control.Play(number, ("tone",), False, False, 1), control.Play(plain_leg, ("tone",), False, False, 2)
    )
    await until(lambda: len(plain.read()) == 5)
    caller.check()
    caller.begin()
    await until(lambda: len(caller.read()) == 5)
    await until(lambda: {(done.token, done.heard_ms) for done in secured.of(control.Finished)} == {(1, 100), (2, 100)})


async def test_a_peer_that_rang_for_long_hears_a_prompt_from_its_beginning(
    secured: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("media.secure.guard.PATIENCE_SECONDS", 0.0)
    caller, number = leg(secured, security=Dtls("passive", ()), ice=CREDENTIALS, mux=True, host=None)
    secured.handle(control.Play(number, ("tone",), False, False, 1))
    await until(lambda: bool(secured.of(control.Finished)), "nobody waits for a phone that rings")
    monkeypatch.setattr("media.secure.guard.PATIENCE_SECONDS", 5.0)
    answered = stream(caller.phone.port, security=dtls(), ice=CREDENTIALS, mux=True)
    secured.handle(control.Configure(number, answered), control.Play(number, ("tone",), False, False, 2))
    caller.check()
    caller.begin()
    await until(lambda: len(caller.read()) == 5)


async def test_a_prompt_does_not_wait_for_ever(secured: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("media.secure.guard.PATIENCE_SECONDS", 0.1)
    _, number = leg(secured, security=dtls())
    secured.handle(control.Play(number, ("tone",), False, False, 1))
    await until(lambda: bool(secured.of(control.Finished)))


REPORT = b"\x80\xc9\x00\x01" + (77).to_bytes(4, "big")


@pytest.mark.rfc("3711-3.4", "5761-4")
@pytest.mark.parametrize("mux", [True, False], ids=["one port", "two ports"])
async def test_rtcp_is_secured_as_well(secured: Bench, mux: bool) -> None:
    agreed = sdes()
    phone, control_phone = secured.phone(), secured.phone()
    told = ("127.0.0.1", phone.port if mux else control_phone.port)
    number, port = secured.open(stream(phone.port, security=agreed, mux=mux, rtcp=told))
    caller = SecurePhone(phone, port)
    reports = caller if mux else SecurePhone(control_phone, port + 1)
    for each in {caller, reports}:
        each.use(agreed)
    secured.handle(control.Echo(number))
    caller.say(times=3)
    await until(lambda: len(caller.read()) == 3)
    reports.phone.raw(reports.port, REPORT)  # plain
    assert reports.protector is not None
    reports.raw(reports.protector.protect_rtcp(REPORT))
    await until(lambda: secured.counters().rtcp_received == 1)
    secured.handle(control.Close(number))
    await until(lambda: any(192 <= data[1] < 224 for data in reports.phone.read()), "goodbye")
    assert reports.unprotector is not None
    (sealed,) = (data for data in reports.phone.received if 192 <= data[1] < 224)
    assert reports.unprotector.unprotect_rtcp(sealed)[1] in {200, 201}


@pytest.mark.rfc("5764-4", "5764-4.1")
async def test_rtcp_on_a_port_of_its_own_shakes_hands_for_itself(secured: Bench) -> None:
    phone, control_phone = secured.phone(), secured.phone()
    told = ("127.0.0.1", control_phone.port)
    number, port = secured.open(stream(phone.port, security=dtls(), rtcp=told))
    caller, reports = SecurePhone(phone, port), SecurePhone(control_phone, port + 1)
    for each in (caller, reports):
        each.begin()
    await until(lambda: caller.secured and reports.secured)
    secured.handle(control.Echo(number))
    caller.say()
    assert reports.protector is not None
    reports.raw(reports.protector.protect_rtcp(REPORT))
    await until(lambda: secured.counters().rtcp_received == len(caller.read()) == 1)
    secured.handle(control.Close(number))
    await until(lambda: any(192 <= data[1] < 224 for data in reports.phone.read()), "goodbye")


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
    assert not any("media/secure" in name or "rtpsocket" in name for name in called)
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


@pytest.mark.rfc("5764-4.2", "5763-5")
@pytest.mark.parametrize("ours", ["passive", "active"])
async def test_keys_come_of_a_handshake(secured: Bench, ours: str) -> None:
    phone = secured.phone()
    caller = SecurePhone(phone, 0)
    caller.begin(active=False)
    number, caller.port = secured.open(stream(phone.port, security=dtls(ours)))
    if ours == "passive":
        caller.begin()
    secured.handle(control.Echo(number))
    await until(lambda: caller.secured)
    caller.say(b"1" * 160)
    await until(lambda: [packet[12:] for packet in caller.read()] == [b"1" * 160])
    assert secured.counters().handshakes_failed == 0


@pytest.mark.rfc("5763-5", "8122-5")
async def test_a_peer_with_another_certificate_ends_the_leg(secured: Bench) -> None:
    caller, number = leg(secured, security=dtls(who=ELSE))
    secured.handle(control.Play(number, ("long",), True, False, 1))
    caller.begin()
    await until(lambda: bool(caller.read() or secured.of(control.Failed)))
    (failed,) = secured.of(control.Failed)
    assert "fingerprint" in failed.reason
    assert all(20 <= data[0] < 64 for data in caller.phone.received)
    assert secured.counters().handshakes_failed == 1


@pytest.mark.rfc("5763-5")
async def test_a_stranger_who_shakes_hands_is_in_nobodys_way(secured: Bench) -> None:
    caller, number = leg(secured, security=dtls())
    strangers = [SecurePhone(secured.phone(), caller.port, ELSE) for _ in range(12)]
    for stranger in strangers:
        stranger.begin()
    await until(lambda: strangers[-1].secured)
    caller.begin()
    await until(lambda: caller.secured)
    secured.handle(control.Echo(number))
    caller.say()
    await until(lambda: len(caller.read()) == 1)
    for stranger in strangers:
        if stranger.secured:
            stranger.say()
    caller.say()
    await until(lambda: len(caller.read()) == 2)
    assert secured.of(control.Failed) == []


@pytest.mark.rfc("5763-5")
async def test_a_handshake_may_come_before_the_fingerprint(secured: Bench) -> None:
    caller, number = leg(secured, security=Dtls("passive", ()), host=None)
    secured.handle(control.Play(number, ("long",), True, False, 1))
    caller.begin()
    await until(lambda: caller.secured)
    assert caller.heard == []
    secured.handle(control.Configure(number, stream(caller.phone.port, security=dtls())))
    await until(lambda: len(caller.read()) > 1)


@pytest.mark.rfc("8842-5.2")
async def test_an_offer_that_changes_nothing_keeps_the_association(secured: Bench) -> None:
    caller, number = leg(secured, security=dtls())
    secured.handle(control.Echo(number))
    caller.begin()
    await until(lambda: caller.secured)
    secured.handle(control.Configure(number, stream(caller.phone.port, security=dtls())))
    caller.say()
    await until(lambda: len(caller.read()) == 1)


async def test_garbage_between_the_flights_harms_no_handshake(secured: Bench) -> None:
    chance = random.Random(6347)
    caller, _ = leg(secured, security=dtls(), ice=None)
    caller.begin()
    for first in (*range(20, 64), *range(4), 70, 130, 255):
        caller.raw(bytes([first]) + chance.randbytes(chance.randrange(200)))
        caller.raw(bytes([first]))
    caller.raw(b"")
    await until(lambda: caller.secured)


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


@pytest.mark.rfc("7983-7", "5764-5.1.1", "8445-2.5")
async def test_checks_handshake_and_media_share_a_port(secured: Bench) -> None:
    caller, number = leg(secured, security=dtls(), ice=CREDENTIALS, mux=True, host="192.0.2.1")
    early = SecurePhone(secured.phone(), caller.port)
    early.begin()
    caller.check()
    caller.begin()
    await until(lambda: caller.secured)
    secured.handle(control.Echo(number))
    caller.say(b"1" * 160)
    await until(lambda: [packet[12:] for packet in caller.read()] == [b"1" * 160])
    assert early.phone.read() == []


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
