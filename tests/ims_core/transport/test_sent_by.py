"""What a connection reads in the top Via."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ims_core.flow import Flow
from ims_core.transport.sent_by import alias_port, return_address

rfc = pytest.mark.rfc
TCP = Flow("TCP", ("192.0.2.1", 5060), ("192.0.2.9", 40_000), 7)
TLS = TCP._replace(transport="TLS", local=("192.0.2.1", 5061))


def response(via: str) -> bytes:
    return f"SIP/2.0 200 OK\r\nVia: {via}\r\nVia: SIP/2.0/UDP other.example\r\n\r\n".encode()


@rfc("3261-18.2.2")
@pytest.mark.parametrize(
    ("flow", "via", "host", "port", "name"),
    [
        (TCP, "SIP/2.0/TCP 192.0.2.9:5070;branch=z9hG4bK1", "192.0.2.9", 5070, ""),
        (TCP, "SIP/2.0/TCP 10.1.1.1:5070;received=192.0.2.9;branch=z9hG4bK1", "192.0.2.9", 5070, ""),
        pytest.param(
            TCP,
            "SIP/2.0/TCP edge.example:5070;received=[2001:db8::9:255];branch=z9hG4bK1",
            "2001:db8::9:255",
            5070,
            "edge.example",
            marks=rfc("5118-4.5"),
        ),
        (TCP, "SIP/2.0/TCP 192.0.2.9;branch=z9hG4bK1, SIP/2.0/UDP x", "192.0.2.9", 5060, ""),
        (TLS, "SIP/2.0/TLS [2001:db8::1];branch=z9hG4bK1", "2001:db8::1", 5061, ""),
        (TLS, "SIP/2.0/TLS sip.example;received=192.0.2.9;branch=z9hG4bK1", "192.0.2.9", 5061, "sip.example"),
        (TLS, "SIP/2.0/TLS sip.example;branch=z9hG4bK1", "192.0.2.9", 5061, "sip.example"),
    ],
)
def test_a_response_without_connection_goes_where_its_via_says(
    flow: Flow, via: str, host: str, port: int, name: str
) -> None:
    assert return_address(flow, response(via)) == Flow(flow.transport, flow.local, (host, port), server_name=name)


@pytest.mark.parametrize(
    ("flow", "data"),
    [
        (TCP, b"OPTIONS sip:a@b SIP/2.0\r\nVia: SIP/2.0/TCP 192.0.2.9\r\n\r\n"),
        (TCP._replace(transport="WS"), response("SIP/2.0/WS df7jal23ls0d.invalid;received=192.0.2.9")),
        (TCP, response("SIP/2.0/TCP 192.0.2.9;received=evil.example")),
        (TCP, response("nonsense")),
        (TCP, b"SIP/2.0 200 OK\r\n\r\n"),
    ],
)
def test_other_messages_have_no_other_place(flow: Flow, data: bytes) -> None:
    assert return_address(flow, data) is None


@rfc("5923-5")
@pytest.mark.parametrize(
    ("via", "port"),
    [
        ("SIP/2.0/TLS sip.example:5081;branch=z9hG4bK1;alias", 5081),
        ("SIP/2.0/TLS sip.example;ALIAS;branch=z9hG4bK1", 5061),
        ("SIP/2.0/TLS sip.example;branch=z9hG4bK-alias", None),
        ("nonsense;alias", None),
    ],
)
def test_an_alias_is_asked_for_in_the_top_via_of_a_request(via: str, port: int | None) -> None:
    rest = f"v: {via}\r\nVia: SIP/2.0/TLS below.example;alias\r\n\r\n".encode()
    assert alias_port(b"OPTIONS sip:a@b SIP/2.0\r\n" + rest) == port
    assert alias_port(b"SIP/2.0 200 OK\r\n" + rest) is None


@given(st.binary(max_size=200))
def test_any_bytes_do_no_harm(data: bytes) -> None:
    for message in (data, b"SIP/2.0 " + data, b"X\r\nVia:" + data):
        return_address(TLS, message)
        alias_port(message)
