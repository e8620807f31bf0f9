"""Emergency calls in a configuration, and who is sent to the circuit-switched network."""

from collections.abc import Mapping
from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from acd.config.values import Dialled, Identifier, Text

ServiceName = Annotated[
    str,
    Meta(
        pattern=r"^sos(\.[a-z0-9]([a-z0-9-]{0,25}[a-z0-9])?)*\Z",
        max_length=100,
        description='an emergency service as its URN names it, like "sos" or "sos.fire"',
    ),
]


class Emergency(Struct, frozen=True, kw_only=True):
    """Which calls are for an emergency service, and by which trunks they go; without trunks they are answered 380."""

    numbers: tuple[Dialled, ...] = ("110", "119", "120", "122")
    trunks: tuple[Identifier, ...] = ()
    services: Mapping[ServiceName, Dialled] = field(default_factory=dict)
    reason: Text = "Emergency calls are not taken here"


class Fallback(Struct, frozen=True, kw_only=True):
    """What a caller is told for whom there is no trunk, so that his handset calls by the other network."""

    status: Literal[403, 404, 480, 488, 500, 503, 504, 603] = 503
