"""Digest authentication, both sides (RFC 7616 and RFC 2617 as RFC 3261 section 22.4 uses them)."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections import OrderedDict
from collections.abc import Callable, Sequence
from enum import Enum
from itertools import count
from typing import NamedTuple

from ims_core.errors import SipError
from ims_core.messages.headers import quote_string
from ims_core.messages.uri import parse_uri

ALGORITHMS: dict[str, Callable[[bytes], str]] = {
    "MD5": lambda data: hashlib.md5(data, usedforsecurity=False).hexdigest(),
    "SHA-256": lambda data: hashlib.sha256(data).hexdigest(),
}
MAX_HEADER_LENGTH = 4096
NONCES_REMEMBERED = 65536

# Anchored at the start or a comma and possessive, so that no text takes more than linear time.
_PARAM = re.compile(r'(?:^|,)\s*+([\w-]++)\s*+=\s*+(?:"((?:[^"\\]|\\.)*+)"|([^\s,"]*+))', re.ASCII | re.DOTALL)
_NONCE = re.compile(r"([0-9a-f]{8,16})-([0-9a-f]{1,16})-([0-9a-f]{32})")


class Unauthorized(SipError):
    """The request needs user authentication (21.4.2); to be sent with WWW-Authenticate."""

    status = 401


class ProxyAuthenticationRequired(SipError):
    """The request needs authentication with the proxy (21.4.8); to be sent with Proxy-Authenticate."""

    status = 407


class UnsupportedChallenge(Exception):
    """A challenge that cannot be answered: no Digest, an unknown algorithm, or a qop other than ``auth``."""


class Outcome(Enum):
    """How a request fared; everything but ``ACCEPTED`` is answered with a fresh challenge."""

    ACCEPTED = "accepted"
    MISSING = "missing"
    """No Digest credentials for this realm: what every first request looks like."""
    STALE = "stale"
    """The password is right, the nonce is not usable any more: challenge with ``stale=True``."""
    WRONG = "wrong"
    """Wrong password, unknown user or unusable credentials; nothing tells these apart."""


class Verdict(NamedTuple):
    """The outcome, with the user (without any ``@domain``) when it is ``ACCEPTED``."""

    outcome: Outcome
    user: str = ""


_MISSING, _STALE, _WRONG = Verdict(Outcome.MISSING), Verdict(Outcome.STALE), Verdict(Outcome.WRONG)


class DigestAuthenticator:
    """Challenges and verifies for one realm; serves 401 and 407 alike.

    A nonce is a time, a serial number and a MAC of both, so that a challenge leaves no state behind. Only a nonce
    that was used with the right password is remembered, with its highest nonce count, to refuse replays. At most
    ``nonces_remembered`` are: when the oldest is forgotten, it and all older ones that are not remembered count as
    stale. A nonce used without qop serves once.

    ``password_of`` returns the password of a user or None. ``secret`` keys the MAC: take 16 random bytes or more
    at each start. ``nonce_lifetime`` is in seconds. Do not verify ACK or CANCEL: they carry the credentials of
    their INVITE (RFC 3261 section 22.1).
    """

    def __init__(
        self,
        realm: str,
        password_of: Callable[[str], str | None],
        secret: bytes,
        *,
        nonce_lifetime: float = 300,
        algorithm: str = "MD5",
        nonces_remembered: int = NONCES_REMEMBERED,
    ) -> None:
        self.realm = realm
        self._password_of = password_of
        self._secret = secret
        self._lifetime = nonce_lifetime
        self._algorithm = algorithm
        self._hash = ALGORITHMS[algorithm]
        self._at_realm = f"@{realm}"
        self._serials = count(1)
        self._nonce_counts: OrderedDict[int, int] = OrderedDict()
        self._nonces_remembered = nonces_remembered
        self._forgotten = 0

    def challenge(self, now: float, *, stale: bool = False) -> str:
        """Return the value of a WWW-Authenticate or Proxy-Authenticate header."""
        value = (
            f'Digest realm={quote_string(self.realm)}, nonce="{self._new_nonce(now)}", '
            f'algorithm={self._algorithm}, qop="auth"'
        )
        return f"{value}, stale=true" if stale else value

    def verify(self, method: str, uri: str, credentials: Sequence[str], now: float) -> Verdict:
        """Judge a request by its credentials: the values of all its (Proxy-)Authorization header lines.

        ``uri`` is the Request-URI.
        """
        for text in credentials:
            params = _parse_digest(text)
            if params and params.get("realm") == self.realm:
                return self._judge(method, uri, params, now)
        return _MISSING

    def _judge(self, method: str, uri: str, params: dict[str, str], now: float) -> Verdict:
        username, nonce, qop = params.get("username", ""), params.get("nonce", ""), params.get("qop", "")
        nc = _hexadecimal(params.get("nc", "")) if qop else 1
        if (
            params.get("algorithm", "MD5").upper() != self._algorithm
            or (qop and (qop.lower() != "auth" or not nc or not params.get("cnonce")))
            or not _same_target(params.get("uri", ""), uri)
        ):
            return _WRONG
        user = username.removesuffix(self._at_realm)
        password = self._password_of(user)
        expected = _response(
            self._hash, method, params, f"{username}:{self.realm}:{'' if password is None else password}"
        )
        right = hmac.compare_digest(expected, params.get("response", "").lower().encode("utf-8", "surrogateescape"))
        if not right or password is None:
            return _WRONG
        if not self._use_nonce(nonce, nc, once=not qop, now=now):
            return _STALE
        return Verdict(Outcome.ACCEPTED, user)

    def _new_nonce(self, now: float) -> str:
        stamp = f"{int(now):08x}-{next(self._serials):x}"
        return f"{stamp}-{self._mac(stamp)}"

    def _mac(self, stamp: str) -> str:
        return hmac.digest(self._secret, stamp.encode(), "sha256")[:16].hex()

    def _use_nonce(self, nonce: str, nc: int, *, once: bool, now: float) -> bool:
        """Whether ``nonce`` is ours, fresh, and not yet used with this or a higher count; remembers the use."""
        match = _NONCE.fullmatch(nonce)
        if not match:
            return False
        time, number, mac = match.groups()
        if not hmac.compare_digest(mac, self._mac(f"{time}-{number}")) or now - int(time, 16) > self._lifetime:
            return False
        serial = int(number, 16)
        used = self._nonce_counts.get(serial)
        if used is None:
            if serial <= self._forgotten:
                return False
            if len(self._nonce_counts) >= self._nonces_remembered:
                self._forgotten = max(self._forgotten, self._nonce_counts.popitem(last=False)[0])
        elif once or nc <= used:
            return False
        self._nonce_counts[serial] = nc
        return True


def answer_challenge(
    challenge: str, method: str, uri: str, user: str, password: str, *, cnonce: str, nc: int = 1
) -> str:
    """Return the credentials that answer ``challenge`` (the value of one Authenticate header).

    They go into Authorization for a 401 and into Proxy-Authorization for a 407. ``cnonce`` is a fresh random
    string, ``nc`` how often this nonce has been answered, this time included. Raises ``UnsupportedChallenge``.
    """
    params = _parse_digest(challenge)
    if params is None or "realm" not in params or "nonce" not in params:
        raise UnsupportedChallenge("not a Digest challenge")
    algorithm = params.get("algorithm", "MD5").upper()
    if algorithm not in ALGORITHMS:
        raise UnsupportedChallenge(f"algorithm {algorithm}")
    offered = [qop.strip().lower() for qop in params.get("qop", "").split(",") if qop.strip()]
    if offered and "auth" not in offered:
        raise UnsupportedChallenge(f"qop {params['qop']}")
    answer = {"nonce": params["nonce"], "uri": uri}
    if offered:
        answer |= {"qop": "auth", "cnonce": cnonce, "nc": f"{nc:08x}"}
    response = _response(ALGORITHMS[algorithm], method, answer, f"{user}:{params['realm']}:{password}").decode()
    fields = [
        f"username={quote_string(user)}",
        f"realm={quote_string(params['realm'])}",
        f"nonce={quote_string(params['nonce'])}",
        f"uri={quote_string(uri)}",
        f'response="{response}"',
    ]
    if "algorithm" in params:
        fields.append(f"algorithm={params['algorithm']}")
    if "opaque" in params:
        fields.append(f"opaque={quote_string(params['opaque'])}")
    if offered:
        fields.append(f"qop=auth, nc={answer['nc']}, cnonce={quote_string(cnonce)}")
    return "Digest " + ", ".join(fields)


def _response(digest: Callable[[bytes], str], method: str, params: dict[str, str], a1: str) -> bytes:
    """The request-digest (RFC 7616 section 3.4.1); without qop as in RFC 2069, which RFC 2617 still allows."""
    ha1, ha2 = digest(_bytes(a1)), digest(_bytes(f"{method}:{params.get('uri', '')}"))
    middle = params.get("nonce", "")
    if params.get("qop"):
        middle = f"{middle}:{params['nc']}:{params['cnonce']}:{params['qop']}"
    return digest(_bytes(f"{ha1}:{middle}:{ha2}")).encode()


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _parse_digest(text: str) -> dict[str, str] | None:
    """The parameters of Digest credentials or of a Digest challenge; None when it is something else."""
    if text[:7].lower() != "digest " or len(text) > MAX_HEADER_LENGTH:
        return None
    params = {name.lower(): quoted or token for name, quoted, token in _PARAM.findall(text[7:])}
    if "\\" in text:
        params = {name: re.sub(r"\\(.)", r"\1", value, flags=re.DOTALL) for name, value in params.items()}
    return params


def _hexadecimal(text: str) -> int:
    """The value of an ``nc`` of eight hexadecimal digits, 0 when it is none (a count starts at 1)."""
    try:
        return int(text, 16) if len(text) == 8 and text.isascii() and text.isalnum() else 0
    except ValueError:
        return 0


def _same_target(digest_uri: str, request_uri: str) -> bool:
    """Whether both name one resource.

    Phones differ in parameters and in the default port, and SIPp leaves out the user unless it is told one.
    """
    if digest_uri == request_uri:
        return True
    try:
        ours, theirs = parse_uri(request_uri), parse_uri(digest_uri)
    except SipError:
        return False
    return ours.address == theirs.address and theirs.user in {ours.user, ""}
