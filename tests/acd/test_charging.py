"""What an INVITE says for charging, from the wire to the CDR."""

from __future__ import annotations

import pytest

from acd.charging import LONGEST, charging_of
from acd.facts import ChargingKnown
from ims_core.flow import Flow
from ims_core.messages.message import Request
from ims_core.registrar.location import Binding
from tests.acd.house import SERVER, House

VECTOR = (
    "P-Charging-Vector",
    "icid-value=1234bc9876e;icid-generated-at=192.0.6.8;orig-ioi=home1.net;term-ioi=home2.net",
)
NETWORK = "3GPP-E-UTRAN-FDD;utran-cell-id-3gpp=460001234567890A"


def invite(*headers: tuple[str, str]) -> Request:
    request = Request("INVITE", "sip:10000@ims.example")
    for name, value in headers:
        request.add(name, value)
    return request


@pytest.mark.rfc("7315-5.6")
def test_what_the_headers_say_is_known() -> None:
    found = charging_of(
        invite(
            VECTOR,
            ("P-Asserted-Identity", '"Ann, A." <sip:+8613800000001@home1.net>, <tel:+8613800000001>'),
            ("P-Served-User", "<sip:+8613800000001@home1.net>;sescase=orig;regstate=reg"),
            ("P-Access-Network-Info", NETWORK),
            ("P-Called-Party-ID", "<sip:hotline@home2.net>"),
        ),
        "c1",
    )
    assert found == ChargingKnown(
        "c1",
        "1234bc9876e",
        "home1.net",
        "home2.net",
        "sip:+8613800000001@home1.net",
        "sip:+8613800000001@home1.net",
        NETWORK,
        "sip:hotline@home2.net",
    )


def test_an_invite_without_any_of_them_tells_nothing() -> None:
    assert charging_of(invite(("Subject", "icid-value=1")), "c1") is None


@pytest.mark.rfc("7315-5.6")
@pytest.mark.parametrize(
    ("vector", "icid", "orig"),
    [
        ('icid-value="a;b=c" ; orig-ioi="home1.net"', "a;b=c", "home1.net"),
        ("ICID-Value = x1", "x1", ""),
        ("icid-value=x1;;orig-ioi=y", "", ""),
        (";=", "", ""),
        ("", "", ""),
        ("icid-value=" + "x" * 2000, "x" * LONGEST, ""),
        ("icid-value=a\0b\udcff", "ab�", ""),
    ],
)
def test_a_vector_in_other_forms_or_without_form(vector: str, icid: str, orig: str) -> None:
    found = charging_of(invite(("P-Charging-Vector", vector)), "c1")
    assert found == ChargingKnown("c1", icid=icid, orig_ioi=orig, called_party="sip:10000@ims.example")


def test_addresses_that_are_none_are_left_out() -> None:
    found = charging_of(invite(("P-Asserted-Identity", "<"), ("P-Served-User", "")), "c1")
    assert found == ChargingKnown("c1", called_party="sip:10000@ims.example")


@pytest.mark.rfc("7315-4.6")
def test_it_is_in_the_record_of_the_call_and_in_that_told_from_the_log() -> None:
    with House() as house:
        caller = house.phone("alice")
        caller.dial("10003", headers=(VECTOR, ("P-Access-Network-Info", NETWORK)))
        house.settle()
        (cdr,) = house.records.cdrs
        assert (cdr.icid, cdr.orig_ioi, cdr.term_ioi) == ("1234bc9876e", "home1.net", "home2.net")
        assert (cdr.access_network, cdr.called_party) == (NETWORK, "sip:10003@ims.example")
        assert (cdr.asserted_identity, cdr.served_user) == (None, None)
        kinds = [type(entry.fact).__name__ for entry in house.journal.entries]
        assert kinds.index("ChargingKnown") == kinds.index("CallArrived") + 1
        house.assert_nothing_left()


def test_a_call_of_a_plain_phone_has_none_of_it() -> None:
    with House() as house:
        house.phone("alice").dial("10003")
        house.settle()
        (cdr,) = house.records.cdrs
        assert cdr.icid is cdr.asserted_identity is cdr.access_network is cdr.called_party is None


@pytest.mark.rfc("3325-5", "TS24.229-4.4.5")
def test_a_phone_that_is_asked_for_a_password_is_not_believed() -> None:
    headers = (VECTOR, ("P-Asserted-Identity", "<sip:boss@ims.example>"), ("P-Access-Network-Info", NETWORK))
    with House("sip.authentication=digest") as house:
        caller = house.phone("alice")
        flow = Flow("UDP", SERVER, caller.address)
        contact = f"sip:alice@127.0.0.1:{caller.address[1]}"
        house.location.add(Binding("sip:alice@ims.example", contact, flow=flow))
        caller.dial("10003", headers=headers)
        house.settle()
        (cdr,) = house.records.cdrs
        assert cdr.icid is cdr.orig_ioi is cdr.asserted_identity is None
        assert (cdr.caller, cdr.access_network) == ("alice", NETWORK)
