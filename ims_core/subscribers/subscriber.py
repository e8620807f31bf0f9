"""What is known of a subscriber, and the port by which it is asked for."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from ims_core.structs import Value
from ims_core.subscribers.identities import PublicIdentity

ImplicitSet = tuple[PublicIdentity, ...]
"""The public identities that are registered together (TS 23.228 section 4.3.3.4)."""


class Aka(Value):
    """What a USIM holds as well: the key, the operator's constant OPc and the field AMF (TS 35.206, TS 33.102).

    ``algorithms`` are those of Digest AKA that this subscriber is offered, in this order; empty for those that
    everybody is. ``aka`` makes one from hexadecimal text.
    """

    k: bytes
    opc: bytes
    amf: bytes
    algorithms: tuple[str, ...] = ()


class Password(Value):
    """A password of SIP digest (TS 33.203 Annex N), with the algorithms offered, empty for everybody's."""

    password: str
    algorithms: tuple[str, ...] = ()


class Subscriber(Value):
    """One private user identity (``user@domain``, TS 23.003 section 13.3) with its implicit registration sets."""

    private: str
    credentials: Aka | Password
    sets: tuple[ImplicitSet, ...]


class Found(NamedTuple):
    """Who a public identity belongs to.

    ``identity`` is the one that matched, which may be a wildcarded one; ``set`` the implicit set that it is part of.
    A shared identity (TS 23.228 section 4.3.3.4) belongs to all of ``privates``, of which ``subscriber`` is the first.
    """

    subscriber: Subscriber
    set: ImplicitSet
    identity: PublicIdentity
    privates: tuple[str, ...]

    @property
    def default(self) -> PublicIdentity | None:
        """The default public identity of the set: see ``default_of``."""
        return default_of(self.set)


class Answer(NamedTuple):
    """What a USIM makes of a RAND: the response that proves it (8 bytes), and the keys it agrees on (16 each)."""

    res: bytes
    ck: bytes
    ik: bytes


class Vector(NamedTuple):
    """An authentication vector (TS 33.102 section 6.3.2): a challenge of 16 and 16 bytes, and its right answer."""

    rand: bytes
    autn: bytes
    answer: Answer


class Subscribers(Protocol):
    """Where an S-CSCF knows its subscribers from: what it asks an HSS on Cx (TS 29.228 section 6.1 and 6.3).

    All answer at once, from what is here. A source behind HTTP or Diameter keeps what the HSS told it for as long as it
    may: ``by_private`` and ``by_public`` out of the user profiles of Server-Assignment, ``vector`` out of a batch
    fetched by Multimedia-Auth (SIP-Number-Auth-Items) and refilled in the background, ``answer`` out of the vectors it
    handed out and remembers until they are answered or expire; ``resynchronise`` is the Multimedia-Auth that carries
    RAND and AUTS. All raise ``ServerTimeout`` (504) where nobody can tell, or not yet: the phone repeats its request.
    """

    def by_private(self, private: str) -> Subscriber | None:
        """The subscriber with this private identity."""

    def by_public(self, uri: str) -> Found | None:
        """Who a ``canonical`` public identity belongs to: an exact match first, then wildcarded ones.

        ``sip:+86…@…`` and ``tel:+86…`` of one number are one, whichever of them is in the set.
        """

    def vector(self, private: str, now: float) -> Vector | None:
        """A fresh vector, which takes a sequence number; None for who has no keys of AKA."""

    def answer(self, private: str, rand: bytes) -> Answer | None:
        """The right answer to the RAND of a vector that was handed out; None for who has no keys of AKA."""

    def resynchronise(self, private: str, rand: bytes, auts: bytes, now: float) -> bool:
        """Take the sequence number that a USIM tells in the AUTS for ``rand``; False when AUTS is not its own.

        The next vector is one that this USIM takes (TS 33.102 section 6.3.5).
        """


def default_of(implicit: ImplicitSet) -> PublicIdentity | None:
    """The default public identity of a set: the first that is not barred (TS 24.229 section 5.4.1.2.2), nor wild."""
    return next((identity for identity in implicit if not identity.barred and not identity.wildcard), None)
