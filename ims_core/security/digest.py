"""Digest authentication, both sides (RFC 7616 and RFC 8760; RFC 2617 as RFC 3261 section 22.4 uses it)."""

from __future__ import annotations

import hashlib
import hmac
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum
from itertools import count
from typing import ClassVar, Final, Protocol

from ims_core.errors import SipError
from ims_core.messages.headers import quote_string
from ims_core.messages.uri import parse_uri
from ims_core.remembering import Remembered
from ims_core.security.params import count_of, parse_digest
from ims_core.structs import Value


def _hash_by(empty: hashlib._Hash) -> Callable[[bytes], str]:
    """Return what hashes with copies of ``empty``: to look up the algorithm takes longer than to hash."""

    def hash_of(data: bytes) -> str:
        hashed = empty.copy()
        hashed.update(data)
        return hashed.hexdigest()

    return hash_of


ALGORITHMS: Final[dict[str, Callable[[bytes], str]]] = {
    "MD5": _hash_by(hashlib.md5(usedforsecurity=False)),
    "SHA-256": _hash_by(hashlib.sha256()),
    "SHA-512-256": lambda data: hashlib.new("sha512_256", data).hexdigest(),  # which not every OpenSSL has
}
QOPS: Final = ("auth", "auth-int")
NONCES_REMEMBERED = 65536
HASHES_REMEMBERED: Final = 16384
REMEMBERED_LENGTH: Final = 256
USED_UP = 1 << 32  # above any nonce count


class Challenge(SipError):
    """The request needs credentials; ``challenges`` are values of the header field that asks for them.

    ``is_proven``: its sender showed wrong ones, for a nonce that was sent to where he says he is.
    """

    asks_in: ClassVar[str]

    def __init__(self, challenges: Iterable[str], *, is_proven: bool) -> None:
        headers = [(self.asks_in, value) for value in challenges]
        super().__init__(headers=tuple(headers))
        self.is_proven = is_proven


class Unauthorized(Challenge):
    """The request needs user authentication (21.4.2)."""

    status = 401
    asks_in = "WWW-Authenticate"


class ProxyAuthenticationRequired(Challenge):
    """The request needs authentication with the proxy (21.4.8)."""

    status = 407
    asks_in = "Proxy-Authenticate"


class UnsupportedChallenge(Exception):
    """A challenge that cannot be answered: no Digest, or an algorithm or qop that is unknown here."""


class Outcome(Enum):
    """How a request fared; everything but ``ACCEPTED`` is answered with a fresh challenge."""

    ACCEPTED = "accepted"
    MISSING = "missing"
    """No Digest credentials for this realm: what every first request looks like."""
    STALE = "stale"
    """The nonce is not one that this host was sent, or not usable any more: challenge with ``stale=True``."""
    WRONG = "wrong"
    """Wrong password, unknown user or unusable credentials; nothing tells these apart. Whoever sent them had received
    a nonce that was sent to just this host, so the source is where it says it is."""


class Verdict(Value):
    """The outcome, with the user (without any ``@domain``) when it is ``ACCEPTED``."""

    outcome: Outcome
    user: str = ""


_MISSING, _STALE, _WRONG = Verdict(Outcome.MISSING), Verdict(Outcome.STALE), Verdict(Outcome.WRONG)


class Account(Protocol):
    """What is known of a user who has a password and, not empty, algorithms of his own."""

    @property
    def password(self) -> str:
        """What he and we know."""

    @property
    def algorithms(self) -> Sequence[str]:
        """What he is offered in place of what everybody is."""


