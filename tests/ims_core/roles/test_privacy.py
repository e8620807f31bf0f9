"""What a message tells of people who do not want to be known, at the border to handsets (RFC 3323, RFC 3325)."""

from __future__ import annotations

import pytest

from ims_core.messages.message import Request
from ims_core.roles.privacy import ANONYMOUS, PrivacyUnavailable, demand, hide_caller, respect, wishes

rfc = pytest.mark.rfc
TOLD = {
    "P-Asserted-Identity": "<sip:secret@home.example>",
    "Remote-Party-ID": "<sip:secret@home.example>",
    "Subject": "secret",
    "Call-Info": "<http://secret.example/>",
    "Organization": "Secret Inc.",
    "User-Agent": "secret/1.0",
    "Reply-To": "<sip:secret@home.example>",
    "In-Reply-To": "secret",
    "Referred-By": "<sip:secret@home.example>",
    "History-Info": "<sip:secret@home.example>;index=1",
    "X-Other": "stays",
}
OF_ID = {"P-Asserted-Identity", "Remote-Party-ID"}
OF_HISTORY = {"History-Info"}
OF_USER = TOLD.keys() - OF_ID - OF_HISTORY - {"X-Other"}


def message(*privacy: str) -> Request:
    request = Request("INVITE", "sip:bob@home.example")
    request.add("From", '"Secret" <sip:secret@home.example>;tag=1')
    for name, value in TOLD.items():
        request.add(name, value)
    for value in privacy:
        request.add("Privacy", value)
    return request


@rfc("3323-4.2", "3323-5.3", "3325-7", "3325-9.3", "7044-10.1.2")
@pytest.mark.parametrize(
    ("privacy", "gone", "left"),
    [
        ("id", OF_ID, "id"),
        ("user", OF_USER, None),
        ("history", OF_HISTORY, None),
        ("id;user;history", OF_ID | OF_USER | OF_HISTORY, "id"),
        ("User; Critical", OF_USER, None),
        ("id;critical", OF_ID, "id;critical"),
        ("header;user", OF_USER, "header"),
        ("session", set(), "session"),
        ("none", set(), "none"),
        ("none;id", set(), "none;id"),
        ("of-the-future", set(), "of-the-future"),
        ("", set(), ""),
    ],
)
def test_what_is_wished_is_taken_off_and_nothing_else(privacy: str, gone: set[str], left: str | None) -> None:
    request = message(privacy)
    respect(request)
    assert {name for name in TOLD if name not in request} == gone
    assert request.get("Privacy") == left


@rfc("3323-4.2")
def test_wishes_may_be_written_in_any_way() -> None:
    assert (
        wishes(message("ID ; User")) == wishes(message("id", "user")) == wishes(message("id, user")) == {"id", "user"}
    )
    assert not wishes(message())
    request = message()
    before = list(request.lines)
    assert not respect(request)
    assert request.lines == before


@rfc("3323-4.1.1.3")
@pytest.mark.parametrize(("value", "hidden"), [("<sip:a@b>;tag=7", f"{ANONYMOUS};tag=7"), ("sip:a@b", ANONYMOUS)])
def test_a_hidden_caller_keeps_his_tag(value: str, hidden: str) -> None:
    request = message()
    request.set("From", value)
    assert hide_caller(request) == value
    assert request.require("From") == hidden
    assert "anonymous.invalid" in request.from_.uri.host


@rfc("3323-5")
def test_who_will_have_what_cannot_be_had_is_refused() -> None:
    for privacy in ("id", "header", "session;user", "none;header;critical", "user;critical", "critical"):
        demand(message(privacy))
    for privacy in ("header;critical", "critical;session;id"):
        with pytest.raises(PrivacyUnavailable) as refused:
            demand(message(privacy))
        assert refused.value.status == 500
