"""What is forwarded, where to, and what goes along with it on the way there and back."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from ims_core.messages.message import Request, Response
from ims_core.proxy.forking import Target


class Companion(Protocol):
    """Goes along with one forwarded request: what a role of IMS does to its responses, and when it fails."""

    def returned(self, response: Response) -> None:
        """Edit, in place, a response that may be passed back: each that is, and finals of which the best will be."""

    def instead(self, status: int) -> Forward | ToService | None:
        """Return another way to go on when all targets have failed, ``status`` being the best (408: none answered).

        None: pass the failure back. It is not asked once the sender gave up or was told anything but 100. Raises
        the ``SipError`` that the sender is told instead.
        """


class Forward(NamedTuple):
    """Proxy a request to all ``targets``: ``request`` in place of the one that came, where it is to be another.

    ``companion`` goes along. With ``patience`` a target that has not answered at all for so many seconds has failed.
    """

    targets: tuple[Target, ...]
    request: Request | None = None
    companion: Companion | None = None
    patience: float = 0.0


class ToService(NamedTuple):
    """Hand the request, sent by ``identity``, to a service in this process; ``HERE`` is the element itself.

    ``request`` takes the place of the one that came, where it is to be another.
    """

    name: str
    identity: str = ""
    request: Request | None = None


class Passing(NamedTuple):
    """A request within a proxied dialog as it is to go on, and what goes along with it."""

    request: Request
    companion: Companion | None = None
