"""TLS between a socket and the framing of messages (RFC 3261 section 26.3, RFC 5922).

OpenSSL works on memory here, not on the socket: so the reason of every failed handshake is known, its alert is sent,
and two layers can be tested against each other without a network.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from ims_core.flow import Flow
from ims_core.transport.identity import identities, stands_for

if TYPE_CHECKING:
    from collections.abc import Mapping

VERSION: Final = "version"
CIPHER: Final = "cipher"
NO_CERTIFICATE: Final = "no certificate"
CERTIFICATE: Final = "certificate"
OUR_CERTIFICATE: Final = "our certificate"
NAME: Final = "name"
NO_TLS: Final = "no TLS"
TIMEOUT: Final = "timeout"
CLOSED: Final = "closed"
OTHER: Final = "other"

# Why handshakes fail, in words. The keys are what failures are counted by.
FAILURES: Final[dict[str, str]] = {
    VERSION: "the peer speaks no version of TLS that is allowed here",
    CIPHER: "the peer shares no cipher with us",
    NO_CERTIFICATE: "one side demands a certificate that the other did not show",
    CERTIFICATE: "the certificate of the peer is not trusted",
    OUR_CERTIFICATE: "the peer does not trust our certificate",
    NAME: "the certificate of the peer is for another name",
    NO_TLS: "the peer speaks no TLS",
    TIMEOUT: "the peer took too long",
    CLOSED: "the peer closed the connection",
    OTHER: "OpenSSL refuses to go on",
}
_READ = 65_536


class TlsSettings(NamedTuple):
    """Files in PEM form, and whom to trust.

    ``ca`` holds the authorities that peers are verified by, empty: those of the system. ``client_certificates``
    says whether clients must show a certificate; ``verify_peers`` whether servers that we connect to must.
    """

    certificate: str
    key: str
    ca: str = ""
    client_certificates: Literal["none", "optional", "required"] = "none"
    verify_peers: bool = True


class TlsError(Exception):
    """The settings cannot be used; the message says which and why."""


class HandshakeFailed(Exception):
    """TLS ends here; ``reason`` is a key of ``FAILURES``."""

    def __init__(self, reason: str, detail: str = "") -> None:
        self.reason = reason
        super().__init__(f"{FAILURES[reason]}: {detail}" if detail else FAILURES[reason])


class Tls:
    """Makes the layer of each connection. Raises ``TlsError``."""

    def __init__(self, settings: TlsSettings) -> None:
        self._settings = settings
        self._server, self._client = self._contexts()

    def reload(self) -> None:
        """Read the files again, for connections to come. Raises ``TlsError``, and nothing is changed then."""
        self._server, self._client = self._contexts()

    def accepting(self) -> TlsLayer:
        """Return the layer of a connection that a peer opened."""
        return TlsLayer(self._server, server_side=True)

    def opening(self, flow: Flow) -> TlsLayer:
        """Return the layer of a connection that we open for ``flow``."""
        host = flow.server_name or flow.remote[0]
        return TlsLayer(self._client, server_side=False, host=host, named=bool(flow.server_name))

    def _contexts(self) -> tuple[ssl.SSLContext, ssl.SSLContext]:
        settings = self._settings
        server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        client.check_hostname = False  # RFC 5922 has rules of its own: see ``TlsLayer``
        client.verify_mode = ssl.CERT_REQUIRED if settings.verify_peers else ssl.CERT_NONE
        server.verify_mode = _DEMANDS[settings.client_certificates]
        for context in (server, client):
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            context.options |= ssl.OP_NO_RENEGOTIATION
            _load(context, settings)
        return server, client


class TlsLayer:
    """The TLS of one connection: ciphertext in, plain bytes out, and the other way round.

    Send ``data_to_send()`` after every call, also after one that failed: it may hold the alert.
    """

    def __init__(self, context: ssl.SSLContext, *, server_side: bool, host: str = "", named: bool = False) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._object = context.wrap_bio(
            self._incoming, self._outgoing, server_side=server_side, server_hostname=host if named else None
        )
        self._host = host if context.verify_mode == ssl.CERT_REQUIRED else ""
        self.established = False
        self.closed = False

    @property
    def peer_names(self) -> frozenset[str]:
        """What the verified certificate of the peer stands for; empty when it showed none."""
        return identities(self._certificate())

    def start(self) -> None:
        """Begin: a client speaks first."""
        self.receive(b"")

    def receive(self, data: bytes) -> bytes:
        """Take bytes of the peer and return what they mean. Raises ``HandshakeFailed``."""
        self._incoming.write(data)
        try:
            if not self.established:
                self._object.do_handshake()
                self._check_name()
                self.established = True
            return self._read()
        except ssl.SSLWantReadError:
            return b""
        except ssl.SSLError as error:
            reason = error.reason or ""
            if reason == "CERTIFICATE_VERIFY_FAILED":
                raise HandshakeFailed(CERTIFICATE, getattr(error, "verify_message", "")) from None
            raise HandshakeFailed(_REASONS.get(reason, OTHER), reason.replace("_", " ").lower()) from None

    def send(self, data: bytes) -> None:
        """Take plain bytes for the peer, after the handshake."""
        self._object.write(data)

    def close(self) -> None:
        """Tell the peer that nothing more will come."""
        try:
            self._object.unwrap()
        except ssl.SSLError:  # the peer's own word, which nobody waits for; or there never was a handshake
            return

    def data_to_send(self) -> bytes:
        """Return and forget the ciphertext to send."""
        return self._outgoing.read()

    def _read(self) -> bytes:
        read, pieces = self._object.read, []
        try:
            while piece := read(_READ):
                pieces.append(piece)
            self.closed = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self.closed = True
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _check_name(self) -> None:
        if self._host and not stands_for(self._certificate(), self._host):
            names = ", ".join(sorted(identities(self._certificate()))) or "nobody"
            raise HandshakeFailed(NAME, f"{names} instead of {self._host}")

    def _certificate(self) -> Mapping[str, object]:
        return self._object.getpeercert() or {}


def _load(context: ssl.SSLContext, settings: TlsSettings) -> None:
    try:
        context.load_cert_chain(settings.certificate, settings.key or None, password=_no_password)
    except (OSError, ssl.SSLError, ValueError) as error:
        files = settings.certificate if not settings.key else f"{settings.certificate} and {settings.key}"
        raise TlsError(f"no certificate and key that belong together in {files}: {_told(error)}") from None
    try:
        if settings.ca:
            context.load_verify_locations(settings.ca)
        else:
            context.load_default_certs()
    except (OSError, ssl.SSLError) as error:
        raise TlsError(f"no certificates of authorities in {settings.ca}: {_told(error)}") from None


def _no_password() -> str:
    raise ValueError("the key is encrypted")


def _told(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return (error.reason or "not in PEM form").replace("_", " ").lower()
    return getattr(error, "strerror", None) or str(error)


_DEMANDS = {"none": ssl.CERT_NONE, "optional": ssl.CERT_OPTIONAL, "required": ssl.CERT_REQUIRED}
# OpenSSL's reasons; an ALERT is what the peer says.
_REASONS: Final[dict[str, str]] = {
    "UNSUPPORTED_PROTOCOL": VERSION,
    "VERSION_TOO_LOW": VERSION,
    "NO_PROTOCOLS_AVAILABLE": VERSION,
    "TLSV1_ALERT_PROTOCOL_VERSION": VERSION,
    "NO_SHARED_CIPHER": CIPHER,
    "NO_SUITABLE_SIGNATURE_ALGORITHM": CIPHER,
    "NO_SUITABLE_KEY_SHARE": CIPHER,
    "SSLV3_ALERT_HANDSHAKE_FAILURE": CIPHER,
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": NO_CERTIFICATE,
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": NO_CERTIFICATE,
    "TLSV1_ALERT_UNKNOWN_CA": OUR_CERTIFICATE,
    "SSLV3_ALERT_BAD_CERTIFICATE": OUR_CERTIFICATE,
    "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE": OUR_CERTIFICATE,
    "SSLV3_ALERT_CERTIFICATE_REVOKED": OUR_CERTIFICATE,
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": OUR_CERTIFICATE,
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": OUR_CERTIFICATE,
    "TLSV1_UNRECOGNIZED_NAME": NAME,
    "HTTP_REQUEST": NO_TLS,
    "HTTPS_PROXY_REQUEST": NO_TLS,
    "WRONG_VERSION_NUMBER": NO_TLS,
    "RECORD_LAYER_FAILURE": NO_TLS,
    "PACKET_LENGTH_TOO_LONG": NO_TLS,
    "UNEXPECTED_MESSAGE": NO_TLS,
    "UNEXPECTED_EOF_WHILE_READING": CLOSED,
}
