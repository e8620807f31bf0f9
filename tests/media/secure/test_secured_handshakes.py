"""Handshakes on the sockets of a worker: with the peer, with strangers, before its description, and beside media."""

from __future__ import annotations

import random

import pytest

from media.rtp.stream import Dtls, Ice
from media.worker import control
from tests.media.conftest import Bench, stream, until

from .conftest import CREDENTIALS, ELSE, SecurePhone, dtls
from .conftest import secured_leg as leg

REPORT = b"\x80\xc9\x00\x01" + (77).to_bytes(4, "big")


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


@pytest.mark.rfc("5763-6.7.1")
async def test_a_handshake_goes_on_by_whatever_pair_the_peer_takes_before_it_nominates_one(secured: Bench) -> None:
    caller, number = leg(secured, security=dtls(), ice=CREDENTIALS, mux=True, host="192.0.2.1")
    other = SecurePhone(secured.phone(), caller.port)
    for each in (caller, other):
        each.check(nominate=False)
    caller.begin()
    await until(lambda: any(20 <= data[0] < 64 for data in caller.phone.read()))
    flight = [data for data in caller.phone.read() if 20 <= data[0] < 64]
    other.association = association = caller.association
    assert association is not None
    association._send = other.raw  # the answer to it, and all that follows
    for data in flight:
        association.receive(data)
    await until(lambda: other.secured)
    other.check()
    secured.handle(control.Echo(number))
    other.say(b"1" * 160)
    await until(lambda: [packet[12:] for packet in other.read()] == [b"1" * 160])
    assert secured.counters().handshakes_failed == 0


@pytest.mark.rfc("5763-5")
async def test_the_description_of_another_certificate_ends_the_leg_and_nothing_else(secured: Bench) -> None:
    ice = Ice("ours", "o" * 22, "", "")
    caller, number = leg(secured, security=Dtls("passive", ()), ice=ice, mux=True, host=None)
    caller.check()
    caller.begin()
    await until(lambda: caller.secured)
    answered = stream(caller.phone.port, security=dtls("passive", ELSE), ice=CREDENTIALS, mux=True)
    secured.handle(control.Configure(number, answered))
    (failed,) = secured.of(control.Failed)
    assert (failed.leg, "fingerprint" in failed.reason) == (number, True)
    secured.handle(control.Configure(number, answered))


@pytest.mark.parametrize("nominates", [False, True])
async def test_who_was_called_beside_the_peer_is_in_nobodys_way(secured: Bench, nominates: bool) -> None:
    """An offer that forks: checks and handshakes of several come before the description of the one who answers."""
    ice = Ice("ours", "o" * 22, "", "")
    caller, number = leg(secured, security=Dtls("passive", ()), ice=ice, mux=True, host=None)
    other = SecurePhone(secured.phone(), caller.port, ELSE)
    caller.check()
    caller.begin()
    other.check(Ice("ours", "o" * 22, "others", ""), nominate=nominates)
    other.begin()
    await until(lambda: caller.secured and other.secured)
    answered = stream(caller.phone.port, security=dtls(), ice=CREDENTIALS, mux=True)
    secured.handle(control.Configure(number, answered), control.Echo(number))
    for payload in (b"1", b"2"):
        other.say(payload * 160)
        caller.say(payload * 160)
    await until(lambda: [packet[12:] for packet in caller.read()] == [b"1" * 160, b"2" * 160])
    assert other.read() == []
    assert secured.of(control.Failed) == []
