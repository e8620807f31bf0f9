"""Who we are to DTLS peers: a certificate that nobody signed, and its fingerprint, which the SDP carries (RFC 5763 5).

It is made once at the start of a backend and shared by its workers, because the engine writes the fingerprint into
descriptions while a worker shakes hands. The key crosses to them over the inherited control socket, and nothing of
it is ever on disk.
"""

from __future__ import annotations

import datetime as dt
from typing import Final

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_VALID_DAYS: Final = 3650  # nobody looks: what counts is the fingerprint (RFC 5763 5)
HASHES: Final[dict[str, type[hashes.HashAlgorithm]]] = {
    "sha-512": hashes.SHA512,
    "sha-384": hashes.SHA384,
    "sha-256": hashes.SHA256,
    "sha-224": hashes.SHA224,
}
"""The hash functions of fingerprints, the preferred first; of those of RFC 8122 5 that are not weak."""


class Identity(msgspec.Struct, frozen=True, array_like=True):
    """A certificate and its private key, both DER, and the fingerprint as in SDP."""

    certificate: bytes
    private_key: bytes
    fingerprint: str


def make_identity(now: dt.datetime, serial: int) -> Identity:
    """Make a key on P-256 and sign a certificate for it with itself. `serial` is a positive number by chance."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ims-acd")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=_VALID_DAYS))
        .sign(key, hashes.SHA256())
    )
    der = certificate.public_bytes(serialization.Encoding.DER)
    private = key.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return Identity(der, private, fingerprint(der, "sha-256"))


def fingerprint(certificate: bytes, name: str) -> str:
    """Return the fingerprint of a DER certificate as in SDP: the hash function, then octets in upper case hex."""
    digest = hashes.Hash(HASHES[name]())
    digest.update(certificate)
    return f"{name} {digest.finalize().hex(':').upper()}"


def is_of(certificate: bytes, fingerprints: tuple[str, ...]) -> bool:
    """Tell whether a DER certificate is the one that the fingerprints name.

    Those of the best hash function count, several of one function stand for several certificates (RFC 8122 5.1).
    """
    best = next((name for name in HASHES if any(_function(each) == name for each in fingerprints)), None)
    if best is None:
        return False
    wanted = {each.partition(" ")[2].strip().upper() for each in fingerprints if _function(each) == best}
    return fingerprint(certificate, best).partition(" ")[2] in wanted


def _function(text: str) -> str:
    return text.partition(" ")[0].lower()
