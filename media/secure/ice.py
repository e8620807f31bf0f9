"""ICE-lite (RFC 8445 2.5, RFC 8839): who sends to us is known by the checks that the other side makes.

A plain object: datagrams with their source go in, answers come out.
"""

from __future__ import annotations

import hmac
from typing import Final

from media.rtp.stream import Ice
from media.secure import stun
from media.secure.stun import Address

MAX_PAIRS: Final = 32
"""Candidates of one peer that may send; the one checked longest ago gives way to another."""
MAX_TRANSACTIONS: Final = 256
"""Checks that are remembered, so that none of them counts again from somewhere else."""
ROLE_CONFLICT: Final = 487
UNAUTHENTICATED: Final = 401
BAD_REQUEST: Final = 400
UNKNOWN_ATTRIBUTE: Final = 420


class LiteAgent:
    """Answers checks, and knows from where media may come and where it goes.

    A source that has passed a check is valid; the one nominated last is `selected` (RFC 8445 7.3.1.5). What shows no
    knowledge of our password changes nothing and is remembered nowhere. Consent is given by answering (RFC 7675 5.1):
    each answer is a check like the first one. A check that comes again from another source was overheard, and gets no
    answer. `refused` counts those, and what was answered with an error.
    """

    __slots__ = ("_expected", "_nominated", "_password", "_sources", "_user", "refused", "selected", "valid")

    def __init__(self, credentials: Ice) -> None:
        self.valid: dict[Address, bytes] = {}  # with the user name of the check
        self.selected: Address | None = None
        self.refused = 0
        self._sources: dict[bytes, Address] = {}
        self._nominated: dict[bytes, Address] = {}  # by each of several peers, as long as no description tells which
        self._user = self._expected = b""
        self.use(credentials)

    def use(self, credentials: Ice) -> None:
        """Take credentials from a later description.

        Other ones restart ICE (RFC 8445 9): media goes on as it was until another pair is nominated. The first ones of
        the peer's tell who of those that have made checks it is; the others are strangers from then on.
        """
        was_anybody = self._expected == self._user
        self._user = f"{credentials.local_ufrag}:".encode()
        self._expected = f"{credentials.local_ufrag}:{credentials.remote_ufrag}".encode()
        self._password = credentials.local_pwd.encode()
        if was_anybody and self._expected != self._user:
            self.valid = {each: user for each, user in self.valid.items() if user == self._expected}
            self.selected = self._nominated.get(self._expected)
            self._nominated.clear()

    def receive(self, data: bytes, source: Address) -> bytes | None:
        """Take a datagram that looks like STUN and return the answer to it, if it gets one.

        Raises `stun.Malformed` for what is none.
        """
        message = stun.read(data)
        if message.kind != stun.BINDING_REQUEST:
            return None  # we ask nothing, so there are no responses to us; indications need no answer
        refusal = self._refusal(message)
        if refusal is not None:
            self.refused += 1
            return refusal
        if self._sources.setdefault(message.transaction, source) != source:
            self.refused += 1
            return None
        if len(self._sources) > MAX_TRANSACTIONS:
            del self._sources[next(iter(self._sources))]
        self.valid.pop(source, None)
        if len(self.valid) == MAX_PAIRS:
            self.valid.pop(next(each for each in self.valid if each != self.selected))
        user = self.valid[source] = message.attributes[stun.USERNAME]
        if stun.USE_CANDIDATE in message.attributes:
            self.selected = source
            if self._expected == self._user:
                self._nominated[user] = source
                if len(self._nominated) > MAX_PAIRS:
                    del self._nominated[next(iter(self._nominated))]
        mapped = {stun.XOR_MAPPED_ADDRESS: stun.xor_address(source, message.transaction)}
        return stun.write(stun.BINDING_SUCCESS, message.transaction, mapped, self._password)

    def sources_of(self, source: Address) -> list[Address]:
        """Return all valid sources of whoever is at this one; the fragment tells, until there is but one peer."""
        if self._expected != self._user:
            return list(self.valid)
        user = self.valid.get(source)
        return [each for each, other in self.valid.items() if other == user]

    def _refusal(self, message: stun.Message) -> bytes | None:
        """Return the error response that the request gets instead, if any (RFC 8489 9.1.3, 6.3.1; RFC 8445 7.3)."""
        attributes = message.attributes
        user = attributes.get(stun.USERNAME)
        if user is None or not message.covered:
            return _error(message, BAD_REQUEST, "Bad Request")
        if not self._knows(user) or not message.has_integrity(self._password):
            return _error(message, UNAUTHENTICATED, "Unauthenticated")
        if message.unknown:
            names = b"".join(name.to_bytes(2, "big") for name in message.unknown)
            more = {stun.UNKNOWN_ATTRIBUTES: names}
            return _error(message, UNKNOWN_ATTRIBUTE, "Unknown Attribute", more, self._password)
        if stun.ICE_CONTROLLED in attributes:
            # A full agent facing a lite one controls (RFC 8445 6.1.1).
            return _error(message, ROLE_CONFLICT, "Role Conflict", {}, self._password)
        return None

    def _knows(self, user: bytes) -> bool:
        """Tell whether it is our fragment and the peer's; checks may come before the peer's description (7.3)."""
        if self._expected == self._user:
            return hmac.compare_digest(user[: len(self._user)], self._user)
        return hmac.compare_digest(user, self._expected)


def _error(
    message: stun.Message, code: int, reason: str, more: dict[int, bytes] | None = None, password: bytes | None = None
) -> bytes:
    attributes = {stun.ERROR_CODE: stun.error(code, reason), **(more or {})}
    return stun.write(stun.BINDING_ERROR, message.transaction, attributes, password)
