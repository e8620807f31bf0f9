"""Three hops put together: what happens when one is gone, and what nobody gets past them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ims_core.flow import format_address
from ims_core.profiles.model import DefaultHandling, SessionCase
from ims_core.transactions.endpoint import RequestReceived
from ims_core.ua.outgoing import OutgoingCall
from tests.kit.hops import HOTLINE, PCSCF, SCSCF, SERVER, TRUNK, Hops
from tests.kit.isc import criterion
from tests.kit.messages import request_bytes
from tests.kit.party import Party
from tests.kit.phone import DOMAIN, Phone

rfc = pytest.mark.rfc


def talk(hops: Hops, alice: Phone) -> OutgoingCall:
    """Have alice talk to bob."""
    call = alice.call(f"sip:bob@{DOMAIN}", sdp=b"offer")
    hops.network.run(1.0)
    assert [type(event).__name__ for event in alice.told_by(call)] == ["Answered"]
    return call


def ended(phone: Phone) -> list[str]:
    """How the sessions of a phone ended."""
    return [type(event).__name__ for _, event in phone.told if type(event).__name__ in {"Ended", "Rejected"}]


RESTARTS: tuple[Callable[[Hops], None], ...] = (Hops.start_pcscf, Hops.start_scscf)


@rfc("3261-16.11")
@pytest.mark.parametrize(("hop", "start"), [*zip((PCSCF, SCSCF), RESTARTS, strict=True)], ids=["P-CSCF", "S-CSCF"])
def test_a_call_ends_through_a_hop_that_was_started_anew(hop: tuple[str, int], start: Callable[[Hops], None]) -> None:
    hops = Hops()
    alice, bob = hops.handset("alice"), hops.handset("bob")
    call = talk(hops, alice)
    hops.stop(hop)
    hops.network.run(5.0)
    start(hops)
    call.hang_up()
    hops.network.run(1.0)
    assert ended(bob) == ["Ended"]
    hops.network.run(100.0)
    hops.assert_idle()


@rfc("TS24.229-5.2.6.3")
def test_a_p_cscf_that_forgot_all_serves_who_registers_anew() -> None:
    hops = Hops()
    alice, bob = hops.handset("alice"), hops.handset("bob")
    hops.stop(PCSCF)
    hops.start_pcscf()
    refused = alice.call(f"sip:bob@{DOMAIN}", sdp=b"offer")
    hops.network.run(1.0)
    ((event),) = alice.told_by(refused)
    assert getattr(event, "status", None) == 403
    hops.register(alice)
    talk(hops, alice).hang_up()
    hops.network.run(100.0)
    assert ended(bob) == ["Ended"]
    hops.assert_idle()


@rfc("TS24.229-5.2.6.4")
def test_a_dialog_is_forgotten_when_its_handset_does_not_answer_the_bye() -> None:
    hops = Hops()
    alice, bob = hops.handset("alice"), hops.handset("bob")
    call = talk(hops, alice)
    assert len(hops.first_hop.dialogs) == 1
    hops.network.detach(bob)
    call.hang_up()
    hops.network.run(100.0)
    hops.assert_idle()


@rfc("TS24.229-5.4.3.2")
@pytest.mark.parametrize("handling", DefaultHandling)
def test_a_server_that_is_gone_is_done_without_or_not(handling: DefaultHandling) -> None:
    hops = Hops()
    hops.criteria = (criterion(1, f"sip:{format_address(SERVER)}", SessionCase.ORIGINATING, handling=handling),)
    alice, bob = hops.handset("alice"), hops.handset("bob")
    hops.stop(SERVER)
    call = alice.call(f"sip:bob@{DOMAIN}", sdp=b"offer")
    hops.network.run(10.0)
    (event,) = alice.told_by(call)
    if handling is DefaultHandling.SESSION_CONTINUED:
        assert len(bob.incoming) == 1
        call.hang_up()
    else:
        assert getattr(event, "status", None) == 408
        assert not bob.incoming
    hops.network.run(100.0)
    hops.assert_idle()


@rfc("TS24.229-5.4.3.3")
def test_a_number_whose_server_is_gone_times_out_and_is_served_again_when_it_is_back() -> None:
    hops = Hops()
    alice = hops.handset("alice")
    hops.stop(SERVER)
    call = alice.call(f"sip:{HOTLINE}@{DOMAIN}", sdp=b"offer")
    hops.network.run(10.0)
    (event,) = alice.told_by(call)
    assert getattr(event, "status", None) == 408
    hops.start_server()
    call = alice.call(f"sip:{HOTLINE}@{DOMAIN}", sdp=b"offer")
    hops.network.run(1.0)
    assert [each.identity for each in hops.calls] == ["alice"]
    call.hang_up()
    hops.network.run(100.0)
    hops.assert_idle()


@rfc("3261-18.1.1")
def test_what_is_too_large_for_a_datagram_goes_between_hops_by_tcp() -> None:
    hops = Hops()
    alice, bob = hops.handset("alice", transport="TCP"), hops.handset("bob", transport="TCP")
    call = alice.call(f"sip:bob@{DOMAIN}", sdp=b"offer", headers=(("Subject", "x" * 3000),))
    hops.network.run(1.0)
    assert len(bob.incoming) == 1
    between = [
        packet for packet in hops.network.sent if packet.summary == "INVITE" and packet.flow.local != alice.address
    ]
    assert {packet.flow.transport for packet in between} == {"TCP"}
    call.hang_up()
    hops.network.run(100.0)
    assert ended(bob) == ["Ended"]
    hops.assert_idle()


@rfc("TS24.229-5.2.6.3.3")
def test_nobody_gets_past_his_services_by_a_route_of_his_own() -> None:
    hops = Hops()
    seen = Party(hops.network, "server", answers=(403,))
    hops.criteria = (
        criterion(
            1,
            f"sip:{format_address(seen.address)}",
            SessionCase.ORIGINATING,
            handling=DefaultHandling.SESSION_TERMINATED,
        ),
    )
    mallory, bob = hops.handset("mallory"), hops.handset("bob")
    ways = (
        f"<sip:{format_address(SCSCF)};lr>",
        f"<sip:{format_address(PCSCF)};lr>, <sip:{format_address(SCSCF)};lr>",
        f"<sip:{format_address(PCSCF)};lr>, <sip:bob@{format_address(bob.address)};lr>",
        f"<sip:{format_address(SERVER)};lr>",
        f"<sip:{format_address(bob.address)}>",
    )
    for route in ways:
        mallory.request("MESSAGE", f"sip:bob@{DOMAIN}", headers=(("Route", route),))
        hops.network.run(1.0)
    assert mallory.statuses == [403] * len(ways)
    assert len(seen.requests) == len(ways)
    assert not bob.requests


@rfc("3261-16.12", "TS24.229-5.2.6.3.5")
def test_who_is_in_no_dialog_gets_nowhere_by_saying_so() -> None:
    hops = Hops()
    mallory, bob = hops.handset("mallory"), hops.handset("bob")
    hops.network.sent.clear()
    routes = f"<sip:{format_address(PCSCF)};lr>", f"<sip:0123@{format_address(PCSCF)};lr>"
    targets = f"sip:x@{format_address(TRUNK)}", bob.uri
    for number, route in enumerate(routes):
        for place, uri in enumerate(targets):
            via = f"SIP/2.0/UDP {format_address(mallory.address)};branch=z9hG4bK{number}{place}"
            data = request_bytes("BYE", uri, via=via, to="<sip:x@y>;tag=1", headers=(("Route", route),))
            hops.write(mallory.address, data)
    hops.network.run(100.0)
    assert {packet.flow.remote for packet in hops.network.sent} == {mallory.address}
    hops.assert_idle()


@rfc("TS24.229-5.2.10.2")
@pytest.mark.parametrize(
    ("uri", "is_emergency"),
    [
        ("sip:110@ims.example", True),
        ("sip:110@ims.example;maddr=203.0.113.66", True),
        ("tel:110", True),
        ("tel:110;phone-context=+49", True),
        ("urn:service:sos.fire", True),
        ("sip:110@203.0.113.66", False),
        ("sip:110%40ims.example@203.0.113.66", False),
        ("sip:1100@ims.example", False),
        ("urn:service:counseling", False),
    ],
)
def test_only_what_is_for_an_emergency_service_leaves_to_one(uri: str, is_emergency: bool) -> None:
    hops = Hops()
    hops.has_trunk = True
    trunk = Party(hops.network, "trunk", address=TRUNK, answers=(200,))
    stranger = Phone(hops.network, "stranger", proxy=PCSCF)
    elsewhere = Party(hops.network, "elsewhere", address=("203.0.113.66", 5060))
    stranger.request("MESSAGE", uri, headers=(("Route", "<sip:203.0.113.66;lr>"),))
    hops.network.run(1.0)
    assert [isinstance(event, RequestReceived) for event in trunk.events] == [True] * is_emergency
    assert not elsewhere.events
    for event in trunk.requests:
        assert event.request.uri in {"sip:110@203.0.113.9:5060", "sip:urn:service:sos.fire@203.0.113.9:5060"}
        assert "route" not in event.request.keys
