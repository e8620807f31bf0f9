"""Registrations of flows: several ways to one phone, each kept apart (RFC 5626, RFC 3327)."""

import random

import pytest

from ims_core.flow import Flow
from ims_core.ids import Ids
from ims_core.messages.message import Request, Response
from ims_core.messages.parser import parse_message
from ims_core.registrar.location import BindingAdded, BindingRefreshed, BindingRemoved, Domains, Location, Removal
from ims_core.registrar.registrar import Registrar

rfc = pytest.mark.rfc

LOCAL = ("127.0.0.1", 5060)
UDP = Flow("UDP", LOCAL, ("127.0.0.1", 5070))
FIRST = Flow("TCP", LOCAL, ("127.0.0.1", 40001), 1)
SECOND = Flow("TCP", LOCAL, ("127.0.0.1", 40002), 2)
ALICE = "sip:alice@ims.example"
INSTANCE = "<urn:uuid:00000000-0000-1000-8000-000A95A0E128>"
CONTACT = f'<sip:alice@127.0.0.1:5070;ob>;+sip.instance="{INSTANCE}"'
SUPPORTED = "Supported: path, outbound"


class Site:
    """A registrar that is sent one request after the other."""

    def __init__(self, *, flow_timer: int = 120, service_route: tuple[str, ...] = ()) -> None:
        self.location = Location()
        self.cseq = 0
        self.registrar = Registrar(
            Domains("ims.example"),
            self.location,
            Ids(random.Random(1).getrandbits),
            flow_timer=flow_timer,
            service_route=service_route,
        )

    def register(
        self, *lines: str, flow: Flow = FIRST, call_id: str = "1@127.0.0.1", vias: int = 1, now: float = 0.0
    ) -> Response:
        self.cseq += 1
        head = [
            "REGISTER sip:ims.example SIP/2.0",
            *(f"Via: SIP/2.0/{flow.transport} 127.0.0.{hop + 1}:5070;branch=z9hG4bK{hop}" for hop in range(vias)),
            "From: <sip:alice@ims.example>;tag=1",
            f"To: <{ALICE}>",
            f"Call-ID: {call_id}",
            f"CSeq: {self.cseq} REGISTER",
        ]
        request = parse_message("\r\n".join([*head, *lines, "", ""]).encode())
        assert isinstance(request, Request)
        response = self.registrar.handle(request, flow, now)
        assert isinstance(response, Response)
        return response

    def flow(self, reg_id: int, flow: Flow = FIRST, *lines: str, **options: object) -> Response:
        lines = lines or (SUPPORTED,)
        return self.register(f"Contact: {CONTACT};reg-id={reg_id}", *lines, flow=flow, **options)  # type: ignore[arg-type]

    @property
    def held(self) -> list[tuple[str, int, Flow | None]]:
        return [(binding.contact, binding.reg_id, binding.flow) for binding in self.location.bindings(ALICE)]


@rfc("5626-6")
def test_a_registration_of_a_flow_is_said_to_be_one() -> None:
    response = Site().flow(1)
    assert response.status == 200
    assert response.values("Require") == ["outbound"]
    assert response.values("Contact") == [
        f'<sip:alice@127.0.0.1:5070;ob>;expires=3600;+sip.instance="{INSTANCE}";reg-id=1'
    ]


@rfc("5626-6")
def test_a_phone_is_told_how_often_to_show_that_its_flow_lives() -> None:
    assert Site(flow_timer=90).flow(1).get("Flow-Timer") == "90"
    assert "Flow-Timer" not in Site(flow_timer=0).flow(1)
    behind_an_edge = Site().flow(1, FIRST, SUPPORTED, "Path: <sip:edge@127.0.0.9;lr;ob>", vias=2)
    assert behind_an_edge.values("Require") == ["outbound"]
    assert "Flow-Timer" not in behind_an_edge


@rfc("5626-6")
def test_another_request_is_not_said_to_register_a_flow() -> None:
    site = Site()
    site.flow(1)
    for response in (
        site.register(SUPPORTED),
        site.register(f"Contact: {CONTACT}", SUPPORTED, flow=UDP),
        site.register("Contact: <sip:alice@127.0.0.1:5099>", SUPPORTED, flow=UDP),
    ):
        assert response.status == 200
        assert "Require" not in response
        assert any(";reg-id=1" in value for value in response.values("Contact"))


