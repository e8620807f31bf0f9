"""SRTP written once more from RFC 3711, RFC 6188 and RFC 7714, slowly and by other means, to hold libsrtp against."""

from __future__ import annotations

import hashlib
import hmac

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

RTP_CIPHER, RTP_AUTH, RTP_SALT, RTCP_CIPHER, RTCP_AUTH, RTCP_SALT = range(6)  # labels, RFC 3711 4.3.1, 4.3.2
ENCRYPTED = 1 << 31


def keystream(key: bytes, iv: int, size: int) -> bytes:
    """AES in counter mode (RFC 3711 4.1.1): the IV counts blocks in its last 16 bits."""
    encryptor = Cipher(algorithms.AES(key), modes.CTR(iv.to_bytes(16, "big"))).encryptor()
    return encryptor.update(bytes(size))


def derive(master: bytes, salt: bytes, label: int, size: int) -> bytes:
    """The key derivation with rate 0 (RFC 3711 4.3.1); a salt of 96 bits is filled up with zeros (RFC 7714 11)."""
    x = int.from_bytes(salt.ljust(14, b"\0"), "big") ^ label << 48
    return keystream(master, x << 16, size)


def xor(data: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(data, other, strict=True))


def counter_iv(salt: bytes, ssrc: int, index: int) -> int:
    return int.from_bytes(salt, "big") << 16 ^ ssrc << 64 ^ index << 16


def gcm_iv(salt: bytes, ssrc: int, upper: int, lower: int) -> bytes:
    """RFC 7714 8.1: 00 00 | SSRC | ROC | SEQ; 9.1: 00 00 | SSRC | 00 00 | index; both added to the salt."""
    return xor(b"\0\0" + ssrc.to_bytes(4, "big") + (upper << 16 | lower).to_bytes(6, "big"), salt)


class Reference:
    """One master key; suites as in SDP. Packets have a plain header of 12 octets."""

    def __init__(self, suite: str, material: bytes) -> None:
        self.gcm = suite.startswith("AEAD")
        size = 32 if "256" in suite else 16
        self.tag = 4 if suite.endswith("_32") else 10
        master, salt = material[:size], material[size:]
        length = 12 if self.gcm else 14
        self.keys = [
            derive(master, salt, label, {0: size, 1: 20, 2: length}[label % 3]) for label in range(RTCP_SALT + 1)
        ]

    def protect(self, packet: bytes, rollovers: int, mki: bytes = b"") -> bytes:
        header, payload = packet[:12], packet[12:]
        sequence, ssrc = int.from_bytes(packet[2:4], "big"), int.from_bytes(packet[8:12], "big")
        if self.gcm:
            nonce = gcm_iv(self.keys[RTP_SALT], ssrc, rollovers, sequence)
            return header + AESGCM(self.keys[RTP_CIPHER]).encrypt(nonce, payload, header) + mki
        iv = counter_iv(self.keys[RTP_SALT], ssrc, rollovers << 16 | sequence)
        body = header + xor(payload, keystream(self.keys[RTP_CIPHER], iv, len(payload)))
        return body + mki + self.sign(RTP_AUTH, body + rollovers.to_bytes(4, "big"))[: self.tag]

    def protect_rtcp(self, packet: bytes, index: int, mki: bytes = b"") -> bytes:
        header, payload, ssrc = packet[:8], packet[8:], int.from_bytes(packet[4:8], "big")
        trailer = (ENCRYPTED | index).to_bytes(4, "big")
        if self.gcm:
            nonce = gcm_iv(self.keys[RTCP_SALT], ssrc, 0, index)
            return header + AESGCM(self.keys[RTCP_CIPHER]).encrypt(nonce, payload, header + trailer) + trailer + mki
        iv = counter_iv(self.keys[RTCP_SALT], ssrc, index)
        body = header + xor(payload, keystream(self.keys[RTCP_CIPHER], iv, len(payload))) + trailer
        return body + mki + self.sign(RTCP_AUTH, body)[:10]

    def sign(self, label: int, data: bytes) -> bytes:
        return hmac.digest(self.keys[label], data, hashlib.sha1)
