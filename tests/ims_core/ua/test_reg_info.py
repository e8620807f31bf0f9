"""Registration information documents: valid by the schema of RFC 3680, whatever phones say of themselves."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from ims_core.errors import SipError
from ims_core.messages.uri import parse_uri
from ims_core.ua.reg_info import NAMESPACE, ContactState, RegistrationState, write_reg_info

SCHEMA = etree.XMLSchema(etree.parse(Path(__file__).with_name("reg-info.xsd")))
ALICE = "sip:+8613800000001@ims.example"
EVENTS = "registered created refreshed shortened expired deactivated probation unregistered rejected".split()
CONTACT = ContactState(
    "c1", "sip:alice@192.0.2.5:5070;transport=tcp", "active", "registered", 600, None, 12, 0.5, "call@192.0.2.5", 7,
    "Alice", (("+sip.instance", '"<urn:gsma:imei:35622410-483840-0>"'), ("+g.3gpp.smsip", "")),
)  # fmt: skip


def read(document: bytes) -> etree._Element:
    """Parse a document that must be valid."""
    root = etree.fromstring(document)
    SCHEMA.assertValid(root)
    return root


def tag(name: str) -> str:
    return f"{{{NAMESPACE}}}{name}"


@pytest.mark.rfc("3680-5.1", "3680-5.4")
def test_a_document_says_all_that_is_known_of_a_contact() -> None:
    document = write_reg_info(3, [RegistrationState("r1", ALICE, "active", (CONTACT,))], full=False)
    root = read(document)
    assert document.startswith(b"<?xml version='1.0' encoding='UTF-8'?>")
    assert dict(root.attrib) == {"version": "3", "state": "partial"}
    (registration,) = root
    assert dict(registration.attrib) == {"aor": ALICE, "id": "r1", "state": "active"}
    (contact,) = registration
    assert dict(contact.attrib) == {
        "id": "c1", "state": "active", "event": "registered", "expires": "600", "duration-registered": "12", "q": "0.5",
        "callid": "call@192.0.2.5", "cseq": "7",
    }  # fmt: skip
    assert [(child.tag, child.get("name"), child.text) for child in contact] == [
        (tag("uri"), None, "sip:alice@192.0.2.5:5070;transport=tcp"),
        (tag("display-name"), None, "Alice"),
        (tag("unknown-param"), "+sip.instance", '"<urn:gsma:imei:35622410-483840-0>"'),
        (tag("unknown-param"), "+g.3gpp.smsip", None),
    ]


@pytest.mark.rfc("3680-5.1")
def test_nobody_registered_is_a_document_as_well() -> None:
    assert list(read(write_reg_info(0, [], full=True))) == []
    (registration,) = read(write_reg_info(0, [RegistrationState("r1", "tel:+86138", "init")], full=True))
    assert (registration.get("state"), len(registration)) == ("init", 0)


@pytest.mark.rfc("TS24.229-5.4.2.1.2", "TS24.229-7.10.2")
def test_a_wildcarded_identity_stands_in_a_namespace_of_its_own() -> None:
    state = RegistrationState("r1", "sip:desk-0@ims.example", "active", (CONTACT,), "sip:desk-!.*!@ims.example")
    (registration,) = read(write_reg_info(0, [state], full=True))
    assert (registration[-1].tag, registration[-1].text) == (
        "{urn:3gpp:ns:extRegExp:1.0}wildcardedIdentity",
        "sip:desk-!.*!@ims.example",
    )


texts = st.text(max_size=20)
numbers = st.none() | st.integers(0, 10**9)


@given(
    st.builds(
        ContactState, texts, st.just("sip:a@192.0.2.5"), st.sampled_from(["active", "terminated"]),
        st.sampled_from(EVENTS), numbers, numbers, numbers, st.none() | st.floats(0, 1), texts, numbers, texts,
        st.lists(st.tuples(texts, texts), max_size=3).map(tuple),
    )
)  # fmt: skip
def test_whatever_phones_call_themselves_the_document_stays_valid(contact: ContactState) -> None:
    read(write_reg_info(1, [RegistrationState("r1", ALICE, "active", (contact,))], full=True))


@given(
    st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"), max_size=6),
    st.text('abc;=%#[]?&<>"\\ ^`{|}:@/', max_size=8),
)
def test_whatever_a_contact_is_called_the_document_stays_valid(user: str, rest: str) -> None:
    for text in (f"sip:{user}@192.0.2.5{rest}", f"sip:192.0.2.5;x={rest}"):
        try:
            uri = parse_uri(text).text
        except SipError:
            continue
        state = RegistrationState("r1", uri, "active", (CONTACT._replace(uri=uri),))
        read(write_reg_info(1, [state], full=True))


@pytest.mark.parametrize(
    ("uri", "written"),
    [
        ("sip:a%20b@[2001:db8::5]:5070;transport=tcp", "sip:a%20b@[2001:db8::5]:5070;transport=tcp"),
        ("sip:[::5];maddr=[::6]", "sip:[::5];maddr=%5B::6%5D"),
        ("sip:50%@192.0.2.5", "sip:50%25@192.0.2.5"),
    ],
)
def test_a_contact_is_written_as_it_is_where_that_is_a_uri(uri: str, written: str) -> None:
    """libxml2 takes no address of IPv6 in a SIP URI for an xs:anyURI, though RFC 2732 makes it one."""
    state = RegistrationState("r1", ALICE, "active", (CONTACT._replace(uri=uri),))
    ((contact,),) = etree.fromstring(write_reg_info(1, [state], full=True))
    assert contact[0].text == written