@rfc("3261-8.2.4")
def test_the_extension_is_not_used_with_who_does_not_support_it() -> None:
    site = Site()
    assert "Require" not in site.flow(1, FIRST, "Supported: path")
    assert site.held == [("sip:alice@127.0.0.1:5070;ob", 1, FIRST)]


@rfc("5626-6")
@rfc("5626-4.2")
def test_two_flows_of_a_phone_with_one_contact_are_two_bindings() -> None:
    site = Site()
    site.flow(1, FIRST)
    site.flow(2, SECOND, now=1.0)
    assert site.held == [
        ("sip:alice@127.0.0.1:5070;ob", 2, SECOND),
        ("sip:alice@127.0.0.1:5070;ob", 1, FIRST),
    ]
    assert [binding.way for binding in site.location.bindings(ALICE)] == [SECOND, FIRST]


@rfc("5626-6")
def test_a_flow_registered_anew_replaces_the_old_one_whatever_contact_and_call_it_has() -> None:
    site = Site()
    site.flow(1, FIRST)
    moved = f'<sip:alice@127.0.0.1:5099;ob>;+sip.instance="{INSTANCE}";reg-id=1'
    response = site.register(f"Contact: {moved}", SUPPORTED, flow=SECOND, call_id="2@127.0.0.1", now=5.0)
    assert response.values("Require") == ["outbound"]
    assert site.held == [("sip:alice@127.0.0.1:5099;ob", 1, SECOND)]
    events = list(iter(site.location.next_event, None))
    assert [type(event) for event in events] == [BindingAdded, BindingRefreshed]


@rfc("5626-6")
def test_the_same_contact_without_a_flow_is_a_binding_of_its_own() -> None:
    site = Site()
    site.flow(1, FIRST)
    site.register("Contact: <sip:alice@127.0.0.1:5070;ob>", flow=UDP)
    assert sorted(reg_id for _, reg_id, _ in site.held) == [0, 1]
    site.register(f"Contact: {CONTACT};expires=0", flow=UDP)
    assert [reg_id for _, reg_id, _ in site.held] == [1]
    site.flow(1, SECOND, "Expires: 0", SUPPORTED)
    assert site.held == []


@rfc("5626-6")
def test_a_number_of_a_flow_without_an_instance_is_ignored() -> None:
    site = Site()
    response = site.register("Contact: <sip:alice@127.0.0.1:5070>;reg-id=1", SUPPORTED)
    assert response.status == 200
    assert "Require" not in response
    assert [reg_id for _, reg_id, _ in site.held] == [0]


@rfc("5626-6")
def test_more_than_one_contact_to_stay_is_refused_beside_a_flow() -> None:
    site = Site()
    flow, other = f"{CONTACT};reg-id=1", "<sip:alice@127.0.0.1:5080>"
    assert site.register(f"Contact: {flow}, {other}", SUPPORTED).status == 400
    assert site.held == []
    site.register(f"Contact: {other}", flow=UDP)
    assert site.register(f"Contact: {flow}, {other};expires=0", SUPPORTED).status == 200
    assert [reg_id for _, reg_id, _ in site.held] == [1]


@rfc("5626-6")
@rfc("5626-11.6")
@pytest.mark.parametrize("path", [(), ("Path: <sip:edge@127.0.0.9;lr>",)], ids=["no path", "no ob"])
def test_who_keeps_no_flow_in_between_is_told_of_or_overlooked(path: tuple[str, ...]) -> None:
    site = Site()
    refused = site.flow(1, FIRST, SUPPORTED, *path, vias=2)
    assert (refused.status, refused.reason) == (439, "First Hop Lacks Outbound Support")
    assert site.held == []
    taken = site.flow(1, FIRST, "Supported: path", *path, vias=2)
    assert taken.status == 200
    assert "Require" not in taken
    assert [reg_id for _, reg_id, _ in site.held] == [0]