class DigestAuthenticator:
    """Challenges and verifies for one realm; serves 401 and 407 alike.

    A nonce is a time, a serial number and a MAC of both and of the host it is sent to, so that a challenge leaves no
    state behind. From another host it is stale, and no password is tried with it: nobody can guess under the address
    of somebody else. Only a nonce that was used with the right password is remembered, with
    its highest nonce count, to refuse replays. At most ``nonces_remembered`` are: when the oldest is forgotten, it and
    all older ones that are not remembered count as stale. A nonce used without qop serves once.

    ``account_of`` returns the account of a user, his password alone where that is all, or None. ``secret`` keys the
    MAC: take 16 random bytes or more at each start. ``nonce_lifetime`` is in seconds. ``algorithms`` are offered in
    this order, one challenge each (RFC 8760 section 2.4), to every user whose account does not name others; no other
    is accepted of him. ``qop`` is what a challenge offers of "auth" and "auth-int". ``accepted``, ``missing``,
    ``stale`` and ``wrong`` count the verdicts. Do not verify ACK or CANCEL: they carry the credentials of their
    INVITE (RFC 3261 section 22.1). Hashed usernames (RFC 7616 section 3.4.4) are not offered, and wrong when they come.
    """

    def __init__(
        self,
        realm: str,
        account_of: Callable[[str], Account | str | None],
        secret: bytes,
        *,
        nonce_lifetime: float = 300,
        algorithms: Sequence[str] = ("MD5",),
        qop: Sequence[str] = ("auth",),
        nonces_remembered: int = NONCES_REMEMBERED,
    ) -> None:
        self.realm = realm
        self._account_of = account_of
        self._nobodys_password = hmac.digest(secret, b"password", "sha256").hex()
        self._mac = hashlib.blake2s(secret, digest_size=16)  # as a prefix it is a key, and takes no block of its own
        self._lifetime = nonce_lifetime
        self._algorithms = tuple(algorithms)
        self._qop = frozenset(qop)
        self._before_nonce = f"Digest realm={quote_string(realm)}, nonce="
        self._offered_qop = f', qop="{",".join(qop)}"'
        self._at_realm = f"@{realm}"
        self._serials = count(1)
        self._used = UsedNonces(nonces_remembered)
        self.accepted = self.missing = self.stale = self.wrong = 0

    def verdicts(self) -> dict[str, int]:
        """How many requests fared in which way, by the value of the ``Outcome``."""
        counts = (self.accepted, self.missing, self.stale, self.wrong)
        return {outcome.value: count for outcome, count in zip(Outcome, counts, strict=True)}

    def challenges(self, now: float, user: str = "", *, host: str = "", stale: bool = False) -> list[str]:
        """Return the values of the WWW-Authenticate or Proxy-Authenticate headers for who claims to be ``user``.

        ``host`` is where they are sent to.
        """
        stamp = f"{int(now)}-{next(self._serials)}"
        start = f'{self._before_nonce}"{stamp}-{self._mac_of(stamp, host)}", algorithm='
        end = f"{self._offered_qop}, stale=true" if stale else self._offered_qop
        return [f"{start}{algorithm}{end}" for algorithm in self._offered(self._account_of(user))]

    def _offered(self, account: Account | str | None) -> Sequence[str]:
        own = () if account is None or isinstance(account, str) else account.algorithms
        return own or self._algorithms

    def verify(
        self, method: str, uri: str, credentials: Sequence[str], now: float, *, host: str = "", body: bytes = b""
    ) -> Verdict:
        """Judge a request by its credentials: the values of all its (Proxy-)Authorization header lines.

        ``uri`` is the Request-URI, ``host`` where the request came from, ``body`` what a qop of "auth-int" protects as
        well.
        """
        for text in credentials:
            params = parse_digest(text)
            if params and params.get("realm") == self.realm and params.get("nonce"):  # empty: TS 24.229 5.1.1.2.3
                nonce = self._own_nonce(params.get("nonce", ""), host)
                user = self._whose(method, uri, params, body) if nonce is not None else None
                if nonce is not None and user is None:
                    self.wrong += 1
                    return _WRONG
                if nonce is None or user is None or not self._use_nonce(nonce[0], nonce[1], params, now):
                    self.stale += 1
                    return _STALE
                self.accepted += 1
                return Verdict(Outcome.ACCEPTED, user)
        self.missing += 1
        return _MISSING

    def _whose(self, method: str, uri: str, params: dict[str, str], body: bytes) -> str | None:
        """The user whose password made these credentials for this request, None when they are wrong."""
        username, qop = params.get("username", ""), params.get("qop", "").lower()
        algorithm = params.get("algorithm", "MD5").upper()
        user = username.removesuffix(self._at_realm)
        account = self._account_of(user)
        if (
            algorithm not in self._offered(account)
            or (qop and (qop not in self._qop or not count_of(params.get("nc", "")) or not params.get("cnonce")))
            or not same_target(params.get("uri", ""), uri)
            or params.get("userhash", "").lower() == "true"
        ):
            return None
        # An unknown user takes the same steps with a password that nobody knows.
        known = self._nobodys_password if account is None else account
        a1 = f"{username}:{self.realm}:{known if isinstance(known, str) else known.password}"
        expected = _response(algorithm, method, params, a1, body).encode()
        right = hmac.compare_digest(expected, params.get("response", "").lower().encode("utf-8", "surrogateescape"))
        return user if right and account is not None else None

    def _mac_of(self, stamp: str, host: str) -> str:
        mac = self._mac.copy()
        mac.update(f"{stamp} {host}".encode())
        return mac.hexdigest()

    def _own_nonce(self, nonce: str, host: str) -> tuple[int, int] | None:
        """The time and the serial number of a nonce that was sent to ``host``, None when it was not."""
        stamp, _, mac = nonce.rpartition("-")
        if not (nonce.isascii() and hmac.compare_digest(mac, self._mac_of(stamp, host))):
            return None
        time, _, serial = stamp.partition("-")  # as we wrote it, since the MAC is ours
        return int(time), int(serial)

    def _use_nonce(self, time: int, serial: int, params: dict[str, str], now: float) -> bool:
        """Whether a nonce of ours is fresh and not yet used with this or a higher count; remembers the use."""
        if now - time > self._lifetime:
            return False
        return self._used.use(serial, count_of(params["nc"]) if params.get("qop") else 0)


