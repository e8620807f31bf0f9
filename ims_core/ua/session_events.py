"""What a session tells its owner. Session descriptions are opaque bytes, empty when there is none."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple


class Ringing(NamedTuple):
    """A provisional response came: ``status`` 101 to 199, ``sdp`` for early media.

    ``reliable``: ``sdp`` is the answer for good (RFC 3262 section 5), or, when the INVITE carried no offer, one that
    ``acknowledge`` must answer. Forks tell theirs each: ``OutgoingCall.forks``.
    """

    status: int
    sdp: bytes
    reliable: bool = False


class Answered(NamedTuple):
    """A call of ours was answered; ``sdp`` is how the peer describes the session, told before or not.

    When neither the INVITE nor what followed it carried an offer, ``sdp`` is one: ``acknowledge`` must follow.
    """

    sdp: bytes


class Rejected(NamedTuple):
    """A call of ours failed; ``status`` is 408 when nobody answered and 503 when nobody could be reached."""

    status: int
    reason: str


class Acknowledged(NamedTuple):
    """The ACK for our 2xx came; ``sdp`` is the answer when the 2xx carried the offer.

    After a re-INVITE it is told in that case only.
    """

    sdp: bytes


class EarlyAnswered(NamedTuple):
    """The PRACK for a provisional response of ours brought the answer to the offer in it."""

    sdp: bytes


class Reoffered(NamedTuple):
    """The peer makes an offer by re-INVITE, UPDATE or PRACK: ``accept_offer`` or ``refuse_offer`` must follow.

    Empty ``sdp``: a re-INVITE that asks for our offer.
    """

    sdp: bytes


class Reanswered(NamedTuple):
    """The peer took our ``reinvite`` or ``update``. If that was no offer, ``sdp`` is: ``acknowledge`` must follow."""

    sdp: bytes


class OfferRefused(NamedTuple):
    """The peer refused our ``reinvite`` or ``update``; the session goes on as it was (RFC 3261 14.1)."""

    status: int
    reason: str


class InfoReceived(NamedTuple):
    """An INFO came and was answered with 200 (RFC 6086, legacy use)."""

    content_type: str
    body: bytes


class MessageReceived(NamedTuple):
    """A MESSAGE came within the dialog and was answered with 200 (RFC 3428)."""

    content_type: str
    body: bytes


class MethodRefused(NamedTuple):
    """The peer asked for something within the call that nobody here serves, say REFER.

    ``status`` is 405 or 501, and 415 for an INFO with a body that nobody here reads.
    """

    method: str
    status: int


class Ended(NamedTuple):
    """The session is over. ``by_peer`` tells who ended it, ``reason`` why, in words for a record."""

    by_peer: bool
    reason: str


SessionEvent = (
    Ringing
    | Answered
    | Rejected
    | Acknowledged
    | EarlyAnswered
    | Reoffered
    | Reanswered
    | OfferRefused
    | InfoReceived
    | MethodRefused
    | MessageReceived
    | Ended
)
EventHandler = Callable[[SessionEvent], None]


def ignore(_: SessionEvent) -> None:
    """Be told something when nobody is listening (any more)."""
