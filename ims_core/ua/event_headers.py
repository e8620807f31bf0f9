"""The header fields of event notification: Event and Subscription-State (RFC 6665 section 8)."""

from __future__ import annotations

from typing import Final, NamedTuple

from ims_core.errors import BadRequest
from ims_core.messages.headers import TOKEN, parse_params, split_params
from ims_core.messages.message import Message

# Where a subscription stands, as the notifier tells it (RFC 6665 section 4.1.3)
ACTIVE: Final = "active"
PENDING: Final = "pending"
TERMINATED: Final = "terminated"

MOST_SECONDS: Final = 2**32 - 1  # RFC 3261 section 25.1: delta-seconds


class Event(NamedTuple):
    """An Event value: the package, templates included, and what tells subscriptions of one dialog apart.

    ``params`` holds all parameters, ``id`` among them.
    """

    package: str
    id: str
    params: dict[str, str]

    @property
    def key(self) -> tuple[str, str]:
        """What two Event values of one subscription have in common (RFC 6665 section 8.2.1)."""
        return self.package, self.id

    def __str__(self) -> str:
        return f"{self.package};id={self.id}" if self.id else self.package


def parse_event(text: str) -> Event:
    """Parse an Event value; names of packages are compared as they are spelled. Raises ``BadRequest``."""
    package, *rest = split_params(text)
    package = package.strip()
    if not package or not TOKEN.issuperset(package):
        raise BadRequest("Malformed Event")
    params = parse_params(rest)
    return Event(package, params.get("id", ""), params)


class SubscriptionState(NamedTuple):
    """A Subscription-State value; ``expires`` and ``retry_after`` are in seconds, None where nothing was said."""

    state: str
    reason: str = ""
    expires: int | None = None
    retry_after: int | None = None

    def __str__(self) -> str:
        parts = [self.state]
        if self.reason:
            parts.append(f"reason={self.reason}")
        if self.expires is not None:
            parts.append(f"expires={self.expires}")
        if self.retry_after is not None:
            parts.append(f"retry-after={self.retry_after}")
        return ";".join(parts)


def parse_subscription_state(text: str) -> SubscriptionState:
    """Parse a Subscription-State value; a state that nobody defined is as good as active. Raises ``BadRequest``.

    RFC 6665 section 4.1.3 has unknown reasons ignored, so they are passed on as they are.
    """
    state, *rest = split_params(text)
    state = state.strip().lower()
    if not state or not TOKEN.issuperset(state):
        raise BadRequest("Malformed Subscription-State")
    params = parse_params(rest)
    return SubscriptionState(
        state,
        params.get("reason", "").lower(),
        _seconds_of(params, "expires"),
        _seconds_of(params, "retry-after"),
    )


def _seconds_of(params: dict[str, str], name: str) -> int | None:
    return None if name not in params else parse_seconds(params[name], "Subscription-State")


def parse_seconds(text: str, where: str) -> int:
    """Parse delta-seconds; more than 2**32 − 1 counts as that (RFC 3261 20.19). Raises ``BadRequest``."""
    if not text.isascii() or not text.isdigit():
        raise BadRequest(f"Malformed {where}")
    return MOST_SECONDS if len(text) > 10 else min(int(text), MOST_SECONDS)


def expires_of(message: Message) -> int | None:
    """Return the Expires of a message in seconds, None when it has none. Raises ``BadRequest``."""
    value = message.get("Expires")
    return None if value is None else parse_seconds(value, "Expires")


def retry_after_of(message: Message) -> int | None:
    """Return the Retry-After of a message in seconds; None when it has none that can be read (20.33)."""
    value = (message.get("Retry-After") or "").partition(";")[0].partition("(")[0].strip()
    return min(int(value), MOST_SECONDS) if value.isascii() and value.isdigit() and len(value) <= 10 else None


def media_type(message: Message) -> str:
    """Return the Content-Type without parameters, lower case; empty when there is none."""
    return (message.get("Content-Type") or "").partition(";")[0].strip().lower()


def accepts(message: Message, offered: str) -> bool:
    """Whether a request takes bodies of type ``offered``; one without Accept takes the default of its package."""
    if "accept" not in message.keys:
        return True
    wanted = {value.partition(";")[0].strip().lower() for value in message.values("Accept")}
    return not wanted.isdisjoint((offered, f"{offered.partition('/')[0]}/*", "*/*"))
