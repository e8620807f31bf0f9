"""Typed header values."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ims_core.errors import BadRequest, SipError
from ims_core.messages.headers import (
    CSeq,
    first_value_end,
    parse_cseq,
    parse_name_addr,
    parse_params,
    parse_via,
    quote_string,
    split_params,
    split_values,
    unquote_string,
)

rfc = pytest.mark.rfc


@rfc("3261-20.42")
def test_a_via_has_its_parts() -> None:
    via = parse_via("SIP/2.0/UDP pc33.Atlanta.example:5070;branch=z9hG4bK776;rport;received=192.0.2.1")
    assert (via.transport, via.host, via.port, via.branch) == ("UDP", "pc33.atlanta.example", 5070, "z9hG4bK776")
    assert via.params == {"branch": "z9hG4bK776", "rport": "", "received": "192.0.2.1"}


@rfc("3261-25.1")
@pytest.mark.parametrize(
    ("text", "transport", "host", "port"),
    [
        ("SIP / 2.0 / TCP    first.example ; branch = z9hG4bKa", "TCP", "first.example", None),
        ("SIP/ 2.0/UDP host.example : 5070;branch=z9hG4bKa", "UDP", "host.example", 5070),
        ("SIP/2.0/UDP\thost.example:5070;branch=z9hG4bKa", "UDP", "host.example", 5070),
        ("sip/2.0/udp [2001:db8::9:1]:5070;branch=z9hG4bKa", "UDP", "2001:db8::9:1", 5070),
        ("SIP/2.0/UDP host.example : 5070;branch=z9hG4bKa", "UDP", "host.example", 5070),
        ("Other/7.1/UDP host.example;branch=z9hG4bKa", "UDP", "host.example", None),
    ],
)
def test_white_space_around_the_parts_of_a_via_is_legal(text: str, transport: str, host: str, port: int | None) -> None:
    via = parse_via(text)
    assert (via.transport, via.host, via.port, via.branch) == (transport, host, port, "z9hG4bKa")


@pytest.mark.parametrize(
    "text",
    [
        *("", "SIP/2.0", "SIP/2.0/UDP", "SIP/2.0/UDP ", "SIP//UDP a", "/2.0/UDP a", "SIP/2.0/UDP a:b"),
        *("SIP/2.0/UDP a;;branch=1", "SIP/2.0/UDP a;branch=1;", "SIP/2.0/UDP a; ;branch=1", "SIP/2.0/UDP a; =1"),
        *("SIP\t2.0 a", 'SIP/2.0/U" a:5060;branch=z9hG4bKa', 'SIP/2.0/UDP "a";branch=z9hG4bKa'),
    ],
)
def test_malformed_vias_are_refused(text: str) -> None:
    with pytest.raises(BadRequest):
        parse_via(text)


@rfc("3261-20.16")
@pytest.mark.parametrize("text", ["4711 INVITE", "004711  INVITE", "4711\tINVITE", f"{4711:040} INVITE"])
def test_a_cseq_is_a_number_and_a_method(text: str) -> None:
    assert parse_cseq(text) == CSeq(4711, "INVITE")


@rfc("3261-8.1.1.5")
@pytest.mark.parametrize(
    "text", ["", "1", "1 ", "INVITE", "-1 INVITE", "x INVITE", "٣ INVITE", f"{2**31} INVITE", "1 A B", "1 A\tB"]
)
def test_malformed_cseqs_are_refused(text: str) -> None:
    with pytest.raises(BadRequest):
        parse_cseq(text)
    assert parse_cseq(f"{2**31 - 1} INVITE").number == 2**31 - 1


@rfc("3261-20.10")
@pytest.mark.parametrize(
    ("text", "display", "uri", "params"),
    [
        ("<sip:a@b;transport=tcp>;tag=1", "", "sip:a@b;transport=tcp", {"tag": "1"}),
        ("sip:a@b;tag=1", "", "sip:a@b", {"tag": "1"}),
        ('sip:a@b;note="x;tag=2";tag=1', "", "sip:a@b", {"note": "x;tag=2", "tag": "1"}),
        ("Alice Liddell <sip:a@b>", "Alice Liddell", "sip:a@b", {}),
        ('"a <b>; c: d, e" <sip:a@b>;tag=1', "a <b>; c: d, e", "sip:a@b", {"tag": "1"}),
        ('""<sip:a@b>', "", "sip:a@b", {}),
        (
            '"Mr. \\"A\\" <b>, c" <sip:a@b>;q=0.5 ; expires = 60',
            'Mr. "A" <b>, c',
            "sip:a@b",
            {"q": "0.5", "expires": "60"},
        ),
        ('<sip:a@b>;+sip.instance="<urn:uuid:1>"', "", "sip:a@b", {"+sip.instance": "<urn:uuid:1>"}),
    ],
)
def test_an_address_has_its_parts(text: str, display: str, uri: str, params: dict[str, str]) -> None:
    address = parse_name_addr(text)
    assert (address.display, address.uri_text, address.params) == (display, uri, params)
    assert address.tag == params.get("tag", "")


@pytest.mark.parametrize(
    "text", ["", " ", "<>", "<sip:a@b", ";tag=1", '"Alice <sip:a@b>', "<sip:a@b> tag=1", 'x"y" <', '"a\\" <sip:a@b>']
)
def test_malformed_addresses_are_refused(text: str) -> None:
    with pytest.raises(BadRequest):
        parse_name_addr(text)


@rfc("3261-7.3.1")
@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("a", ["a"]),
        ("a, b ,c", ["a", "b", "c"]),
        ("<sip:a,b@c>, <sip:d@e>", ["<sip:a,b@c>", "<sip:d@e>"]),
        ('"a, \\", b" <sip:c@d>,<sip:e@f>', ['"a, \\", b" <sip:c@d>', "<sip:e@f>"]),
        ("a,,b,", ["a", "b"]),
    ],
)
def test_lists_are_split_outside_quotes_and_brackets(text: str, values: list[str]) -> None:
    assert split_values(text) == values


def test_parameters_are_split_outside_quotes() -> None:
    assert split_params('a;b="c;d";e') == ["a", 'b="c;d"', "e"]
    assert parse_params(['B = "c\\"d"', "e"]) == {"b": 'c"d', "e": ""}


_display = st.text(st.characters(min_codepoint=32, exclude_categories=["Cs"]))


@rfc("3261-25.1")
@given(_display)
def test_a_quoted_string_is_undone_by_unquoting(text: str) -> None:
    assert unquote_string(quote_string(text)) == text


@rfc("3261-25.1")
@given(st.text())
def test_a_quoted_string_holds_no_line_end(text: str) -> None:
    assert not {"\r", "\n"} & set(quote_string(text))


@rfc("3261-7.3.1")
@given(st.lists(_display, min_size=1, max_size=5))
def test_a_list_of_any_display_names_splits_into_them(names: list[str]) -> None:
    joined = ", ".join(f"{quote_string(name)} <sip:{position},x@host.example>" for position, name in enumerate(names))
    addresses = [parse_name_addr(value) for value in split_values(joined)]
    assert [(address.display, address.uri.user) for address in addresses] == [
        (name, f"{position},x") for position, name in enumerate(names)
    ]


@rfc("3261-7.3.1")
@given(st.text(alphabet='a\\",<>\n'))
def test_any_text_is_split_as_by_whoever_reads_it_character_by_character(text: str) -> None:
    values, quoted, escaped, bracketed = [""], False, False, False
    for character in text:
        if character == "," and not quoted and not bracketed:
            values.append("")
            continue
        values[-1] += character
        if escaped or (quoted and character == "\\"):
            escaped = not escaped
        elif character == '"':
            quoted = not quoted
        elif not quoted and character in "<>":
            bracketed = character == "<"
    assert split_values(text) == ([value.strip() for value in values if value.strip()] or [""])
    assert first_value_end(text) == len(values[0])


@given(st.text(alphabet=st.sampled_from('sip:a@b<>";,=\\ \t/.20UDP1[]')))
def test_any_text_is_a_value_or_a_sip_error(text: str) -> None:
    for parse in (parse_via, parse_cseq, parse_name_addr):
        with contextlib.suppress(SipError):
            parse(text)
