"""What a call, an agent's leg and the dispatcher may use of the engine that holds them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Sequence

    from acd.cdr import Outcome
    from acd.config import Config
    from acd.core.distributor import Distributor
    from acd.core.events import Event
    from acd.metrics import Metrics
    from acd.profiles import LastAgents, Profiles
    from acd.record import CallRecord
    from acd.speaking import Speech
    from acd.trunks import Trunks
    from acd.way import Way
    from ims_core.errors import ServiceUnavailable
    from ims_core.node import Node
    from media.api import Media


class Switchboard(Protocol):
    """The only way to the distributor."""

    distributor: Distributor

    def tell(self, event: Event) -> None:
        """Hand the distributor an event and do what it decides."""


class Context(Protocol):
    """The engine, as far as its parts need it."""

    config: Config
    loop: AbstractEventLoop
    node: Node
    media: Media
    profiles: Profiles
    last_agents: LastAgents
    trunks: Trunks
    metrics: Metrics
    speech: Speech | None

    @property
    def dispatcher(self) -> Switchboard:
        """Where offers and agents are told about."""

    @property
    def refusal(self) -> ServiceUnavailable:
        """What callers get who come too late."""

    def flush(self) -> None:
        """Send what a session has been made to send."""

    def follow(self, call_id: str, sip_call_id: str) -> None:
        """Count the messages of a dialog to the trace of a call."""

    def ways_to_user(self, user: str, caller: str = "", name: str = "") -> Sequence[Way]:
        """Return the ways to a user's phone, best first. Raises ``SipError`` when there is none.

        Where the phone is outside, ``caller`` is the number shown there, and ``name`` what stands before it.
        """

    def refuses(self, queue_id: str) -> Outcome | None:
        """Return why a caller is not let into the queue now, None if he is."""

    def recording_path(self, record: CallRecord) -> str:
        """Return where to record a call."""
