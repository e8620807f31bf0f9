"""The trunks as operators see them: by HTTP, and in the metrics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Self

from msgspec import Struct

from ims_core.trunks.registration import State
from ims_core.trunks.trunk import INBOUND, OUTBOUND, Trunk

if TYPE_CHECKING:
    from ims_core.trunks.registration import Registration


class ServerView(Struct, frozen=True, kw_only=True):
    """A server of a trunk; `up` is null until it was asked. `answered_seconds`: how long its latest answer took."""

    uri: str
    priority: int
    weight: int
    up: bool | None
    reason: str
    answered_seconds: float


class RegistrationView(Struct, frozen=True, kw_only=True):
    """Our registration with a trunk, and why there is none."""

    state: State
    reason: str
    expires_in_seconds: float

    @classmethod
    def of(cls, registration: Registration) -> Self:
        """Show a registration."""
        return cls(
            state=registration.state,
            reason=registration.reason,
            expires_in_seconds=round(registration.expires_in, 3),
        )


class TrunkView(Struct, frozen=True, kw_only=True):
    """A trunk. `up`: calls can leave by it; `calls`, `calls_under_way` and `limited` by direction, "in" and "out"."""

    id: str
    up: bool
    servers: Sequence[ServerView]
    registration: RegistrationView | None
    calls_under_way: Mapping[str, int]
    calls: Mapping[str, int]
    limited: Mapping[str, int]
    failed_over: int

    @classmethod
    def of(cls, trunk: Trunk) -> Self:
        """Show a trunk."""
        now = Counter(trunk.calls.values())
        return cls(
            id=trunk.peer.id,
            up=trunk.is_up,
            servers=[
                ServerView(
                    uri=watched.server.uri,
                    priority=watched.server.priority,
                    weight=watched.server.weight,
                    up=watched.up,
                    reason=watched.reason,
                    answered_seconds=round(watched.answered_in, 4),
                )
                for watched in trunk.servers
            ],
            registration=None if trunk.registration is None else RegistrationView.of(trunk.registration),
            calls_under_way={direction: now[direction] for direction in (INBOUND, OUTBOUND)},
            calls=dict(trunk.counted),
            limited=dict(trunk.limited),
            failed_over=trunk.left,
        )