class UsedNonces:
    """Which nonces were used, and how often: at most ``limit`` of them, each by its serial number.

    When the oldest is forgotten, it and all older ones that are not remembered count as used.
    """

    def __init__(self, limit: int = NONCES_REMEMBERED) -> None:
        self._counts: OrderedDict[int, int] = OrderedDict()
        self._limit = limit
        self._forgotten = 0

    def __len__(self) -> int:
        return len(self._counts)

    def use(self, serial: int, nc: int) -> bool:
        """Whether a nonce was not yet used with this or a higher count; 0 uses it up, since it is used without one."""
        used = self._counts.get(serial)
        if used is None:
            if serial <= self._forgotten:
                return False
            if len(self._counts) >= self._limit:
                self._forgotten = max(self._forgotten, self._counts.popitem(last=False)[0])
        elif nc <= used:
            return False
        self._counts[serial] = nc or USED_UP
        return True


def answer_challenges(
    challenges: Sequence[str],
    method: str,
    uri: str,
    user: str,
    password: str,
    *,
    cnonce: str,
    nc: int = 1,
    body: bytes = b"",
) -> list[str]:
    """Return the credentials that answer the values of all Authenticate headers of one name: one for each realm.

    Of the challenges of a realm the topmost that can be answered is taken (RFC 8760 section 2.4). Raises
    ``UnsupportedChallenge`` when a realm has none.
    """
    answers: dict[str, str | UnsupportedChallenge] = {}
    for challenge in challenges:
        params = parse_digest(challenge) or {}
        realm = params.get("realm", "")
        if not isinstance(answers.get(realm), str):
            try:
                answers[realm] = answer_challenge(
                    challenge, method, uri, user, password, cnonce=cnonce, nc=nc, body=body
                )
            except UnsupportedChallenge as error:
                answers[realm] = error
    found = []
    for answer in answers.values():
        if isinstance(answer, UnsupportedChallenge):
            raise answer
        found.append(answer)
    if not found:
        raise UnsupportedChallenge("no challenge")
    return found


