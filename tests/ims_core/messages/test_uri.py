"""SIP and tel URIs."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ims_core.errors import BadRequest, SipError, UnsupportedScheme
from ims_core.messages import uri as uri_module
from ims_core.messages.uri import is_ip_address, parse_uri, same_uri, split_host_port

rfc = pytest.mark.rfc


@rfc("3261-19.1.1")
@pytest.mark.parametrize(
    ("text", "user", "host", "port"),
    [
        ("sip:alice@ims.example", "alice", "ims.example", None),
        ("sip:alice:secret@ims.example:5080;transport=tcp?subject=x", "alice", "ims.example", 5080),
        ("sips:+861062301234;x=y@IMS.Example", "+861062301234;x=y", "ims.example", None),
        ("sip:ims.example", "", "ims.example", None),
        ("sip:bob@[2001:DB8::1]:5070", "bob", "2001:db8::1", 5070),
        ("SIP:%61lice@127.0.0.1:65535", "alice", "127.0.0.1", 65535),
        ("sip:alice@127.0.0.1:0005060", "alice", "127.0.0.1", 5060),
        ("sip:alice@IMS.example.", "alice", "ims.example", None),
        ("sip:alice@ims.example.:5080;lr", "alice", "ims.example", 5080),
        ("sip:ims.example.", "", "ims.example", None),
        ("sip:alice@.", "alice", ".", None),
        ("sip:alice@ims.example..", "alice", "ims.example..", None),
        ("sip:alice@127.0.0.1.", "alice", "127.0.0.1.", None),
    ],
)
def test_the_parts_are_found(text: str, user: str, host: str, port: int | None) -> None:
    uri = parse_uri(text)
    assert (uri.user, uri.host, uri.port) == (user, host, port)
    assert str(uri) == text


@rfc("3261-25.1")
def test_a_question_mark_may_stand_in_the_user_part() -> None:
    uri = parse_uri("sip:what?now@ims.example?subject=x")
    assert (uri.user, uri.host) == ("what?now", "ims.example")


def test_what_stands_after_the_question_mark_is_no_user() -> None:
    assert parse_uri("sip:alice@ims.example?Replaces=1@evil.example").host == "ims.example"


@rfc("3261-19.1.1")
def test_parameters_have_lower_case_names_and_unescaped_values() -> None:
    uri = parse_uri("sip:a@b;Transport=TCP;LR;x=%2B")
    assert uri.params == {"transport": "TCP", "lr": "", "x": "+"}
    assert uri.transport == "TCP"
    assert uri.is_loose_router


@rfc("3261-19.1.2")
@pytest.mark.parametrize(
    ("text", "transport", "address"),
    [
        ("sip:a@b.example", "UDP", ("b.example", 5060)),
        ("sips:a@b.example", "TLS", ("b.example", 5061)),
        ("sip:a@b.example:5070;transport=tcp", "TCP", ("b.example", 5070)),
    ],
)
def test_transport_and_port_have_defaults(text: str, transport: str, address: tuple[str, int]) -> None:
    uri = parse_uri(text)
    assert (uri.transport, uri.address) == (transport, address)
    assert not uri.is_loose_router


@rfc("3966-5.1.1")
def test_visual_separators_of_a_number_are_dropped() -> None:
    uri = parse_uri("tel:+86-(10).6230-1234;phone-context=example.com")
    assert (uri.scheme, uri.user, uri.host) == ("tel", "+861062301234", "")
    assert uri.params == {"phone-context": "example.com"}


@rfc("3261-25.1")
@pytest.mark.parametrize(
    "text",
    [
        "",
        "sip",
        "sip:",
        ":alice@ims.example",
        "sip:@ims.example",
        "sip:alice@",
        "sip:alice@ims example",
        "sip:a@b@c",
        "sip:alice@ims.example:",
        "sip:alice@ims.example:0",
        "sip:alice@ims.example:65536",
        "sip:alice@ims.example:00000105060",
        "sip:alice@ims.example:٥٠٦٠",
        "sip:alice@ims.example:000001" + "9" * 5000,
        "sip:alice@[::1",
        "sip:alice@[::1]5060",
        "sip:alice@[ims.example]",
        "sip:alice@[127.0.0.1]",
        "sip:alice@ims_é.example",
        "sip:alice\r\n@ims.example",
        "sip:<alice@ims.example",
        "tel:+1\r\n555",
        "s p:alice@ims.example",
    ],
)
def test_malformed_uris_are_refused(text: str) -> None:
    with pytest.raises(BadRequest):
        parse_uri(text)


@rfc("3261-21.4.14")
@pytest.mark.parametrize("text", ["mailto:alice@ims.example", "urn:service:sos", "h323:alice"])
def test_other_schemes_are_told_apart_from_bad_syntax(text: str) -> None:
    with pytest.raises(UnsupportedScheme) as caught:
        parse_uri(text)
    assert caught.value.status == 416


def test_long_texts_are_parsed_but_not_remembered() -> None:
    before = len(uri_module._URIS)
    text = f"sip:alice@ims.example;x={'y' * 1000}"
    assert parse_uri(text) == parse_uri(text)
    assert len(uri_module._URIS) == before


@given(st.text())
def test_any_text_is_a_uri_or_a_sip_error(text: str) -> None:
    for candidate in (text, "sip:" + text, "sip:a@" + text, "tel:" + text):
        with contextlib.suppress(SipError):
            assert parse_uri(candidate).text == candidate


@rfc("3261-19.1.4")
@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ("sip:%61lice@atlanta.example;transport=TCP", "sip:alice@AtlanTa.example;Transport=tcp", True),
        ("sip:carol@chicago.example", "sip:carol@chicago.example;newparam=5", True),
        ("sip:carol@chicago.example;newparam=5", "sip:carol@chicago.example;security=on", True),
        ("SIP:ALICE@atlanta.example", "sip:alice@atlanta.example", False),
        ("sip:bob@biloxi.example", "sip:bob@biloxi.example:5060", False),
        ("sip:bob@biloxi.example", "sip:bob@biloxi.example;transport=udp", False),
        ("sip:bob@biloxi.example", "sip:bob@biloxi.example;maddr=192.0.2.1", False),
        ("sip:bob@biloxi.example;x=1", "sip:bob@biloxi.example;x=2", False),
        ("sip:bob@biloxi.example", "sips:bob@biloxi.example", False),
    ],
)
def test_equality_of_contacts(one: str, other: str, equal: bool) -> None:
    assert same_uri(parse_uri(one), parse_uri(other)) is equal
    assert same_uri(parse_uri(other), parse_uri(one)) is equal


@rfc("5954-4.2")
@pytest.mark.parametrize("other", ["2001:DB8:0:0::9:1", "2001:0db8::0009:0001", "2001:db8::0.9.0.1"])
def test_an_ipv6_address_is_the_same_however_it_is_written(other: str) -> None:
    one, same = parse_uri("sip:bob@[2001:db8::9:1]:5070"), parse_uri(f"sip:bob@[{other}]:5070")
    assert same_uri(one, same)
    assert one.address == same.address
    assert same.text == f"sip:bob@[{other}]:5070"


@rfc("5118-4.9")
@pytest.mark.parametrize("written", ["::ffff:192.0.2.2", "::FFFF:c000:202"])
def test_a_mapped_address_is_written_as_sockets_do(written: str) -> None:
    assert split_host_port(f"[{written}]:5060") == ("::ffff:192.0.2.2", 5060)


def test_host_and_port_of_an_address() -> None:
    assert split_host_port("Ims.Example:5070") == ("ims.example", 5070)
    assert split_host_port("[::1]") == ("::1", None)


@pytest.mark.parametrize(
    ("host", "is_address"), [("127.0.0.1", True), ("::1", True), ("ims.example", False), ("1" * 300, False)]
)
def test_addresses_are_told_from_names(host: str, is_address: bool) -> None:
    assert is_ip_address(host) is is_address
