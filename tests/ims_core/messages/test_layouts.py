"""Layouts of header lines: what is remembered of them, and that nobody can tell."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ims_core.messages.layouts import REMEMBERED_LENGTH, REMEMBERED_LINES, Layouts
from ims_core.messages.message import Request, response_to
from ims_core.messages.names import canonical
from ims_core.messages.parser import parse_message

rfc = pytest.mark.rfc

USUAL = ["Via: x", "From: x", "To: x", "Call-ID: x", "CSeq: 1 OPTIONS"]
NAMES = st.sampled_from(["Via", "v", "From", "To", "TO", "Call-ID", "CSeq", "Subject", "Route", "X-Other", "x-other"])
COLONS = st.sampled_from([": ", ":", ":\t"])
LINES = st.tuples(NAMES, COLONS, st.sampled_from(["", "a", "a: b"])).map("".join)


@rfc("3261-7.3.3")
@given(st.lists(st.lists(LINES, max_size=8), max_size=12))
def test_whatever_came_before_each_line_has_its_own_name(messages: list[list[str]]) -> None:
    layouts = Layouts(limit=20)
    for lines in messages:
        layout = layouts.of(lines)
        assert layout is not None
        assert layout.keys == [canonical(line.partition(":")[0]) for line in lines]
        assert layout.places == {key: layout.keys.index(key) for key in layout.keys}
        assert [line[:start] for line, start in zip(lines, layout.starts, strict=True)] == [
            f"{line.partition(':')[0]}:" for line in lines
        ]
        assert len(layouts) <= 20


def test_the_same_lines_have_the_same_layout_whatever_they_say() -> None:
    layouts = Layouts()
    first = layouts.of(USUAL)
    layouts.of(["Via: y", "Subject: y", *USUAL[1:]])
    assert layouts.of([line.replace("x", "other") for line in USUAL]) is first
    assert len(layouts) == 5 + 5


@pytest.mark.parametrize(
    "line",
    ["", " folded", "\tfolded", "To : x", "no colon", ": x", "Tö: x", "a b: x", "x" * (REMEMBERED_LENGTH + 1) + ":"],
)
def test_a_line_that_begins_otherwise_has_none(line: str) -> None:
    layouts = Layouts()
    assert layouts.of([*USUAL, line]) is None
    assert layouts.of(USUAL) is not None
    assert layouts.of([line]) is None


def test_very_many_lines_have_none() -> None:
    layouts = Layouts()
    assert layouts.of(["Route: x"] * REMEMBERED_LINES) is not None
    assert layouts.of(["Route: x"] * (REMEMBERED_LINES + 1)) is None


def test_strangers_make_it_forget_but_not_grow() -> None:
    layouts = Layouts(limit=50)
    before = layouts.of(USUAL)
    for number in range(200):
        layouts.of([f"X-{number}: x", "Via: x"])
        assert len(layouts) <= 50
    after = layouts.of(USUAL)
    assert before is not None
    assert after is not None
    assert after is not before
    assert after.keys == before.keys


@rfc("3261-8.1.1", "3261-7.3.1")
@pytest.mark.parametrize(
    ("lines", "missing", "several"),
    [
        (USUAL, "", ""),
        (USUAL[1:], "Missing Via header", ""),
        (USUAL[:-1], "Missing Cseq header", ""),
        ([*USUAL, "Via: y"], "", ""),
        ([*USUAL, "t: y"], "", "Several To headers"),
        ([*USUAL, "l: 0", "Content-Length: 0"], "", "Several Content-Length headers"),
    ],
)
def test_what_is_wrong_with_the_names(lines: list[str], missing: str, several: str) -> None:
    layout = Layouts().of(lines)
    assert layout is not None
    assert (layout.missing, layout.several) == (missing, several)


def _replace_top_via(request: Request) -> None:
    if "Via" in request:
        request.replace_top_via("SIP/2.0/UDP 192.0.2.8;branch=z9hG4bK8")


CHANGES: list[Callable[[Request], object]] = [
    lambda request: request.add("Subject", "added"),
    lambda request: request.add("X-New", "added"),
    lambda request: request.prepend("Via", "SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK9"),
    lambda request: request.prepend("Subject", "first"),
    lambda request: request.set("Route", "<sip:set>"),
    lambda request: request.set("X-New", "set"),
    lambda request: request.remove("Route"),
    lambda request: request.remove("Subject"),
    lambda request: request.pop_value("Route"),
    lambda request: request.pop_value("Via"),
    _replace_top_via,
    lambda request: request.remove_all(frozenset(("route", "expires"))),
    lambda request: request.remove_all(frozenset(("to", "via"))),
    lambda request: request.set_body(b"text", "text/plain"),
]


CAME = (
    b"OPTIONS sip:alice@ims.example SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1, SIP/2.0/UDP 192.0.2.2\r\n"
    b"Route: <sip:a>,<sip:b>\r\nRoute: <sip:c>\r\nFrom: <sip:bob@ims.example>;tag=1\r\nTo: <sip:alice@ims.example>\r\n"
    b"Call-ID: 1\r\nTimestamp: 5\r\nCSeq: 7 OPTIONS\r\nSubject: came\r\nExpires: 5\r\n\r\n"
)
ASKED = ["Via", "Route", "From", "To", "Call-ID", "CSeq", "Subject", "Expires", "X-New", "Content-Type", "Nothing"]


@given(st.lists(st.sampled_from(CHANGES), max_size=6))
def test_a_message_that_is_changed_answers_as_one_that_never_had_a_layout(
    changes: list[Callable[[Request], object]],
) -> None:
    came = parse_message(CAME)
    assert isinstance(came, Request)
    plain = came.copy()
    assert came.layout is not None
    assert plain.layout is None
    for change in changes:
        assert change(came) == change(plain)
        assert came.encode() == plain.encode()
        for name in ASKED:
            assert (came.get(name), came.values(name), name in came) == (
                plain.get(name),
                plain.values(name),
                name in plain,
            )
        for status in (100, 200):
            assert response_to(came, status, to_tag="x").encode() == response_to(plain, status, to_tag="x").encode()
        for request in (came, plain):
            if request.get("To") is not None and request.get("Via") is not None:
                assert (request.to.uri_text, request.via.host) == (plain.to.uri_text, plain.via.host)
