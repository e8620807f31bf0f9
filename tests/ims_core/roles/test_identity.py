"""By which of its identities a handset is known; what only the network may say; charging identifiers."""

from __future__ import annotations

import pytest

from ims_core.messages.message import Request
from ims_core.messages.uri import parse_uri
from ims_core.roles.icid import Dialogs, Icids, Kept
from ims_core.roles.identity import assert_identity, identity_set, preference
from ims_core.roles.trust import FROM_HANDSET, TO_HANDSET, give_to_handset, keep_own_access, take_from_handset

rfc = pytest.mark.rfc
SET = identity_set(
    ['"Alice" <sip:+491234@home.example>;x=y', "<tel:+491234>", "<sip:pbx-!.*!@home.example>", "<http://no>", "<"]
)


def request(*fields: tuple[str, str]) -> Request:
    made = Request("INVITE", "sip:bob@home.example")
    for name, value in fields:
        made.add(name, value)
    return made


@rfc("7315-4.1", "TS24.229-5.2.6.3.1")
@pytest.mark.parametrize(
    ("uri", "found"),
    [
        ("sip:+491234@HOME.example:5070;user=phone", '"Alice" <sip:+491234@home.example>'),
        ("tel:+49-12.34", "<tel:+491234>"),
        ("sip:pbx-7@home.example", "<sip:pbx-7@home.example>"),
        ("sip:pbx-7@elsewhere.example", ""),
        ("sip:xpbx-7@home.example", ""),
        ("tel:+491235", ""),
        (f"sip:pbx-{'7' * 300}@home.example", f"<sip:pbx-{'7' * 300}@home.example>"),
    ],
)
def test_an_identity_is_found_in_any_spelling(uri: str, found: str) -> None:
    assert SET.find(parse_uri(uri)) == found


def test_the_first_identity_is_the_default_one() -> None:
    assert SET.default == '"Alice" <sip:+491234@home.example>'
    assert identity_set([]).default == ""
    assert len(identity_set(f"<sip:{number}@home.example>" for number in range(1000)).values) == 64


@rfc("3325-9.2")
def test_of_several_preferences_the_first_that_is_its_own_counts() -> None:
    assert preference(request(("P-Preferred-Identity", "<sip:x@y>, <tel:+491234>")), SET) == "<tel:+491234>"
    assert preference(request(("P-Preferred-Identity", "<sip:x@y>")), SET) == ""
    assert preference(request(), SET) == ""


@rfc("3325-5")
def test_what_is_asserted_takes_the_place_of_what_was_said() -> None:
    for value, lines in (("", []), ("<tel:+49>", ["P-Asserted-Identity: <tel:+49>"])):
        lying = request(("P-Asserted-Identity", "<sip:x@y>"), ("p-preferred-identity", "<sip:x@y>"))
        assert_identity(lying, value)
        assert lying.lines == lines


@rfc("TS24.229-4.4", "TS24.229-5.2.1")
def test_what_the_network_says_to_itself_crosses_the_border_neither_way() -> None:
    for names, cross in ((FROM_HANDSET, take_from_handset), (TO_HANDSET, give_to_handset)):
        message = request(*((name.upper(), "x") for name in names), ("Subject", "x"), ("P-Early-Media", "supported"))
        cross(message)
        assert message.keys == ["subject", "p-early-media"]


@rfc("7315-4.4")
@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ("3GPP-NR;np", []),
        ("3GPP-NR;NP", []),
        ("3GPP-NR; network-provided", []),
        ('3GPP-NR;x=";np"', ['3GPP-NR;x=";np"']),
        ("IEEE-802.11;i-wlan-node-id=00", ["IEEE-802.11;i-wlan-node-id=00"]),
    ],
)
def test_only_the_network_speaks_in_the_name_of_the_network(value: str, kept: list[str]) -> None:
    message = request(("P-Access-Network-Info", value))
    keep_own_access(message)
    assert message.whole_values("P-Access-Network-Info") == kept


@rfc("7315-4.6", "TS24.229-7.2A.5")
def test_an_identifier_is_of_one_dialog_and_of_this_element() -> None:
    numbers = iter("abc")
    ours = Icids(b"one", host="p.example", network="net.example", number=lambda: next(numbers))
    other = Icids(b"two", host="p.example", network="net.example", number=lambda: "")
    assert ours.of_dialog("call", "tag") == ours.of_dialog("call", "tag")
    told = [ours.of_dialog("call", "tag"), ours.of_dialog("call", "gat"), ours.of_dialog("lac", "tag")]
    told += [other.of_dialog("call", "tag"), ours.fresh(), ours.fresh()]
    assert len({vector.icid for vector in told}) == 6
    assert {vector.orig_ioi for vector in told} == {"Type 1net.example"}
    assert {vector.params["icid-generated-at"] for vector in told} == {"p.example"}


def test_so_many_dialogs_are_remembered_the_latest() -> None:
    dialogs = Dialogs(most=2)
    for call_id in ("a", "b", "a", "c"):
        dialogs.keep(call_id, "tag", Kept(None, frozenset(call_id)))
    assert len(dialogs) == 2
    assert dialogs.get("b", "tag") is None
    assert dialogs.get("a", "tag") == Kept(None, frozenset("a"))
    dialogs.forget("a", "tag")
    dialogs.forget("a", "tag")
    assert dialogs.get("a", "tag") is None
