"""GET /api/v1/trunks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from litestar import get
from litestar.handlers import HTTPRouteHandler

from acd.http import Items
from acd.trunkview import TrunkView

if TYPE_CHECKING:
    from ims_core.trunks.trunk import Trunk


def trunk_routes(trunks: Callable[[], Mapping[str, Trunk]]) -> Sequence[HTTPRouteHandler]:
    """Return the handlers."""

    @get("/api/v1/trunks", summary="Trunks: their servers, registrations and calls", sync_to_thread=False)
    def show() -> Items[TrunkView]:
        return Items([TrunkView.of(trunk) for trunk in trunks().values()])

    return [show]
