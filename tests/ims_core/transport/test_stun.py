"""Keep-alives of phones over UDP, whose answers keep the NAT open and tell that the flow lives."""

import pytest

from ims_core.transport.stun import binding_response

rfc = pytest.mark.rfc

# RFC 5769 sections 2.2 and 2.3: what an XOR-MAPPED-ADDRESS of these looks like with this transaction id.
TRANSACTION = bytes.fromhex("b7e7a701bc34d686fa87dfae")
REQUEST = bytes.fromhex("000100002112a442") + TRANSACTION
V4 = ("192.0.2.1", 32853)
V6 = ("2001:db8:1234:5678:11:2233:4455:6677", 32853)


@rfc("5626-3.5.2")
@rfc("5389-15.2")
@pytest.mark.parametrize(
    ("sender", "attribute"),
    [
        (V4, "002000080001a147e112a643"),
        (V6, "002000140002a1470113a9faa5d3f179bc25f4b5bed2b9d9"),
    ],
)
def test_a_binding_request_is_answered_with_the_address_it_came_from(sender: tuple[str, int], attribute: str) -> None:
    answer = binding_response(REQUEST, sender)
    assert answer is not None
    length = (len(attribute) // 2).to_bytes(2, "big")
    assert answer == b"\x01\x01" + length + bytes.fromhex("2112a442") + TRANSACTION + bytes.fromhex(attribute)


@rfc("5389-6")
def test_attributes_of_the_request_change_nothing() -> None:
    software = bytes.fromhex("80220004") + b"test"
    request = REQUEST[:2] + len(software).to_bytes(2, "big") + REQUEST[4:] + software
    assert binding_response(request, V4) == binding_response(REQUEST, V4)


@rfc("5389-6")
@pytest.mark.parametrize(
    "data",
    [
        b"",
        REQUEST[:-1],
        REQUEST + b"\0",
        b"\x01\x01" + REQUEST[2:],
        REQUEST[:4] + b"\0\0\0\0" + TRANSACTION,
        REQUEST[:2] + b"\0\x02" + REQUEST[4:] + b"\0\0",
        b"OPTIONS sip:a SIP/2.0\r\n\r\n",
    ],
)
def test_anything_else_is_not_answered(data: bytes) -> None:
    assert binding_response(data, V4) is None
