"""What a role decides about a request; a refusal is raised as the ``SipError`` its sender gets."""

from __future__ import annotations

from typing import Final, NamedTuple

from ims_core.proxy.proxy import Target

HERE: Final = "here"  # this element itself answers: REGISTER aside, an OPTIONS or a method it does not serve


class ToScscf(NamedTuple):
    """The first hop admits the request, sent by ``identity`` (empty: a stranger whom nobody asked)."""

    identity: str


class Forward(NamedTuple):
    """Proxy the request to all targets."""

    targets: tuple[Target, ...]


class ToService(NamedTuple):
    """Hand the request to an application server in this process; ``HERE`` is the element itself."""

    name: str


Decision = Forward | ToService
