"""Dialogs on both sides, from messages written by hand."""

import pytest

from ims_core.errors import BadRequest
from ims_core.flow import Flow
from ims_core.messages.message import Request, Response
from ims_core.messages.parser import parse_message
from ims_core.ua.dialog import Dialog, OutOfOrder
from tests.kit import request_bytes, response_bytes

FLOW = Flow("UDP", ("192.0.2.1", 5060), ("198.51.100.77", 5060))
ROUTES = ["<sip:p1.ims.example;lr>", "<sip:p2.ims.example;lr>", "<sip:p3.ims.example;lr>"]
RECORDED = [("Record-Route", f"{ROUTES[0]}, {ROUTES[1]}"), ("Record-Route", ROUTES[2])]


def read_request(data: bytes) -> Request:
    request = parse_message(data)
    assert isinstance(request, Request)
    return request


def read_response(data: bytes) -> Response:
    response = parse_message(data)
    assert isinstance(response, Response)
    return response


def as_server(**changes: object) -> Dialog:
    return Dialog.as_server(read_request(request_bytes(cseq=7, **changes)), "t2", FLOW)  # type: ignore[arg-type]


def as_client(
    contact: str = "<sip:bob@203.0.113.9:5070;transport=tcp>", headers: list[tuple[str, str]] | None = None
) -> Dialog:
    invite = read_request(request_bytes(cseq=7))
    answer = response_bytes(invite, 200, headers=[("Contact", contact), *(headers or [])])
    return Dialog.as_client(invite, read_response(answer), FLOW)


@pytest.mark.rfc("3261-12.1.1")
def test_the_side_that_answers_takes_the_peer_from_the_request() -> None:
    dialog = as_server(headers=RECORDED)
    assert (dialog.call_id, dialog.local_tag, dialog.remote_tag) == ("call-1@198.51.100.77", "t2", "a1")
    assert dialog.remote_target == "sip:alice@198.51.100.77:5060"
    assert dialog.route_set == ROUTES
    assert dialog.remote_cseq == 7
    assert dialog.local == "<sip:bob@ims.example>;tag=t2"
    assert dialog.remote == "<sip:alice@ims.example>;tag=a1"


@pytest.mark.rfc("3261-12.1.2")
def test_the_side_that_asked_takes_the_route_in_reverse() -> None:
    dialog = as_client(headers=RECORDED)
    assert (dialog.local_tag, dialog.remote_tag) == ("a1", "b1")
    assert dialog.remote_target == "sip:bob@203.0.113.9:5070;transport=tcp"
    assert dialog.route_set == ROUTES[::-1]
    assert dialog.local_cseq == 7


@pytest.mark.rfc("3261-12.1.2")
def test_an_answer_without_to_tag_is_that_of_rfc_2543() -> None:
    invite = read_request(request_bytes())
    answer = read_response(response_bytes(invite, 200, to_tag="", headers=[("Contact", "<sip:bob@203.0.113.9>")]))
    assert Dialog.as_client(invite, answer, FLOW).remote_tag == ""


@pytest.mark.rfc("3261-12.1.1")
@pytest.mark.parametrize(
    "changes",
    [
        {"contact": None},
        {"contact": "<sip:>"},
        {"contact": "*"},
        {"contact": "<mailto:alice@ims.example>"},
        {"headers": [("Record-Route", "<sip:p1.ims.example;lr")]},
        {"headers": [("Record-Route", "<urn:p1;lr>")]},
    ],
)
def test_a_peer_that_could_not_be_reached_is_refused_at_once(changes: dict[str, object]) -> None:
    with pytest.raises(BadRequest):
        as_server(**changes)


@pytest.mark.parametrize(
    ("contact", "headers"),
    [("*", []), ("<urn:x:y>", []), ("<sip:bob@203.0.113.9>", [("Record-Route", "<sip:p1.ims.example")])],
)
def test_an_answer_without_a_way_back_is_refused(contact: str, headers: list[tuple[str, str]]) -> None:
    with pytest.raises(BadRequest):
        as_client(contact, headers)


