"""The challenged side of digest authentication: what a user agent knows of a realm, from request to request.

RFC 3261 section 22: a 401 is answered in Authorization, a 407 in Proxy-Authorization, each realm for itself; later
requests carry credentials for the same nonce with the next count, so that they are not challenged again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple

from ims_core.security.digest import UnsupportedChallenge, answer_challenges, challenged_realm, is_stale

if TYPE_CHECKING:
    from ims_core.ids import Ids
    from ims_core.messages.message import Request, Response

ANSWERED_BY: Final = {"WWW-Authenticate": "Authorization", "Proxy-Authenticate": "Proxy-Authorization"}
MOST_ROUNDS: Final = 4
"""Challenges to one request: two realms, each with a nonce that has just gone stale."""


class Credentials(NamedTuple):
    """A user and his password; empty ones answer nothing."""

    user: str
    password: str


class Challenged:
    """Signs requests of one user agent. ``fresh`` returns a fresh random text for each ``cnonce``."""

    __slots__ = ("_answered", "_challenges", "_counts", "_credentials", "_fresh", "_rounds")

    def __init__(self, credentials: Credentials, fresh: Callable[[], str]) -> None:
        self._credentials = credentials
        self._fresh = fresh
        self._challenges: dict[tuple[str, str], list[str]] = {}
        self._counts: dict[tuple[str, str], int] = {}
        self._answered: set[tuple[str, str]] = set()
        self._rounds = 0

    def begin(self) -> None:
        """A new request is made: it may be challenged anew, however often requests before were."""
        self._answered.clear()
        self._rounds = 0

    def another(self) -> Challenged:
        """Return the same for another request, which may be under way as well: what is known of realms is shared."""
        other = Challenged(self._credentials, self._fresh)
        other._challenges, other._counts = self._challenges, self._counts
        return other

    def learn(self, response: Response) -> bool:
        """Take the challenges of a 401 or 407; whether the request is worth sending again, signed.

        It is not when the same realm has just been answered: "the UAC MUST NOT re-attempt requests with the credentials
        that have just been rejected (though the request may be retried if the nonce was stale)" (RFC 3261 22.2).
        """
        found: dict[tuple[str, str], list[str]] = {}
        for name in ANSWERED_BY:
            for challenge in response.whole_values(name):
                found.setdefault((name, challenged_realm(challenge)), []).append(challenge)
        self._rounds += 1
        if not found or not self._credentials.user or self._rounds > MOST_ROUNDS:
            return False
        if not all(map(self._can_answer, found.values())):
            return False
        for key, challenges in found.items():
            if key in self._answered and not any(map(is_stale, challenges)):
                return False
            self._answered.add(key)
            self._challenges[key] = challenges
            self._counts[key] = 0
        return True

    def sign(self, request: Request) -> None:
        """Put credentials for every challenge that is known in place of those that are there."""
        for name in ANSWERED_BY.values():
            request.remove(name)
        for key, challenges in self._challenges.items():
            self._counts[key] += 1
            values = answer_challenges(
                challenges,
                request.method,
                request.uri,
                *self._credentials,
                cnonce=self._fresh(),
                nc=self._counts[key],
                body=request.body,
            )
            for value in values:
                request.add(ANSWERED_BY[key[0]], value)

    def answer(self, request: Request, response: Response) -> bool:
        """Learn from the response to ``request`` and sign it, to be sent again; False when that is of no use."""
        if not self.learn(response):
            return False
        self.sign(request)
        return True

    def _can_answer(self, challenges: list[str]) -> bool:
        try:
            return bool(answer_challenges(challenges, "", "", *self._credentials, cnonce=""))
        except UnsupportedChallenge:
            return False


def challenged_with(credentials: Credentials | None, ids: Ids) -> Challenged | None:
    """Return what answers challenges with ``credentials``; None without any."""
    return None if credentials is None else Challenged(credentials, ids.tag)


def share_credentials(invite: Request, ack: Request) -> None:
    """Put into an ACK what its INVITE has: "The ACK MUST contain the same credentials as the INVITE" (13.2.2.4)."""
    for name in ANSWERED_BY.values():
        for value in invite.whole_values(name):
            ack.add(name, value)