@rfc("5626-6")
@rfc("3327-5.3")
def test_behind_an_edge_the_path_is_the_flow() -> None:
    site = Site()
    path = ("<sip:inner@127.0.0.8;lr>", "<sip:edge@127.0.0.9;lr;ob>")
    response = site.flow(1, FIRST, SUPPORTED, f"Path: {path[0]}", f"Path: {path[1]}", vias=3)
    assert response.values("Path") == list(path)
    (binding,) = site.location.bindings(ALICE)
    assert (binding.path, binding.way, binding.flow) == (path, None, None)
    assert not site.location.has_flow(FIRST), "it is the proxy that sends from there, not the phone"


@pytest.mark.parametrize("reg_id", ["0", "-1", "x", "", "2147483648", "1.5"])
@rfc("5626-9")
def test_a_malformed_number_of_a_flow_is_told(reg_id: str) -> None:
    assert Site().register(f"Contact: {CONTACT};reg-id={reg_id}", SUPPORTED).status == 400


@rfc("5626-6")
def test_outbound_may_be_required() -> None:
    assert Site().flow(1, FIRST, "Require: outbound", SUPPORTED).status == 200


@rfc("5626-6")
def test_a_flow_is_kept_while_it_is_refreshed_over_it() -> None:
    site = Site()
    site.flow(1)
    (binding,) = site.location.bindings(ALICE)
    response = site.flow(1, now=100.0)
    assert response.values("Require") == ["outbound"]
    assert binding.expires_at == 3700.0
    assert list(iter(site.location.next_event, None))[1:] == [BindingRefreshed(ALICE, binding, renewed=True)]


@rfc("5626-3.3")
def test_with_its_connection_a_flow_goes_and_the_other_stays() -> None:
    site = Site()
    site.flow(1, FIRST)
    site.flow(2, SECOND)
    site.location.connection_lost(SECOND)
    assert site.held == [("sip:alice@127.0.0.1:5070;ob", 1, FIRST)]
    *_, last = iter(site.location.next_event, None)
    assert isinstance(last, BindingRemoved)
    assert (last.reason, last.last) == (Removal.FLOW_LOST, False)


@rfc("7118-5")
@pytest.mark.parametrize("transport", ["WS", "WSS"])
def test_a_browser_is_reached_by_its_connection_only(transport: str) -> None:
    site = Site()
    flow = FIRST._replace(transport=transport)
    site.register("Contact: <sip:alice@df7jal23ls0d.invalid;transport=ws>", flow=flow)
    (binding,) = site.location.bindings(ALICE)
    assert binding.way == flow
    site.location.connection_lost(flow)
    assert site.held == []


@rfc("3608-6.3")
def test_the_service_route_is_told_with_every_success() -> None:
    route = ("<sip:p1.ims.example;lr>", "<sip:p2.ims.example;lr>")
    site = Site(service_route=route)
    assert site.flow(1).values("Service-Route") == list(route)
    assert site.register().values("Service-Route") == list(route)
    assert "Service-Route" not in site.register("Contact: <sip:a@127.0.0.1>;expires=1")
    assert "Service-Route" not in Site().flow(1)


@rfc("3327-5.3")
def test_a_path_registered_again_replaces_the_old_one() -> None:
    site = Site()
    contact = "Contact: <sip:alice@127.0.0.1:5070>"
    site.register(contact, "Path: <sip:p1;lr>", "Supported: path", vias=2)
    site.register(contact, "Path: <sip:p2;lr>", "Supported: path", vias=2)
    assert [binding.path for binding in site.location.bindings(ALICE)] == [("<sip:p2;lr>",)]
    site.register(contact)
    assert [binding.path for binding in site.location.bindings(ALICE)] == [()]


def test_from_behind_a_proxy_nobody_is_known_by_the_flow() -> None:
    site = Site()
    site.register("Contact: <sip:alice@127.0.0.1:5070>", flow=UDP, vias=2)
    (binding,) = site.location.bindings(ALICE)
    assert (binding.flow, binding.way) == (None, None)
    assert not site.location.has_flow(UDP)


@rfc("3327-4")
@pytest.mark.parametrize("path", ["<>", "sip:", "<tel:+1555>", "<sip:p1;lr>, x"])
def test_a_path_that_nothing_can_be_sent_by_is_told(path: str) -> None:
    site = Site()
    assert site.register("Contact: <sip:alice@127.0.0.1:5070>", f"Path: {path}", vias=2).status == 400
    assert site.held == []
