"""STUN as the keep-alive of flows over UDP (RFC 5626 section 3.5.2, RFC 5389)."""

from __future__ import annotations

import struct
from ipaddress import ip_address

_BINDING_REQUEST, _BINDING_SUCCESS = 0x0001, 0x0101
_XOR_MAPPED_ADDRESS = 0x0020
_COOKIE = 0x2112A442
_HEADER = struct.Struct("!HHI12s")
_FAMILIES = {4: 1, 6: 2}


def binding_response(data: bytes, sender: tuple[str, int]) -> bytes | None:
    """Return the answer to a Binding request from ``sender``, None when ``data`` is none.

    It tells the sender the address that he is seen at: a phone whose address has changed must register again.
    """
    if len(data) < _HEADER.size:
        return None
    kind, length, cookie, transaction = _HEADER.unpack_from(data)
    if kind != _BINDING_REQUEST or cookie != _COOKIE or length % 4 or len(data) != _HEADER.size + length:
        return None
    address = ip_address(sender[0].partition("%")[0])
    mask = data[4 : 4 + len(address.packed)]
    mapped = bytes(one ^ other for one, other in zip(address.packed, mask, strict=True))
    value = struct.pack("!xBH", _FAMILIES[address.version], sender[1] ^ _COOKIE >> 16) + mapped
    attribute = struct.pack("!HH", _XOR_MAPPED_ADDRESS, len(value)) + value
    return _HEADER.pack(_BINDING_SUCCESS, len(attribute), _COOKIE, transaction) + attribute
