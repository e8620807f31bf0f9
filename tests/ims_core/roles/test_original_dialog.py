"""The original-dialog identifier: who wrote it can read it for a time, and nobody else (TS 24.229 section 5.4.3.4)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ims_core.messages.headers import parse_name_addr
from ims_core.profiles.model import SessionCase
from ims_core.roles.original_dialog import PREFIX, OriginalDialog, OriginalDialogs, fingerprint

rfc = pytest.mark.rfc
BOB = OriginalDialog(
    "sip:bob@ims.example", SessionCase.TERMINATING_REGISTERED, (1, 7), fingerprint("x"), fingerprint("y")
)


def ours() -> OriginalDialogs:
    return OriginalDialogs("sip:scscf.ims.example:5062", b"secret")


@rfc("TS24.229-5.4.3.4")
@given(
    served=st.sampled_from(("sip:+8613800000001@ims.example", "tel:+8613800000001", "tel:1;phone-context=a b")),
    case=st.sampled_from(SessionCase),
    visited=st.lists(st.integers(-(2**31), 2**31), min_size=1, max_size=5),
    now=st.floats(0, 1e10),
    later=st.floats(0, 3600),
)
def test_what_is_written_is_read_in_its_time(
    served: str, case: SessionCase, visited: list[int], now: float, later: float
) -> None:
    dialog = OriginalDialog(served, case, tuple(visited), fingerprint(served), fingerprint("call", "tag"))
    identifier = ours().write(dialog, now)
    assert ours().read(identifier, now + later) == dialog
    assert ours().read(identifier, now + 3600 + 61) is None


@rfc("TS24.229-5.4.3.4")
@pytest.mark.parametrize(
    ("uri", "route"),
    [
        ("sip:192.0.2.1:5062", "<sip:x@192.0.2.1:5062;lr>"),
        ("sip:scscf@ims.example;transport=tcp", "<sip:x@ims.example;transport=tcp;lr>"),
        ("sips:ims.example;lr", "<sips:x@ims.example;lr>"),
        ("sip:[2001:db8::1]", "<sip:x@[2001:db8::1];lr>"),
    ],
)
def test_it_is_a_part_of_our_own_uri(uri: str, route: str) -> None:
    assert OriginalDialogs(uri, b"secret").route("x") == route


@rfc("TS24.229-5.4.3.4", "3261-25.1")
def test_it_stands_in_a_uri_as_it_is() -> None:
    identifier = ours().write(BOB, 0.0)
    parsed = parse_name_addr(ours().route(identifier)).uri
    assert parsed.user == identifier
    assert parsed.is_loose_router
    assert identifier.startswith(PREFIX)
    assert "bob" not in identifier


@rfc("TS24.229-5.4.3.4")
@given(st.text(alphabet="abcXYZ019-_.=+ \x00é", max_size=200))
def test_nothing_else_is_one(text: str) -> None:
    assert ours().read(text, 0.0) is None
    assert ours().read(PREFIX + text, 0.0) is None


@rfc("TS24.229-5.4.3.4")
def test_no_letter_of_it_can_be_changed_and_no_other_secret_writes_it() -> None:
    identifier = ours().write(BOB, 0.0)
    for position in range(len(PREFIX), len(identifier) - 1):  # of the last one some bits count for nothing
        for letter in "AB":
            changed = identifier[:position] + letter + identifier[position + 1 :]
            assert changed == identifier or ours().read(changed, 0.0) is None
    assert OriginalDialogs("sip:scscf.ims.example:5062", b"another").read(identifier, 0.0) is None


@rfc("5393-4.2")
def test_the_same_dialog_is_written_alike_for_a_minute() -> None:
    assert ours().write(BOB, 60.0) == ours().write(BOB, 119.9) != ours().write(BOB, 120.0)


def test_its_age_is_told_by_the_clock_on_the_wall() -> None:
    before = OriginalDialogs("sip:ims.example", b"secret", lifetime=600.0, unix_time=lambda now: now + 1e9)
    identifier = before.write(BOB, 5000.0)
    after = OriginalDialogs("sip:ims.example", b"secret", lifetime=600.0, unix_time=lambda now: now + 1e9 + 5100)
    assert after.read(identifier, 1.0) == BOB
    assert after.read(identifier, 700.0) is None
