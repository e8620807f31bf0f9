"""STUN (RFC 8489) as far as ICE needs it of who only answers: Binding requests with short-term credentials."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import struct
import zlib
from typing import Final

import msgspec

Address = tuple[str, int]

BINDING_REQUEST: Final = 0x0001
BINDING_INDICATION: Final = 0x0011
BINDING_SUCCESS: Final = 0x0101
BINDING_ERROR: Final = 0x0111

USERNAME: Final = 0x0006
MESSAGE_INTEGRITY: Final = 0x0008
ERROR_CODE: Final = 0x0009
UNKNOWN_ATTRIBUTES: Final = 0x000A
XOR_MAPPED_ADDRESS: Final = 0x0020
PRIORITY: Final = 0x0024
USE_CANDIDATE: Final = 0x0025
FINGERPRINT: Final = 0x8028
ICE_CONTROLLED: Final = 0x8029
ICE_CONTROLLING: Final = 0x802A

COOKIE: Final = 0x2112A442
HEADER: Final = struct.Struct(">HHI12s")
HEADER_SIZE: Final = HEADER.size
LARGEST: Final = 1500  # octets of a message that is looked at
MOST_ATTRIBUTES: Final = 64
_ATTRIBUTE: Final = struct.Struct(">HH")
_INTEGRITY_SIZE: Final = 20
_FINGERPRINT_SIZE: Final = 4
_FINGERPRINT_XOR: Final = 0x5354554E
_COMPREHENSION_OPTIONAL: Final = 0x8000
_KNOWN: Final = frozenset((USERNAME, MESSAGE_INTEGRITY, PRIORITY, USE_CANDIDATE))
_IPV4, _IPV6 = 1, 2


class Malformed(ValueError):
    """The datagram is no STUN message with a right FINGERPRINT."""


class Message(msgspec.Struct, frozen=True):
    """A message that was received: `attributes` are the first of each type up to MESSAGE-INTEGRITY.

    `unknown` are those that must be understood and are not (RFC 8489 6.3.1).
    """

    kind: int
    transaction: bytes
    attributes: dict[int, bytes]
    unknown: tuple[int, ...]
    covered: bytes  # what MESSAGE-INTEGRITY is over; empty without it

    def has_integrity(self, password: bytes) -> bool:
        """Tell whether MESSAGE-INTEGRITY was made with this password (RFC 8489 14.5)."""
        expected = hmac.digest(password, self.covered, hashlib.sha1)
        return bool(self.covered) and hmac.compare_digest(expected, self.attributes[MESSAGE_INTEGRITY])


def read(data: bytes) -> Message:
    """Read a message. Raises Malformed, for one without FINGERPRINT as well: ICE demands it (RFC 8445 7.1.1)."""
    if not HEADER_SIZE <= len(data) <= LARGEST:
        raise Malformed("no STUN message: length")
    kind, length, cookie, transaction = HEADER.unpack_from(data)
    if kind & 0xC000 or cookie != COOKIE or length & 3 or length != len(data) - HEADER_SIZE:
        raise Malformed("no STUN message: header")
    attributes: dict[int, bytes] = {}
    unknown: list[int] = []
    covered = b""
    at = HEADER_SIZE
    for _ in range(MOST_ATTRIBUTES):
        if at == len(data):
            break
        name, size = _ATTRIBUTE.unpack_from(data, at)  # the length is a multiple of four
        start, end = at + _ATTRIBUTE.size, at + _ATTRIBUTE.size + size
        if end > len(data):
            raise Malformed("an attribute is longer than its message")
        if name == FINGERPRINT:
            # It has to be the last attribute of the message (14.7).
            if end != len(data) or data[start:end] != fingerprint(data[:at]):
                raise Malformed("wrong FINGERPRINT")
            return Message(kind, transaction, attributes, tuple(unknown), covered)
        if not covered:  # what follows MESSAGE-INTEGRITY is to be ignored (14.5)
            attributes.setdefault(name, data[start:end])
            if name == MESSAGE_INTEGRITY:
                if size != _INTEGRITY_SIZE:
                    raise Malformed("MESSAGE-INTEGRITY of another length")
                covered = _with_length(data[:at], end - HEADER_SIZE)
            elif name < _COMPREHENSION_OPTIONAL and name not in _KNOWN:
                unknown.append(name)
        at = end + -size % 4
    raise Malformed("no FINGERPRINT")


def write(kind: int, transaction: bytes, attributes: dict[int, bytes], password: bytes | None = None) -> bytes:
    """Return a message with FINGERPRINT, and with MESSAGE-INTEGRITY where there is a password."""
    body = b"".join(_attribute(name, value) for name, value in attributes.items())
    message = HEADER.pack(kind, len(body), COOKIE, transaction) + body
    if password is not None:
        covered = _with_length(message, len(body) + _ATTRIBUTE.size + _INTEGRITY_SIZE)
        message = covered + _attribute(MESSAGE_INTEGRITY, hmac.digest(password, covered, hashlib.sha1))
    message = _with_length(message, len(message) - HEADER_SIZE + _ATTRIBUTE.size + _FINGERPRINT_SIZE)
    return message + _attribute(FINGERPRINT, fingerprint(message))


def fingerprint(message: bytes) -> bytes:
    """Return the FINGERPRINT of a message, whose length counts it already (RFC 8489 14.7)."""
    return (zlib.crc32(message) ^ _FINGERPRINT_XOR).to_bytes(_FINGERPRINT_SIZE, "big")


def xor_address(address: Address, transaction: bytes) -> bytes:
    """Return the value of XOR-MAPPED-ADDRESS (RFC 8489 14.2)."""
    ip = ipaddress.ip_address(address[0].partition("%")[0])
    ip = getattr(ip, "ipv4_mapped", None) or ip  # of a socket for both families
    mask = COOKIE.to_bytes(4, "big") + transaction
    host = bytes(a ^ b for a, b in zip(ip.packed, mask, strict=False))
    return struct.pack(">BBH", 0, _IPV4 if ip.version == 4 else _IPV6, address[1] ^ COOKIE >> 16) + host


def error(code: int, reason: str) -> bytes:
    """Return the value of ERROR-CODE (RFC 8489 14.8)."""
    return bytes((0, 0, code // 100, code % 100)) + reason.encode()


def _attribute(name: int, value: bytes) -> bytes:
    return _ATTRIBUTE.pack(name, len(value)) + value + bytes(-len(value) % 4)


def _with_length(message: bytes, length: int) -> bytes:
    return message[:2] + length.to_bytes(2, "big") + message[4:]