def challenged_realm(challenge: str) -> str:
    """Return the realm of a challenge, empty when it names none."""
    return (parse_digest(challenge) or {}).get("realm", "")


def is_stale(challenge: str) -> bool:
    """Whether a challenge says that only the nonce was too old (RFC 7616 section 3.3)."""
    return (parse_digest(challenge) or {}).get("stale", "").lower() == "true"


def answer_challenge(
    challenge: str, method: str, uri: str, user: str, password: str, *, cnonce: str, nc: int = 1, body: bytes = b""
) -> str:
    """Return the credentials that answer ``challenge`` (the value of one Authenticate header).

    They go into Authorization for a 401 and into Proxy-Authorization for a 407. ``cnonce`` is a fresh random
    string, ``nc`` how often this nonce has been answered, this time included. ``body`` is protected where the
    challenge asks for no less than "auth-int". Raises ``UnsupportedChallenge``.
    """
    params = parse_digest(challenge)
    if params is None or "realm" not in params or "nonce" not in params:
        raise UnsupportedChallenge("not a Digest challenge")
    algorithm = params.get("algorithm", "MD5").upper()
    if algorithm not in ALGORITHMS:
        raise UnsupportedChallenge(f"algorithm {algorithm}")
    offered = [qop.strip().lower() for qop in params.get("qop", "").split(",") if qop.strip()]
    qop = next((known for known in QOPS if known in offered), "")
    if offered and not qop:
        raise UnsupportedChallenge(f"qop {params['qop']}")
    answer = {"nonce": params["nonce"], "uri": uri, "qop": qop, "cnonce": cnonce, "nc": f"{nc:08x}"}
    response = _response(algorithm, method, answer, f"{user}:{params['realm']}:{password}", body)
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
    if qop:
        fields.append(f"qop={qop}, nc={answer['nc']}, cnonce={quote_string(cnonce)}")
    return "Digest " + ", ".join(fields)


def _response(algorithm: str, method: str, params: dict[str, str], a1: str, body: bytes) -> str:
    ha1 = _hash_of_known(algorithm, a1)
    return request_digest(algorithm, method, params, ha1, body)


def request_digest(algorithm: str, method: str, params: Mapping[str, str], ha1: str, body: bytes) -> str:
    """Return the right response to ``params`` by the hash of A1 (RFC 7616 section 3.4.1).

    Without qop it is that of RFC 2069, which RFC 2617 still allows.
    """
    qop, a2 = params.get("qop"), f"{method}:{params.get('uri', '')}"
    middle = params.get("nonce", "")
    if qop:
        middle = f"{middle}:{params['nc']}:{params['cnonce']}:{qop}"
        if qop.lower() == "auth-int":
            a2 = f"{a2}:{ALGORITHMS[algorithm](body)}"
    ha2 = _hash_of_known(algorithm, a2)
    return _hash(algorithm, f"{ha1}:{middle}:{ha2}")


def _hash(algorithm: str, text: str) -> str:
    return ALGORITHMS[algorithm](text.encode("utf-8", "surrogateescape"))


def _hash_of_known(algorithm: str, text: str) -> str:
    """Hash what comes again with the next request."""
    return _HASHES.of((algorithm, text)) if len(text) <= REMEMBERED_LENGTH else _hash(algorithm, text)


_HASHES: Final[Remembered[tuple[str, str], str]] = Remembered(lambda key: _hash(*key), HASHES_REMEMBERED)


def same_target(digest_uri: str, request_uri: str) -> bool:
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
