"""STUN against the vectors of RFC 5769, and whatever is none."""

from __future__ import annotations

import random
import struct

import pytest
from aioice import stun as other_stun
from hypothesis import given
from hypothesis import strategies as st

from media.secure import stun

PASSWORD = b"VOkJxbRl1RmTxUk/WvJxBt"
REQUEST = bytes.fromhex(
    "000100582112a442b7e7a701bc34d686fa87dfae802200105354554e207465737420636c69656e74002400046e0001ff80290008932ff9b1"
    "51263b36000600096576746a3a68367659202020000800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a280280004e57a3bcf"
)
RESPONSE = bytes.fromhex(
    "0101003c2112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220002000080001a147e112a64300080014"
    "2b91f599fd9e90c38c7489f92af9ba53f06be7d780280004c07d4c96"
)
TRANSACTION = bytes.fromhex("b7e7a701bc34d686fa87dfae")


@pytest.mark.rfc("5769-2.1", "8489-14.5", "8489-14.7")
def test_the_request_of_the_vectors_is_read() -> None:
    message = stun.read(REQUEST)
    assert (message.kind, message.transaction, message.unknown) == (stun.BINDING_REQUEST, TRANSACTION, ())
    assert message.attributes[stun.USERNAME] == b"evtj:h6vY"
    assert message.attributes[stun.PRIORITY] == bytes.fromhex("6e0001ff")
    assert message.has_integrity(PASSWORD)
    assert not message.has_integrity(PASSWORD + b"x")


@pytest.mark.rfc("5769-2.2", "8489-14.2")
def test_the_response_of_the_vectors_is_read_and_its_address_written() -> None:
    message = stun.read(RESPONSE)
    assert message.kind == stun.BINDING_SUCCESS
    assert message.has_integrity(PASSWORD)
    assert message.attributes[stun.XOR_MAPPED_ADDRESS] == stun.xor_address(("192.0.2.1", 32853), TRANSACTION)


@pytest.mark.rfc("5769-2.3", "8489-14.2")
def test_an_ipv6_address_is_written_as_in_the_vectors() -> None:
    written = stun.xor_address(("2001:db8:1234:5678:11:2233:4455:6677", 32853), TRANSACTION)
    assert written == bytes.fromhex("0002a1470113a9faa5d3f179bc25f4b5bed2b9d9")


@pytest.mark.rfc("8489-14.5", "8489-14.8")
def test_another_stack_reads_what_is_written() -> None:
    attributes = {
        stun.XOR_MAPPED_ADDRESS: stun.xor_address(("192.0.2.7", 4711), TRANSACTION),
        stun.ERROR_CODE: stun.error(487, "Role Conflict"),
    }
    written = stun.write(stun.BINDING_ERROR, TRANSACTION, attributes, PASSWORD)
    message = other_stun.parse_message(written)
    message.check_message_integrity(PASSWORD)
    assert message.attributes["XOR-MAPPED-ADDRESS"] == ("192.0.2.7", 4711)
    assert message.attributes["ERROR-CODE"] == (487, "Role Conflict")
    assert stun.read(written).has_integrity(PASSWORD)


@pytest.mark.rfc("8489-14.5")
def test_what_follows_message_integrity_is_not_believed() -> None:
    whole = stun.write(stun.BINDING_REQUEST, TRANSACTION, {stun.USERNAME: b"a:b"}, PASSWORD)
    body = whole[:-8] + struct.pack(">HH", stun.USE_CANDIDATE, 0)
    body = body[:2] + struct.pack(">H", len(body) - 20 + 8) + body[4:]
    message = stun.read(body + struct.pack(">HH", stun.FINGERPRINT, 4) + stun.fingerprint(body))
    assert stun.USE_CANDIDATE not in message.attributes
    assert message.has_integrity(PASSWORD)


@pytest.mark.rfc("8489-6.3.1", "8489-14")
def test_attributes_that_must_be_understood_and_are_not_are_named() -> None:
    written = stun.write(stun.BINDING_REQUEST, TRANSACTION, {0x0019: b"\x11\0\0\0", 0x8022: b"x"}, PASSWORD)
    assert stun.read(written).unknown == (0x0019,)


@pytest.mark.rfc("8489-14.7")
def test_a_changed_message_is_none() -> None:
    for at in range(len(REQUEST)):
        changed = bytearray(REQUEST)
        changed[at] ^= 0x10
        with pytest.raises(stun.Malformed):
            stun.read(bytes(changed))
    for size in range(len(REQUEST)):
        with pytest.raises(stun.Malformed):
            stun.read(REQUEST[:size])


@given(st.binary(max_size=1600))
def test_any_octets_are_a_message_or_malformed(data: bytes) -> None:
    for candidate in (data, struct.pack(">HHI", 1, max(len(data) - 8, 0) & 0xFFFC, stun.COOKIE) + data):
        try:
            stun.read(candidate)
        except stun.Malformed:
            continue


def test_many_attributes_cost_no_more_than_is_looked_at() -> None:
    chance = random.Random(1)
    body = b"".join(struct.pack(">HH", chance.randrange(0x8000), 0) for _ in range(300))
    message = struct.pack(">HHI", 1, len(body) + 8, stun.COOKIE) + TRANSACTION + body
    with pytest.raises(stun.Malformed, match="no FINGERPRINT"):
        stun.read(message + struct.pack(">HH", stun.FINGERPRINT, 4) + stun.fingerprint(message))
