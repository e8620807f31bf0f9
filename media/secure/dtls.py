"""DTLS-SRTP (RFC 5764): a handshake over datagrams, and the SRTP keys that come of it.

OpenSSL works on memory here: datagrams go in and come out, and it tells when it wants to be called again. It counts
the time of its retransmissions by itself (RFC 6347 4.2.4: from one second, doubling).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_der_private_key
from OpenSSL import SSL, crypto

from media.secure.identity import Identity
from media.secure.srtp import SUITES, Key

MTU: Final = 1200
EXPORTER: Final = b"EXTRACTOR-dtls_srtp"
RECORD: Final = range(20, 64)
"""First octets of DTLS records (RFC 7983 7)."""
_RECORD_HEADER: Final = 13
_LARGEST: Final = 65_535
_BY_DTLS_NAME: Final = {suite.dtls_name.encode(): suite for suite in SUITES.values()}


class Keys(NamedTuple):
    """What a handshake has brought: our key, the peer's, and the peer's certificate (DER)."""

    ours: Key
    theirs: Key
    certificate: bytes


class HandshakeFailed(Exception):
    """The peer speaks DTLS otherwise than DTLS-SRTP wants it; the association is of no more use."""


def make_context(identity: Identity, *, with_cookies: bool = False) -> SSL.Context:
    """Return what all handshakes of a worker share.

    `with_cookies`, who begins a handshake has to say our cookie first (RFC 6347 4.2.1), so that nothing large goes to a
    source that it was not seen to come from.
    """
    context = SSL.Context(SSL.DTLS_METHOD)
    context.use_certificate(x509.load_der_x509_certificate(identity.certificate))
    context.use_privatekey(load_der_private_key(identity.private_key, None))  # type: ignore[arg-type]
    context.set_cipher_list(b"ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE+AES")
    # Any certificate will do for the handshake; whose it is its fingerprint tells afterwards (RFC 5763 5).
    context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, _accept)
    context.set_tlsext_use_srtp(b":".join(_BY_DTLS_NAME))
    context.set_options(SSL.OP_NO_QUERY_MTU | SSL.OP_NO_TICKET | SSL.OP_NO_RENEGOTIATION)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    if with_cookies:
        context.set_options(SSL.OP_COOKIE_EXCHANGE or 0)  # None would be an OpenSSL without DTLS
        context.set_cookie_generate_callback(SSL.Connection.get_app_data)
        context.set_cookie_verify_callback(lambda connection, cookie: cookie == connection.get_app_data())
    return context


def _accept(*_: object) -> bool:
    return True


class Association:
    """One handshake with one peer. `send` takes each datagram of ours; `keys` are there once it is over.

    `cookie` is of a passive side whose context has cookies.
    """

    __slots__ = ("_active", "_connection", "_send", "closed", "keys")

    def __init__(
        self, context: SSL.Context, send: Callable[[bytes], object], *, active: bool, cookie: bytes = b""
    ) -> None:
        self.keys: Keys | None = None
        self.closed = False
        self._send = send
        self._active = active
        self._connection = SSL.Connection(context, None)
        self._connection.set_ciphertext_mtu(MTU)
        self._connection.set_app_data(cookie)
        if active:
            self._connection.set_connect_state()
        else:
            self._connection.set_accept_state()

    def start(self) -> None:
        """Send the first flight of the active side. Raises HandshakeFailed."""
        self._proceed()

    def receive(self, datagram: bytes) -> None:
        """Take a datagram of the peer's. Raises HandshakeFailed; what is no record is passed over by OpenSSL.

        After the handshake it is the peer's last flight once more, or its close_notify, upon which `closed` is true.
        """
        self._connection.bio_write(datagram)
        self._proceed()

    @property
    def under_way(self) -> bool:
        """Whether the peer has said more than its first word: it has our cookie, or needs none."""
        return self.keys is not None or self._connection.DTLSv1_get_timeout() is not None

    def deadline(self) -> float | None:
        """Return in how many seconds `expire` is to be called, None: not at all."""
        return self._connection.DTLSv1_get_timeout() if self.keys is None else None

    def expire(self) -> None:
        """Send the last flight again if it is time to. Raises HandshakeFailed."""
        try:
            self._connection.DTLSv1_handle_timeout()
        except SSL.Error as error:
            raise HandshakeFailed(_reason(error)) from None
        self._flush()

    def close(self) -> None:
        """Tell the peer that no more is to come (RFC 5764 5.1.2)."""
        if self.keys is not None:
            try:
                self._connection.shutdown()
            except SSL.Error:
                return
            self._flush()

    def _proceed(self) -> None:
        try:
            if self.keys is None:
                self._connection.do_handshake()
                self.keys = self._export()
            self._connection.recv(_LARGEST)  # nobody sends application data; OpenSSL answers what else is there
        except SSL.WantReadError:
            pass
        except SSL.ZeroReturnError:
            self.closed = True
        except SSL.Error as error:
            self._flush()  # an alert that says why
            raise HandshakeFailed(_reason(error)) from None
        self._flush()

    def _flush(self) -> None:
        """Send what OpenSSL has written: whole records, of which a datagram may hold several."""
        while True:
            try:
                data = self._connection.bio_read(_LARGEST)
            except SSL.WantReadError:
                return
            for datagram in datagrams(data):
                self._send(datagram)

    def _export(self) -> Keys:
        """Return the keys in the order of RFC 5764 4.2: client, server; first the keys, then the salts."""
        suite = _BY_DTLS_NAME.get(self._connection.get_selected_srtp_profile())
        if suite is None:
            raise HandshakeFailed("the peer does not use DTLS for SRTP")
        certificate = self._connection.get_peer_certificate()
        if certificate is None:
            raise HandshakeFailed("the peer has no certificate")
        material = self._connection.export_keying_material(EXPORTER, 2 * suite.length, None)
        salts = 2 * suite.key
        client, server = (
            Key(suite, material[n * suite.key :][: suite.key] + material[salts + n * suite.salt :][: suite.salt])
            for n in (0, 1)
        )
        ours, theirs = (client, server) if self._active else (server, client)
        return Keys(ours, theirs, crypto.dump_certificate(crypto.FILETYPE_ASN1, certificate))


def datagrams(records: bytes) -> list[bytes]:
    """Cut what OpenSSL has written into datagrams of at most `MTU` octets where records end (RFC 6347 4.1.1)."""
    found: list[bytes] = []
    start = at = 0
    while at < len(records):
        end = at + _RECORD_HEADER + int.from_bytes(records[at + 11 : at + _RECORD_HEADER], "big")
        if end - start > MTU and at > start:
            found.append(records[start:at])
            start = at
        at = end
    found.append(records[start:])
    return found


def _reason(error: SSL.Error) -> str:
    """Return what OpenSSL says, in its words."""
    reasons = error.args[0] if error.args and isinstance(error.args[0], list) else []
    return reasons[-1][-1] if reasons else "the handshake failed"