@pytest.mark.rfc("3261-12.2.1.1")
def test_a_request_through_loose_routers() -> None:
    dialog = as_server(headers=RECORDED)
    bye = dialog.request("BYE")
    assert bye.uri == "sip:alice@198.51.100.77:5060"
    assert bye.values("Route") == ROUTES
    assert dialog.next_hop == "sip:p1.ims.example;lr"
    assert (bye.get("From"), bye.get("To")) == (dialog.local, dialog.remote)
    assert (bye.get("CSeq"), bye.call_id, bye.get("Max-Forwards")) == ("1 BYE", dialog.call_id, "70")
    assert dialog.request("INFO").get("CSeq") == "2 INFO"


@pytest.mark.rfc("3261-12.2.1.1")
def test_a_request_through_a_strict_router() -> None:
    dialog = as_server(headers=[("Record-Route", "<sip:strict.ims.example>, <sip:p2.ims.example;lr>")])
    bye = dialog.request("BYE")
    assert bye.uri == "sip:strict.ims.example"
    assert bye.values("Route") == ["<sip:p2.ims.example;lr>", "<sip:alice@198.51.100.77:5060>"]
    assert dialog.next_hop == "sip:strict.ims.example"


@pytest.mark.rfc("3261-12.2.1.1")
def test_a_request_without_routes_goes_to_the_contact() -> None:
    dialog = as_client()
    assert dialog.request("BYE").uri == dialog.next_hop == "sip:bob@203.0.113.9:5070;transport=tcp"
    assert dialog.request("BYE").get("CSeq") == "9 BYE"


@pytest.mark.rfc("3261-13.2.2.4")
def test_an_ack_has_the_number_of_its_invite_and_uses_up_none() -> None:
    dialog = as_client()
    assert dialog.request("ACK", cseq=dialog.local_cseq).get("CSeq") == "7 ACK"
    assert dialog.request("BYE").get("CSeq") == "8 BYE"


@pytest.mark.rfc("3261-12.2.2")
def test_numbers_may_jump_but_not_fall() -> None:
    dialog = as_server()
    dialog.accept(read_request(request_bytes("INFO", cseq=50)))
    dialog.accept(read_request(request_bytes("INFO", cseq=50)))
    with pytest.raises(OutOfOrder) as caught:
        dialog.accept(read_request(request_bytes("INFO", cseq=49)))
    assert caught.value.status == 500
    assert dialog.remote_cseq == 50


@pytest.mark.rfc("3261-12.2.2")
def test_only_a_target_refresh_moves_the_target() -> None:
    dialog = as_server()
    moved = "<sip:alice@198.51.100.88>"
    dialog.accept(read_request(request_bytes("INFO", cseq=8, contact=moved)))
    assert dialog.remote_target == "sip:alice@198.51.100.77:5060"
    dialog.accept(read_request(request_bytes("INVITE", cseq=9, contact=moved)))
    assert dialog.remote_target == "sip:alice@198.51.100.88"
    dialog.accept(read_request(request_bytes("INVITE", cseq=10, contact=None)))
    assert dialog.remote_target == "sip:alice@198.51.100.88"


@pytest.mark.rfc("3261-12.2.2")
def test_a_refused_target_refresh_changes_nothing() -> None:
    dialog = as_server()
    with pytest.raises(BadRequest):
        dialog.accept(read_request(request_bytes("INVITE", cseq=8, contact="<sip:>")))
    assert dialog.remote_target == "sip:alice@198.51.100.77:5060"
    with pytest.raises(OutOfOrder):
        dialog.accept(read_request(request_bytes("INVITE", cseq=3, contact="<sip:alice@198.51.100.88>")))
    assert dialog.remote_target == "sip:alice@198.51.100.77:5060"
