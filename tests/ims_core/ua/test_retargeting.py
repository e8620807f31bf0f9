"""History-Info and Diversion: read, gone on with, left out."""

import pytest

from ims_core.messages.message import Request
from ims_core.messages.parser import parse_message
from ims_core.ua.retargeting import (
    NO_ANSWER,
    UNCONDITIONAL,
    Redirected,
    diverted,
    passed_on,
    redirected,
    retargeted,
    told_before,
)
from tests.kit import request_bytes

CALLED = "sip:10001@ims.example"
AGENT = "sip:a1@198.51.100.9"


def invite(*headers: tuple[str, str]) -> Request:
    message = parse_message(request_bytes(uri=CALLED, headers=headers))
    assert isinstance(message, Request)
    return message


@pytest.mark.rfc("7044-10.3")
@pytest.mark.parametrize(
    ("came", "expected"),
    [
        ([], f"<{CALLED}>;index=1, <{AGENT}>;index=1.1;mp=1"),
        ([f"<{CALLED}>;index=1"], f"<{CALLED}>;index=1, <{AGENT}>;index=1.1;mp=1"),
        (
            ["<sip:bob@x.example>;index=1", f"<{CALLED}?Reason=SIP%3Bcause%3D302>;index=1.1;rc=1"],
            f"<sip:bob@x.example>;index=1, <{CALLED}?Reason=SIP%3Bcause%3D302>;index=1.1;rc=1, "  # noqa: ISC004
            f"<{AGENT}>;index=1.1.1;mp=1.1",
        ),
        (
            ["<sip:bob@x.example>;index=1.1.2"],
            f"<sip:bob@x.example>;index=1.1.2, <{CALLED}>;index=1.1.2.0, <{AGENT}>;index=1.1.2.0.1;mp=1.1.2.0",
        ),
    ],
    ids=["nothing", "told by the caller", "redirected", "gap"],
)
def test_the_history_goes_on_with_the_number_called_and_the_target(came: list[str], expected: str) -> None:
    request = invite(*(("History-Info", value) for value in came))
    assert passed_on(request, AGENT) == (("History-Info", expected),)


def test_entries_of_other_schemes_are_compared_to_the_letter() -> None:
    told = invite(("History-Info", "<tel:10001>;index=1"))
    assert passed_on(told, AGENT)[0][1].startswith(f"<tel:10001>;index=1, <{CALLED}>;index=1.0, ")


@pytest.mark.rfc("7044-10.1")
@pytest.mark.parametrize("privacy", ["history", "id;history", "Header", "user ; critical"])
def test_a_private_history_is_not_told(privacy: str) -> None:
    assert passed_on(invite(("History-Info", f"<{CALLED}>;index=1"), ("Privacy", privacy)), AGENT) == ()


@pytest.mark.parametrize("value", ["<sip:bob@x.example>", "<sip:bob@x.example>;index=x", "nonsense", "<sip:>;index=1."])
def test_a_history_that_cannot_be_read_is_begun_anew(value: str) -> None:
    request = invite(("History-Info", value))
    assert redirected(request) is None
    assert passed_on(request, AGENT) == (("History-Info", f"<{CALLED}>;index=1, <{AGENT}>;index=1.1;mp=1"),)


def test_no_more_entries_are_passed_on_than_a_sane_call_has() -> None:
    request = invite(*(("Diversion", f"<sip:{number}@x.example>") for number in range(100)))
    assert len([name for name, _ in passed_on(request, AGENT) if name == "Diversion"]) == 30


@pytest.mark.rfc("5806-6.1")
def test_the_latest_diversion_comes_first() -> None:
    request = invite(("Diversion", "<sip:bob@x.example>;reason=no-answer, <sip:eve@x.example>;reason=user-busy"))
    assert redirected(request) == Redirected("sip:bob@x.example", "no-answer")
    assert told_before(request)
    assert [value for name, value in diverted(request, AGENT, NO_ANSWER) if name == "Diversion"] == [
        f"<{CALLED}>;reason=no-answer;counter=1",
        "<sip:bob@x.example>;reason=no-answer",
        "<sip:eve@x.example>;reason=user-busy",
    ]


def test_who_had_the_call_is_the_last_but_one_of_the_history() -> None:
    assert redirected(invite()) is None
    assert not told_before(invite())
    assert redirected(invite(("History-Info", f"<{CALLED}>;index=1"))) is None
    told = invite(("History-Info", f"<sip:bob@x.example>;index=1, <{CALLED}>;index=1.1;mp=1"))
    assert redirected(told) == Redirected("sip:bob@x.example", "")
    assert redirected(invite(("Diversion", "<sip:bob@x.example>"))) == Redirected("sip:bob@x.example", "unknown")


@pytest.mark.rfc("7044-10.3", "5806-6.1")
def test_a_proxy_sends_the_request_itself_on() -> None:
    came = invite(("Diversion", "<sip:bob@x.example>"), ("History-Info", f"<{CALLED}>;index=1"), ("Subject", "hello"))
    before = came.encode()
    copy = retargeted(came, AGENT, UNCONDITIONAL)
    assert came.encode() == before
    assert copy.start_line == f"INVITE {AGENT} SIP/2.0"
    assert copy.values("Diversion") == [f"<{CALLED}>;reason=unconditional;counter=1", "<sip:bob@x.example>"]
    assert copy.values("History-Info") == [f"<{CALLED}>;index=1", f"<{AGENT}>;index=1.1;mp=1"]
    kept = [line for line in came.lines if not line.startswith(("Diversion", "History-Info"))]
    assert [line for line in copy.lines if not line.startswith(("Diversion", "History-Info"))] == kept


@pytest.mark.rfc("7044-10.1")
def test_a_proxy_takes_a_private_history_off() -> None:
    came = invite(("History-Info", f"<{CALLED}>;index=1"), ("Privacy", "history"))
    assert "History-Info" not in retargeted(came, AGENT, UNCONDITIONAL)
