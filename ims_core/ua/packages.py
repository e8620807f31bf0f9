"""What an event package adds to the framework (RFC 6665 section 5)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from ims_core.messages.message import Request


class Lifetimes(NamedTuple):
    """How long subscriptions last, in seconds: without a wish, at least, and at most (RFC 6665 section 5.4.4)."""

    default: int = 3600
    least: int = 60
    most: int = 7200


class Admission(NamedTuple):
    """Who subscribes to what: ``resource`` names the state; ``subscriber`` whose subscriptions are counted together.

    ``pending`` leaves the decision open: nothing is told until ``Subscription.approve``.
    """

    resource: str
    subscriber: str
    pending: bool = False


class StateSource(Protocol):
    """What a subscription tells of. ``content_type`` is what the bodies are."""

    name: str
    content_type: str

    def state(self, resource: str, version: int, changes: list[object] | None) -> bytes:
        """Write the body of a NOTIFY: the whole state for ``changes`` None, else what changed if that can be told.

        ``version`` counts the bodies of one subscription from 0 (RFC 6665 section 5.3.2).
        """


class EventPackage(StateSource, Protocol):
    """One event package as a notifier serves it.

    ``least_interval`` is the seconds between two NOTIFYs of one subscription (RFC 6665 section 5.4.10).
    """

    lifetimes: Lifetimes
    least_interval: float

    def admit(self, request: Request, identity: str) -> Admission:
        """Decide about a new SUBSCRIBE; ``identity`` is who the sender proved to be, empty for anybody.

        Raises ``SipError``: 403, 404 and the like.
        """
