"""What an S-CSCF tells of users, and whom."""

from __future__ import annotations

import pytest

from ims_core.messages.message import Request
from ims_core.messages.uri import parse_uri
from ims_core.profiles.model import SessionCase
from ims_core.registrar.location import Domains
from ims_core.roles.served import assert_both_forms, caller_of, disbelieve, other_form, payer_of, serve, take_outside
from ims_core.subscribers.identities import PublicIdentity, public_identity

rfc = pytest.mark.rfc
ONE, TWO = "sip:+861380@ims.example", "sip:+861381@ims.example"


def identities(*texts: str, barred: str = "") -> tuple[PublicIdentity, ...]:
    return tuple(public_identity(text, barred=text == barred) for text in texts)


def request(*headers: tuple[str, str]) -> Request:
    made = Request("INVITE", "sip:bob@ims.example")
    for name, value in headers:
        made.add(name, value)
    return made


@rfc("5502-6", "8498-4")
@pytest.mark.parametrize(
    ("case", "told"),
    [
        (SessionCase.ORIGINATING, "sescase=orig;regstate=reg"),
        (SessionCase.ORIGINATING_UNREGISTERED, "sescase=orig;regstate=unreg"),
        (SessionCase.TERMINATING_REGISTERED, "sescase=term;regstate=reg"),
        (SessionCase.TERMINATING_UNREGISTERED, "sescase=term;regstate=unreg"),
        (SessionCase.ORIGINATING_CDIV, "orig-cdiv"),
    ],
)
def test_every_session_case_is_told(case: SessionCase, told: str) -> None:
    made = request(("P-Served-User", "<sip:other@ims.example>"))
    serve(made, ONE, case)
    assert made.values("P-Served-User") == [f"<{ONE}>;{told}"]


@rfc("TS24.229-5.4.3.2")
@pytest.mark.parametrize(
    ("uri", "texts", "other"),
    [
        (ONE, (ONE, "tel:+861380"), "tel:+861380"),
        (ONE, (ONE, TWO, "tel:+861381", "tel:+861380"), "tel:+861380"),
        ("sip:alice@ims.example", ("sip:alice@ims.example", "tel:+861381"), "tel:+861381"),
        ("tel:+861380", ("tel:+861380", TWO, ONE), ONE),
        ("tel:+86-1380", ("tel:+861380", "sip:alice@ims.example"), "sip:alice@ims.example"),
        (ONE, (ONE, TWO), None),
        (ONE, (ONE, "tel:!.*!"), None),
    ],
)
def test_the_other_form_is_that_of_the_same_number_or_the_first(
    uri: str, texts: tuple[str, ...], other: str | None
) -> None:
    assert other_form(parse_uri(uri), identities(*texts)) == other


def test_a_barred_identity_is_told_to_nobody() -> None:
    assert other_form(parse_uri(ONE), identities(ONE, "tel:+861380", barred="tel:+861380")) is None


@rfc("TS24.229-5.4.3.2")
@pytest.mark.parametrize("asserted", ["", "nonsense", "<urn:x:y>", f"<{TWO}>", f"<{ONE}>, <tel:+861380>"])
def test_nothing_is_added_where_nothing_can_be(asserted: str) -> None:
    made = request(*([("P-Asserted-Identity", asserted)] if asserted else []))
    before = made.lines.copy()
    assert_both_forms(made, identities(ONE, "tel:+861380"))
    assert made.lines == before


@rfc("3325-9.1")
@pytest.mark.parametrize(
    ("headers", "caller"),
    [
        ([("P-Asserted-Identity", f"<{ONE}>"), ("From", "<sip:x@y.example>")], "+861380"),
        ([("P-Asserted-Identity", "nonsense"), ("From", "<sip:x@y.example>")], "x@y.example"),
        ([("P-Asserted-Identity", "<sip:ims.example>"), ("From", "<sip:x@y.example>")], "x@y.example"),
        ([("P-Asserted-Identity", "<sip:1001@y.example>, <sip:+49123@y.example>")], "1001@y.example"),
        ([("P-Asserted-Identity", "<tel:1001;phone-context=y.example>, <tel:+49123>")], "+49123"),
        ([("From", "<sip:+49123@y.example>")], "+49123"),
        ([("From", "<sip:x@[2001:db8::1]:5070>")], "x@[2001:db8::1]"),
        ([("From", "<mailto:x@y.example>")], ""),
        ([("From", "<sip:1001@ims.example>")], ""),
        ([("From", "<tel:1001;phone-context=ims.example>")], ""),
        ([], ""),
    ],
)
def test_the_caller_is_who_is_asserted_or_somebody_of_elsewhere_who_says_so(
    headers: list[tuple[str, str]], caller: str
) -> None:
    assert caller_of(request(*headers), Domains("ims.example").serves) == caller


@rfc("8498-4")
@pytest.mark.parametrize(
    ("headers", "payer"),
    [
        ([("P-Served-User", "<sip:bob@ims.example>;orig-cdiv"), ("P-Asserted-Identity", f"<{ONE}>")], "bob"),
        ([("P-Served-User", "<sip:bob@ims.example>;sescase=term"), ("P-Asserted-Identity", f"<{ONE}>")], "+861380"),
        ([("P-Served-User", "<;orig-cdiv"), ("P-Asserted-Identity", f"<{ONE}>")], "+861380"),
        ([("From", "<sip:1001@ims.example>")], ""),
    ],
)
def test_who_pays_is_who_diverted_a_call_or_sent_it_and_never_only_says_so(
    headers: list[tuple[str, str]], payer: str
) -> None:
    assert payer_of(request(*headers)) == payer


@rfc("TS24.229-4.4", "3325-5")
def test_what_only_the_network_says_is_not_believed_of_others() -> None:
    kept = ("Subject", "hello"), ("Privacy", "id")
    made = request(
        ("P-Asserted-Identity", f"<{ONE}>"), ("P-Served-User", f"<{ONE}>"), ("P-Charging-Vector", "icid-value=1"), *kept
    )
    disbelieve(made)
    assert made.keys == ["subject", "privacy"]


@rfc("TS24.229-4.4", "3325-7")
@pytest.mark.parametrize(("privacy", "named"), [("id", False), ("user;id", False), ("none", True), ("header", True)])
def test_who_wants_privacy_is_not_named_outside(privacy: str, named: bool) -> None:
    made = request(("P-Asserted-Identity", f"<{ONE}>"), ("Privacy", privacy), ("P-Charging-Vector", "icid-value=1;x=y"))
    take_outside(made)
    assert ("P-Asserted-Identity" in made) is named
    assert made.values("P-Charging-Vector") == ["icid-value=1"]
