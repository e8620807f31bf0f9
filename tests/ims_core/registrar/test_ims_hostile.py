"""Whatever a REGISTER says of who it is from: it is answered, and nobody is registered by it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ims_core.errors import SipError
from ims_core.flow import Flow
from ims_core.messages.message import Request
from ims_core.messages.parser import parse_message
from ims_core.security.digest import Unauthorized
from tests.kit import Network
from tests.kit.home import ALICE, ALICE_TEL, BOB, DESKS, OFFICE, SCSCF_ADDRESS, Home

FLOW = Flow("UDP", SCSCF_ADDRESS, ("198.51.100.9", 5060))
HOME = Home(Network(), is_protected=lambda request, flow, held: True)

odd = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"), max_size=30)
identities = st.sampled_from(
    [ALICE, ALICE_TEL, BOB, OFFICE, DESKS, "sip:desk-1@ims.example", "sip:ims.example", "tel:", "sip:@", "urn:x:y", "*"]
)
uris = identities | odd
usernames = st.sampled_from(["alice@ims.example", "alice", "bob@ims.example", "@ims.example", "nobody@ims.example", ""])
parameters = st.sampled_from(
    ['nonce=""', 'nonce="AAAA"', "response=", 'auts="!"', "integrity-protected=yes", "algorithm=AKAv1-MD5", "qop=auth"]
)
credentials = st.builds(
    lambda username, realm, rest: f'Digest username="{username}", realm="{realm}", {", ".join(rest)}',
    usernames | odd, st.sampled_from(["ims.example", "elsewhere", ""]), st.lists(parameters | odd, max_size=4),
)  # fmt: skip
more = st.builds(
    "{}: {}".format,
    st.sampled_from("Path Require Supported Expires Max-Forwards Route P-Charging-Vector From To CSeq Via".split()),
    odd | uris.map("<{}>".format),
)
contacts = st.builds(lambda uri, rest: f"<{uri}>{rest}", uris, st.sampled_from(["", ";expires=0", ";reg-id=1"])) | odd


@pytest.mark.rfc("TS24.229-5.4.1.2.1")
@given(
    to=st.builds("<{}>".format, uris) | odd,
    uri=st.sampled_from(["sip:ims.example", "sip:elsewhere", "sip:"]),
    authorizations=st.lists(credentials | odd, max_size=2),
    contact=st.lists(contacts | st.just("*"), max_size=2),
    expires=st.sampled_from(["0", "600", "x", "99999999999"]),
)
def test_no_register_without_a_proof_changes_anything(
    to: str, uri: str, authorizations: list[str], contact: list[str], expires: str
) -> None:
    lines = [
        f"REGISTER {uri} SIP/2.0", "Via: SIP/2.0/UDP 198.51.100.9;branch=z9hG4bK1", f"To: {to}", f"From: {to};tag=1",
        "Call-ID: 1", "CSeq: 1 REGISTER", *(f"Authorization: {each}" for each in authorizations),
        *(f"Contact: {each}" for each in contact), f"Expires: {expires}",
    ]  # fmt: skip
    try:
        request = parse_message("\r\n".join([*lines, "", ""]).encode())
        assert isinstance(request, Request)
        answer = HOME.registrar.handle(request, FLOW, 1.0)
    except SipError:
        pass
    else:
        assert isinstance(answer, Unauthorized) or answer.status >= 400
    assert len(HOME.location) == 0
    assert not HOME.location.events


@pytest.mark.rfc("3261-8.2.6")
@given(
    number=st.integers(0, 2**31), to=st.builds("<{}>".format, uris) | odd,
    authorizations=st.lists(credentials | odd, max_size=3), contact=st.lists(contacts | st.just("*"), max_size=3),
    others=st.lists(more, max_size=3),
)  # fmt: skip
def test_a_node_answers_every_register_and_keeps_nothing(
    number: int, to: str, authorizations: list[str], contact: list[str], others: list[str]
) -> None:
    lines = [
        "REGISTER sip:ims.example SIP/2.0", f"Via: SIP/2.0/UDP 198.51.100.9;branch=z9hG4bK{number}", f"To: {to}",
        f"From: <{ALICE}>;tag=1", f"Call-ID: {number}", "CSeq: 1 REGISTER", "Max-Forwards: 70",
        *(f"Authorization: {each}" for each in authorizations), *(f"Contact: {each}" for each in contact), *others,
    ]  # fmt: skip
    HOME.node.receive("\r\n".join([*lines, "", ""]).encode(), FLOW)
    ((flow, answer),) = HOME.node.data_to_send()
    assert flow == FLOW
    assert answer.startswith(b"SIP/2.0 4")
    assert len(HOME.location) == len(HOME.registrations) == 0
    assert HOME.endpoint.transactions() == {"client": 0, "server": 0}
