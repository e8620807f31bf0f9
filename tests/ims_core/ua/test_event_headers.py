"""Event, Subscription-State and the like, from whoever writes them."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ims_core.errors import BadRequest
from ims_core.messages.message import Request
from ims_core.ua.event_headers import (
    Event,
    SubscriptionState,
    accepts,
    expires_of,
    media_type,
    parse_event,
    parse_seconds,
    parse_subscription_state,
    retry_after_of,
)
from ims_core.ua.sipfrag import encode_status, parse_status


def request(**headers: str) -> Request:
    made = Request("SUBSCRIBE", "sip:bob@ims.example")
    for name, value in headers.items():
        made.add(name.replace("_", "-"), value)
    return made


@pytest.mark.rfc("6665-8.2.1")
@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("dialog", ("dialog", "")),
        (" refer ; id=93809824", ("refer", "93809824")),
        ("presence.winfo;ID=a1", ("presence.winfo", "a1")),
        ("Dialog;sla;ma", ("Dialog", "")),
    ],
)
def test_an_event_names_a_package_and_maybe_a_subscription(text: str, key: tuple[str, str]) -> None:
    assert parse_event(text).key == key


@pytest.mark.parametrize("text", ["", ";id=1", "two words", "dialog, presence", "a=b", "<dialog>"])
def test_what_is_no_event_is_refused(text: str) -> None:
    with pytest.raises(BadRequest):
        parse_event(text)


@pytest.mark.rfc("6665-8.2.3")
@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("active;expires=599", SubscriptionState("active", expires=599)),
        ("Terminated ; Reason = Probation;retry-after=3", SubscriptionState("terminated", "probation", None, 3)),
        ("pending", SubscriptionState("pending")),
        ("waiting;expires=1;x=y", SubscriptionState("waiting", expires=1)),
        ("active;expires=99999999999", SubscriptionState("active", expires=2**32 - 1)),
    ],
)
def test_a_subscription_state_is_read(text: str, state: SubscriptionState) -> None:
    assert parse_subscription_state(text) == state


@pytest.mark.parametrize(
    "text", ["", ";expires=1", "active;expires=-1", "active;expires=soon", "a b", "active;retry-after="]
)
def test_what_is_no_subscription_state_is_refused(text: str) -> None:
    with pytest.raises(BadRequest):
        parse_subscription_state(text)


def test_what_is_written_can_be_read() -> None:
    state = SubscriptionState("terminated", "giveup", retry_after=12)
    assert str(state) == "terminated;reason=giveup;retry-after=12"
    assert parse_subscription_state(str(state)) == state
    assert str(Event("refer", "7", {})) == "refer;id=7"


@given(st.text(max_size=60))
def test_any_text_at_all_is_read_or_refused(text: str) -> None:
    for parse in (parse_event, parse_subscription_state, lambda value: parse_seconds(value, "Expires")):
        with suppress(BadRequest):
            parse(text)


@pytest.mark.rfc("3261-20.1")
@pytest.mark.parametrize(
    ("accept", "taken"),
    [
        (None, True),
        ("application/dialog-info+xml", True),
        ("text/plain, application/Dialog-Info+XML;q=0.5", True),
        ("application/*", True),
        ("*/*", True),
        ("application/pidf+xml", False),
        ("", False),
    ],
)
def test_accept_is_heeded(accept: str | None, taken: bool) -> None:
    subscribe = request() if accept is None else request(Accept=accept)
    assert accepts(subscribe, "application/dialog-info+xml") is taken


def test_times_and_types_of_a_message() -> None:
    made = request(Expires="60", Retry_After="18 (in a meeting);duration=60", Content_Type="Text/Plain ;charset=utf-8")
    assert (expires_of(made), retry_after_of(made), media_type(made)) == (60, 18, "text/plain")
    assert (expires_of(request()), retry_after_of(request(Retry_After="later")), media_type(request())) == (
        None,
        None,
        "",
    )
    with pytest.raises(BadRequest):
        expires_of(request(Expires="for ever"))


@pytest.mark.rfc("3420-2")
@pytest.mark.rfc("3515-2.4.5")
@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"SIP/2.0 100 Trying\r\n", (100, "Trying")),
        (b"SIP/2.0 503 Service Unavailable", (503, "Service Unavailable")),
        (b"SIP/2.0 200\r\nContact: <sip:x@y>\r\n\r\n", (200, "")),
        (b"\r\nsip/2.0  486   Busy Here \n", (486, "Busy Here")),
        ("SIP/2.0 183 Fortgang läuft\r\n".encode("latin-1"), (183, "Fortgang l\ufffduft")),
    ],
)
def test_a_fragment_begins_with_a_status_line(body: bytes, status: tuple[int, str]) -> None:
    assert parse_status(body) == status


@pytest.mark.parametrize(
    "body", [b"", b"200 OK", b"SIP/2.0 2000 No", b"SIP/2.0 099 No", b"INVITE sip:a@b SIP/2.0", b"SIP/2.0 "]
)
def test_a_fragment_without_a_status_line_is_refused(body: bytes) -> None:
    with pytest.raises(BadRequest):
        parse_status(body)


@given(st.binary(max_size=80))
def test_any_fragment_is_read_or_refused(body: bytes) -> None:
    try:
        status = parse_status(body)
    except BadRequest:
        return
    assert 100 <= status.status < 700


def test_a_reason_cannot_break_out_of_its_line() -> None:
    assert encode_status(200, "OK\r\nEvil: 1") == b"SIP/2.0 200 OK Evil: 1\r\n"
