"""The media workers, or rtpengines, by HTTP.

GET /api/v1/media/workers
POST /api/v1/media/workers
DELETE /api/v1/media/workers/{name}
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from litestar import delete, get, post
from litestar.exceptions import ClientException, NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.params import JSONBody, PathParameter
from msgspec import Meta, Struct

from acd.config.addresses import HostPort
from acd.http import Items
from acd.mediaside import Backend
from acd.problems import problems
from media.api import MediaError, Member
from media.rtpengine.backend import RtpengineMedia
from media.rtpengine.settings import Node


class Addition(Struct, frozen=True, forbid_unknown_fields=True):
    """Another worker, which needs no words, or the address at which another rtpengine takes commands."""

    address: str = ""
    weight: Annotated[int, Meta(ge=1, le=65535)] = 1


def media_routes(media: Backend) -> Sequence[HTTPRouteHandler]:
    """Return the handlers."""

    @get("/api/v1/media/workers", summary="Media workers, or rtpengines, and their legs", sync_to_thread=False)
    def show() -> Items[Member]:
        return Items(media.members())

    @post(
        "/api/v1/media/workers",
        summary="Start another media worker, or use another rtpengine",
        sync_to_thread=False,
        responses=problems(400, 409),
    )
    def add(data: JSONBody[Addition | None] = None) -> Member:
        """Spread new legs over it as well, as soon as it serves; until the configuration names others."""
        addition = data or Addition()
        try:
            if isinstance(media, RtpengineMedia):
                return media.add(_node(addition))
            if addition.address:
                raise ClientException("address: a media worker has none; rtpengines are not in use")
            return media.add()
        except MediaError as error:
            raise ClientException(str(error), status_code=409) from None

    @delete(
        "/api/v1/media/workers/{name:str}",
        summary="Drain a media worker, or an rtpengine",
        status_code=202,
        sync_to_thread=False,
        responses=problems(404, 409),
    )
    def drain(name: Annotated[str, PathParameter(description="the name")]) -> Member:
        """Open no more legs there; it goes when its last one has ended."""
        try:
            return media.drain(name)
        except KeyError:
            raise NotFoundException(f"no media worker {name!r}") from None
        except MediaError as error:
            raise ClientException(str(error), status_code=409) from None

    return [show, add, drain]


def _node(data: Addition) -> Node:
    try:
        address = HostPort.parse(data.address)
    except ValueError as error:
        raise ClientException(f"address: expected {error}") from None
    return Node(host=address.host, port=address.port, weight=data.weight)
