"""Digest AKA, the network's side (RFC 3310, RFC 4169, TS 33.203 section 6.1): a USIM's answers instead of passwords."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from typing import TYPE_CHECKING, NamedTuple

from ims_core.messages.headers import quote_string
from ims_core.security.digest import (
    ALGORITHMS,
    NONCES_REMEMBERED,
    Outcome,
    UsedNonces,
    Verdict,
    request_digest,
    same_target,
)
from ims_core.security.milenage import BLOCK
from ims_core.security.params import count_of, digest_of
from ims_core.subscribers.centre import SQN_LENGTH, make_vector
from ims_core.subscribers.subscriber import Aka, Answer, Vector

if TYPE_CHECKING:
    from ims_core.subscribers.subscriber import Subscribers

AKA_ALGORITHMS = {
    "AKAV1-MD5": (1, "MD5"),
    "AKAV1-SHA-256": (1, "SHA-256"),
    "AKAV2-MD5": (2, "MD5"),
    "AKAV2-SHA-256": (2, "SHA-256"),
}
"""The version of AKA and the hash of each algorithm, by its name in upper case."""

_V2_PASSWORD = b"http-digest-akav2-password"
_CHALLENGE, _STAMP, _TAG = 2 * BLOCK, 9, 16
_TIME = 4
_NONCE_LENGTH = _CHALLENGE + _STAMP + _TAG
_MISSING, _STALE, _WRONG = Verdict(Outcome.MISSING), Verdict(Outcome.STALE), Verdict(Outcome.WRONG)


class _Signed(NamedTuple):
    """What the response of a request signs."""

    method: str
    uri: str
    params: Mapping[str, str]
    body: bytes


class _Nonce(NamedTuple):
    rand: bytes
    time: int
    serial: int


class AkaAuthenticator:
    """Challenges USIMs and judges what they answer: the face of ``DigestAuthenticator``, for subscribers with ``Aka``.

    A nonce is RAND and AUTN and, as server data (RFC 3310 section 3.2), a time, a serial number and a MAC of all that
    with the host and the subscriber it was made for. The right answer follows from RAND, so that a challenge leaves
    nothing behind but its sequence number. Nonces that were answered are remembered as digest does it.

    A USIM that finds the sequence number out of range answers with AUTS (section 3.4): if that is its own, the next
    challenge fits, and the outcome is ``MISSING`` (a plain fresh challenge; counted in ``resynchronised``), if not
    ``WRONG``. A phone that did not find the network genuine sends an empty response (TS 24.229 section 5.1.1.5.3):
    ``MISSING`` as well, counted in ``rejected``. The MAC that is in AUTS proves it, whatever the response beside it.

    A host for which ``gets_keys`` says so is sent the keys of the vector, ``ik`` and ``ck`` (TS 24.229 section 7.2A.1),
    with which a P-CSCF inside the trust domain sets up security associations; it takes them out (5.2.2).

    A private identity without keys here takes the same steps with keys that nobody has, and ``strangers_amf``, which
    should be what the others have. ``subscribers`` are asked for the user name with its domain, ``realm`` where it has
    none; a ``Verdict`` names it without the realm. See ``DigestAuthenticator`` for everything else.
    """

    def __init__(
        self,
        realm: str,
        subscribers: Subscribers,
        secret: bytes,
        *,
        nonce_lifetime: float = 300,
        algorithms: Sequence[str] = ("AKAv1-MD5",),
        qop: Sequence[str] = ("auth",),
        nonces_remembered: int = NONCES_REMEMBERED,
        strangers_amf: bytes = bytes(2),
        gets_keys: Callable[[str], bool] = lambda host: False,
    ) -> None:
        self.realm = realm
        self._subscribers = subscribers
        self._mac = hashlib.blake2b(key=secret, digest_size=_TAG)
        self._lifetime = nonce_lifetime
        self._algorithms = tuple(algorithms)
        self._qop = frozenset(qop)
        self._before_nonce = f"Digest realm={quote_string(realm)}, nonce="
        self._offered_qop = f', qop="{",".join(qop)}"' if qop else ""
        self._at_realm = f"@{realm}"
        self._serials = count(1)
        self._chances = count(1)
        self._used = UsedNonces(nonces_remembered)
        self._strangers_amf = strangers_amf
        self._gets_keys = gets_keys
        self.accepted = self.missing = self.stale = self.wrong = 0
        self.resynchronised = self.rejected = 0

    def verdicts(self) -> dict[str, int]:
        """How many requests fared in which way, by the value of the ``Outcome``."""
        counts = (self.accepted, self.missing, self.stale, self.wrong)
        return {outcome.value: count for outcome, count in zip(Outcome, counts, strict=True)}

    def challenges(self, now: float, user: str = "", *, host: str = "", stale: bool = False) -> list[str]:
        """Return the values of the WWW-Authenticate headers for who claims to be ``user``, at ``host``: one nonce."""
        private = self._private(user)
        rand, autn, answer = self._vector(private, now)
        stamp = (int(now) & 0xFFFFFFFF).to_bytes(_TIME, "big") + next(self._serials).to_bytes(_STAMP - _TIME, "big")
        signed = rand + autn + stamp
        nonce = base64.b64encode(signed + self._tag(signed, host, private)).decode()
        start = f'{self._before_nonce}"{nonce}", algorithm='
        end = f"{self._offered_qop}, stale=true" if stale else self._offered_qop
        if self._gets_keys(host):
            end = f'{end}, ik="{answer.ik.hex()}", ck="{answer.ck.hex()}"'
        return [f"{start}{algorithm}{end}" for algorithm in self._offered(private)]

    def verify(
        self, method: str, uri: str, credentials: Sequence[str], now: float, *, host: str = "", body: bytes = b""
    ) -> Verdict:
        """Judge a request by its credentials: the values of all its Authorization header lines."""
        for text in credentials:
            params = digest_of(text)
            # TS 24.229 section 5.1.1.2.2: a first request names the user in credentials with an empty nonce
            if params and params.get("realm") == self.realm and params.get("nonce"):
                verdict = self._judge(_Signed(method, uri, params, body), host, now)
                break
        else:
            verdict = _MISSING
        outcome = verdict.outcome
        self.accepted += outcome is Outcome.ACCEPTED
        self.missing += outcome is Outcome.MISSING
        self.stale += outcome is Outcome.STALE
        self.wrong += outcome is Outcome.WRONG
        return verdict

    def _judge(self, request: _Signed, host: str, now: float) -> Verdict:
        params = request.params
        username = params.get("username", "")
        private = self._private(username)
        nonce = self._own_nonce(params["nonce"], host, private)
        if nonce is None:
            return _STALE
        is_fresh = now - nonce.time <= self._lifetime
        if "auts" in params:
            return self._resynchronise(private, nonce, params["auts"], now) if is_fresh else _STALE
        if not params.get("response"):
            self.rejected += 1
            return _MISSING
        known = self._subscribers.answer(private, nonce.rand)
        answer = self._nobody(private, nonce.rand).answer if known is None else known
        if not self._is_right(request, private, answer) or known is None:
            return _WRONG
        if not is_fresh or not self._used.use(nonce.serial, count_of(params["nc"]) if params.get("qop") else 0):
            return _STALE
        return Verdict(Outcome.ACCEPTED, username.removesuffix(self._at_realm))

    def _is_right(self, request: _Signed, private: str, answer: Answer) -> bool:
        """Whether the response is the one that ``answer`` makes."""
        method, uri, params, body = request
        algorithm, qop = params.get("algorithm", "").upper(), params.get("qop", "").lower()
        known = AKA_ALGORITHMS.get(algorithm)
        if (
            known is None
            or algorithm not in map(str.upper, self._offered(private))
            or (qop and (qop not in self._qop or not count_of(params.get("nc", "")) or not params.get("cnonce")))
            or not same_target(params.get("uri", ""), uri)
        ):
            return False
        hashed_by = known[1]
        user = f"{params.get('username', '')}:{self.realm}:"
        ha1 = ALGORITHMS[hashed_by](user.encode("utf-8", "surrogateescape") + aka_password(algorithm, answer))
        expected = request_digest(hashed_by, method, params, ha1, body).encode()
        return hmac.compare_digest(expected, params["response"].lower().encode("utf-8", "surrogateescape"))

    def _resynchronise(self, private: str, nonce: _Nonce, text: str, now: float) -> Verdict:
        """Take the AUTS of a USIM (RFC 3310 section 3.4), once for each nonce."""
        auts = _decoded(text)
        if not self._subscribers.resynchronise(private, nonce.rand, auts, now):
            return _WRONG
        if not self._used.use(nonce.serial, 0):
            return _STALE
        self.resynchronised += 1
        return _MISSING

    def _private(self, user: str) -> str:
        return user if "@" in user else f"{user}{self._at_realm}"

    def _offered(self, private: str) -> Sequence[str]:
        subscriber = self._subscribers.by_private(private)
        own = subscriber.credentials.algorithms if subscriber and isinstance(subscriber.credentials, Aka) else ()
        return own or self._algorithms

    def _vector(self, private: str, now: float) -> Vector:
        vector = self._subscribers.vector(private, now)
        return self._nobody(private, self._chance(b"rand")) if vector is None else vector

    def _nobody(self, private: str, rand: bytes) -> Vector:
        """A vector of a USIM that there is not."""
        name = private.encode("utf-8", "surrogateescape")
        keys = Aka(self._keyed(b"k", name), self._keyed(b"opc", name), self._strangers_amf)
        return make_vector(keys, rand, self._chance(b"sqn")[:SQN_LENGTH])

    def _chance(self, purpose: bytes) -> bytes:
        return self._keyed(purpose, next(self._chances).to_bytes(8, "big"))

    def _keyed(self, purpose: bytes, text: bytes) -> bytes:
        mac = self._mac.copy()
        mac.update(purpose + b"\0" + text)
        return mac.digest()

    def _tag(self, signed: bytes, host: str, private: str) -> bytes:
        return self._keyed(b"nonce", signed + f"{host} {private}".encode("utf-8", "surrogateescape"))

    def _own_nonce(self, text: str, host: str, private: str) -> _Nonce | None:
        """What is in a nonce that was sent to ``host`` for this subscriber, None when it was not."""
        nonce = _decoded(text)
        signed = nonce[:-_TAG]
        if len(nonce) != _NONCE_LENGTH or not hmac.compare_digest(nonce[-_TAG:], self._tag(signed, host, private)):
            return None
        time = int.from_bytes(signed[_CHALLENGE : _CHALLENGE + _TIME], "big")
        return _Nonce(signed[:BLOCK], time, int.from_bytes(signed[_CHALLENGE + _TIME :], "big"))


def aka_password(algorithm: str, answer: Answer) -> bytes:
    """Return what takes the place of the password (RFC 3310 section 3.3, RFC 4169 section 3).

    In AKAv1 that is RES itself, in AKAv2 the base64 of PRF(RES || IK || CK, "http-digest-akav2-password"), where the
    PRF is HMAC with the hash of the algorithm.
    """
    version, hashed_by = AKA_ALGORITHMS[algorithm.upper()]
    if version == 1:
        return answer.res
    key = answer.res + answer.ik + answer.ck
    return base64.b64encode(hmac.digest(key, _V2_PASSWORD, _HASHES[hashed_by]))


def _decoded(text: str) -> bytes:
    """The octets that ``text`` is the base64 of, none when it is not."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""


_HASHES = {"MD5": "md5", "SHA-256": "sha256"}
