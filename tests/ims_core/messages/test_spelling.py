"""Option tags and schemes mean the same in any case (RFC 3261 sections 7.3.1 and 19.1.4)."""

from __future__ import annotations

import pytest

from ims_core.errors import BadExtension
from ims_core.flow import Flow
from ims_core.messages.extensions import check_required, names_option
from ims_core.messages.message import Request
from ims_core.messages.parser import parse_message
from ims_core.messages.uri import is_sips
from ims_core.proxy.forking import Recursion
from ims_core.proxy.record_route import RecordRoute
from ims_core.proxy.routes import undo_strict_routing
from ims_core.registrar.location import Binding, Domains, Location
from ims_core.roles.routing import Forward
from ims_core.roles.scscf import Scscf
from ims_core.ua.early import is_reliable
from ims_core.ua.session_timer import TimerPolicy, settle
from tests.kit import Network, Phone, request_bytes, response_bytes

rfc = pytest.mark.rfc
SPELLINGS = pytest.mark.parametrize("scheme", ["sips", "SIPS", "SipS"])
TLS = Flow("TLS", ("192.0.2.1", 5061), ("192.0.2.9", 40_000), 1)


def request(*headers: tuple[str, str], uri: str = "sip:bob@ims.example") -> Request:
    message = parse_message(request_bytes(uri=uri, headers=headers))
    assert isinstance(message, Request)
    return message


# Option tags ------------------------------------------------------------------------------------------------------


@rfc("3261-7.3.1")
def test_an_option_is_found_among_others_in_any_case() -> None:
    asked = request(("Supported", "path, 100REL"), ("k", "Timer"))
    assert names_option(asked, "Supported", "100rel")
    assert names_option(asked, "Supported", "timer")
    assert not names_option(asked, "Supported", "replaces")
    assert not names_option(asked, "Require", "timer")


@rfc("3261-7.3.1", "3261-8.2.2.3")
@pytest.mark.parametrize("name", ["Require", "Proxy-Require"])
def test_what_is_required_and_known_in_another_case_is_taken(name: str) -> None:
    asked = request((name, "Replaces, , FROBS"), (name, "Gobs"))
    check_required(asked, {"replaces", "frobs", "gobs"}, name=name)
    with pytest.raises(BadExtension) as refused:
        check_required(asked, {"replaces"}, name=name)
    assert refused.value.headers == (("Unsupported", "FROBS, Gobs"),)
    check_required(request((name, "")), name=name)


@rfc("3261-7.3.1", "4028-9")
def test_who_supports_session_timers_in_capitals_supports_them() -> None:
    asked = request(("Supported", "TIMER"), ("Session-Expires", "120"))
    terms = settle(asked, TimerPolicy(1800, 90), "uas")
    assert terms is not None
    assert terms.expires == 120
    with pytest.raises(Exception, match="Session Interval Too Small"):
        settle(request(("Supported", "TIMER"), ("Session-Expires", "60")), TimerPolicy(1800, 90), "uas")


@rfc("3261-7.3.1", "3262-3")
@pytest.mark.parametrize("name", ["Require", "Supported"])
def test_who_names_100rel_in_capitals_gets_reliable_responses(name: str) -> None:
    network = Network()
    bob = Phone(network, "bob")
    bob.on_call = lambda call: call.progress(183, b"early")
    headers = [(name, "100REL"), ("Content-Type", "application/sdp")]
    bob.receive(request_bytes(headers=headers, body=b"offer"), bob.flow(("198.51.100.77", 5060)))
    network.flush()
    (packet,) = network.packets("183 INVITE")
    assert "RSeq" in packet.message
    bob.incoming[0].reject(486)


@rfc("3261-7.3.1", "3262-4")
def test_a_response_that_requires_100rel_in_capitals_is_acknowledged() -> None:
    response = parse_message(response_bytes(request(), 180, headers=[("Require", "100Rel"), ("RSeq", "1")]))
    assert is_reliable(response)  # type: ignore[arg-type]


# Schemes ----------------------------------------------------------------------------------------------------------


@rfc("3261-19.1.4")
def test_sips_is_sips_in_any_case_and_nothing_else() -> None:
    assert all(map(is_sips, ("sips:bob@ims.example", "SIPS:bob@ims.example", "sIpS:x")))
    assert not any(map(is_sips, ("sip:bob@ims.example", "SIP:sips:", "sipsx:bob@ims.example", "sips", "")))


@rfc("3261-19.1.4", "3261-16.6")
@SPELLINGS
def test_a_secure_request_is_recorded_with_a_secure_uri(scheme: str) -> None:
    copy = request(uri=f"{scheme}:bob@203.0.113.9")
    RecordRoute({("TLS", TLS.local): "192.0.2.1:5061"}, b"secret").write(copy, "00ff", TLS, TLS)
    assert copy.values("Record-Route") == ["<sips:00ff@192.0.2.1:5061;lr>"]


@rfc("3261-19.1.4", "3261-12.1.1")
@SPELLINGS
def test_who_is_called_securely_answers_with_a_secure_contact(scheme: str) -> None:
    network = Network()
    bob = Phone(network, "bob")
    bob.on_call = lambda call: call.progress()
    flow = bob.flow(("198.51.100.77", 5061), "TLS")
    bob.advertised["TLS", flow.local] = "198.51.100.1:5061"
    bob.receive(request_bytes(uri=f"{scheme}:bob@ims.example"), flow)
    network.flush()
    contact = network.packets("180 INVITE")[0].message.contact
    assert contact is not None
    assert contact.uri.scheme == "sips"
    bob.incoming[0].reject(486)


@rfc("3261-19.1.4", "5630-5.3")
@SPELLINGS
def test_a_secure_contact_serves_a_secure_call(scheme: str) -> None:
    location = Location()
    location.add(Binding("sip:bob@ims.example", "sip:bob@192.0.2.7"))
    location.add(Binding("sip:bob@ims.example", f"{scheme}:bob@192.0.2.8"))
    home = Scscf(
        Domains("ims.example"), location, is_service=lambda _: False, service="desk", known_user=lambda _: True
    )
    decision = home.route(request(uri=f"{scheme}:bob@ims.example"))
    assert isinstance(decision, Forward)
    assert [target.uri for target in decision.targets] == [f"{scheme}:bob@192.0.2.8"]


@rfc("3261-19.1.4", "3261-16.7")
@SPELLINGS
def test_no_recursion_leaves_the_secured_ways(scheme: str) -> None:
    asked = request(uri=f"{scheme}:bob@ims.example")
    secure, other = f"{scheme}:bob@203.0.113.8", "sip:bob@203.0.113.9"
    redirect = parse_message(response_bytes(asked, 302, headers=[("Contact", f"<{secure}>, <{other}>")]))
    targets, left = Recursion(lambda _: True).split(asked, redirect, ())  # type: ignore[arg-type]
    assert [target.uri for target in targets] == [secure]
    assert left == [f"<{other}>"]


@rfc("3261-19.1.4", "3261-16.4")
@pytest.mark.parametrize("scheme", ["sip", "SIP", "sips", "SIPS"])
def test_what_a_strict_router_did_is_undone(scheme: str) -> None:
    found = request(("Route", "<sip:bob@203.0.113.9>"), uri=f"{scheme}:t@192.0.2.1")
    assert undo_strict_routing(found, lambda uri: uri.host == "192.0.2.1") is not None
    assert found.uri == "sip:bob@203.0.113.9"
    assert undo_strict_routing(request(uri="urn:service:sos"), lambda _: True) is None
