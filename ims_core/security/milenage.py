"""Milenage: the authentication and key generation functions of a USIM on AES (TS 35.206)."""

from __future__ import annotations

from typing import NamedTuple

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB

BLOCK = 16


class Outputs(NamedTuple):
    """What f2, f3, f4 and f5 make of a RAND: response (8 bytes), cipher and integrity key (16), anonymity key (6)."""

    res: bytes
    ck: bytes
    ik: bytes
    ak: bytes


class Milenage:
    """The functions f1 to f5* of one USIM, by its key ``k`` and the operator's constant ``opc`` (section 4.1).

    ``rand`` is of 16 bytes, ``sqn`` of 6 and ``amf`` of 2. Raises ``ValueError`` for keys that are not of 16 bytes.
    """

    def __init__(self, k: bytes, opc: bytes) -> None:
        if len(k) != BLOCK or len(opc) != BLOCK:
            raise ValueError(f"expected K and OPc of {BLOCK} bytes, not {len(k)} and {len(opc)}")
        self._encrypt = _cipher(k).encryptor().update
        self._opc = int.from_bytes(opc, "big")

    def f1(self, rand: bytes, sqn: bytes, amf: bytes) -> bytes:
        """The network's authentication code MAC-A, of 8 bytes."""
        return self._out1(rand, sqn, amf)[:8]

    def f1_star(self, rand: bytes, sqn: bytes, amf: bytes) -> bytes:
        """The USIM's code for resynchronisation MAC-S, of 8 bytes."""
        return self._out1(rand, sqn, amf)[8:]

    def f2345(self, rand: bytes) -> Outputs:
        """The response and the keys that follow from ``rand``."""
        whitened = self._temp(rand) ^ self._opc
        blocks = b"".join((_rotated(whitened, r) ^ c).to_bytes(BLOCK, "big") for r, c in ((0, 1), (32, 2), (64, 4)))
        out = self._encrypt(blocks)
        two, three, four = (self._masked(out[at : at + BLOCK]) for at in range(0, len(out), BLOCK))
        return Outputs(two[8:], three, four, two[:6])

    def f5_star(self, rand: bytes) -> bytes:
        """The anonymity key for resynchronisation, of 6 bytes."""
        block = _rotated(self._temp(rand) ^ self._opc, 96) ^ 8
        return self._masked(self._encrypt(block.to_bytes(BLOCK, "big")))[:6]

    def _out1(self, rand: bytes, sqn: bytes, amf: bytes) -> bytes:
        in1 = int.from_bytes((sqn + amf) * 2, "big")
        block = self._temp(rand) ^ _rotated(in1 ^ self._opc, 64)
        return self._masked(self._encrypt(block.to_bytes(BLOCK, "big")))

    def _temp(self, rand: bytes) -> int:
        block = int.from_bytes(rand, "big") ^ self._opc
        return int.from_bytes(self._encrypt(block.to_bytes(BLOCK, "big")), "big")

    def _masked(self, block: bytes) -> bytes:
        return (int.from_bytes(block, "big") ^ self._opc).to_bytes(BLOCK, "big")


def opc_of(k: bytes, op: bytes) -> bytes:
    """Return what a USIM holds of the operator's constant ``op`` (section 4.1)."""
    return xor(_cipher(k).encryptor().update(op), op)


def xor(one: bytes, other: bytes) -> bytes:
    """Add two texts of one length, bit by bit."""
    return (int.from_bytes(one, "big") ^ int.from_bytes(other, "big")).to_bytes(len(one), "big")


def _cipher(k: bytes) -> Cipher[ECB]:
    return Cipher(AES(k), ECB())  # noqa: S305 (the kernel of the algorithm is the bare block cipher)


def _rotated(block: int, bits: int) -> int:
    """``block`` rotated towards its most significant bit."""
    return (block << bits | block >> (128 - bits)) & _MASK


_MASK = (1 << 128) - 1
