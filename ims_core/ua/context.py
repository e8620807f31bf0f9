"""What a session needs of the user agent that it lives in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from ims_core.flow import Flow
    from ims_core.locate.courier import Courier, Hop, Outbound
    from ims_core.messages.message import Request, Response
    from ims_core.setup import Measure
    from ims_core.transactions.endpoint import Endpoint
    from ims_core.transactions.machines import ServerTransaction
    from ims_core.ua.dialog import Dialog
    from ims_core.ua.session import Session
    from ims_core.ua.session_timer import TimerPolicy

ALLOW: Final = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, PRACK, UPDATE"
"""The methods that a session serves by itself."""

Headers = tuple[tuple[str, str], ...]
SessionHandler = Callable[["Session", "ServerTransaction", "Request"], None]
"""Serves a request within a session: must answer the transaction, or raise ``SipError`` for it to be answered with."""


class TransactionUser(Protocol):
    """Who has sent a request through the user agent: a session, a subscription, a ping and so on."""

    def receive_response(self, transaction: Outbound, response: Response) -> None:
        """Take a response."""

    def request_failed(self, transaction: Outbound, cause: str) -> None:
        """Take note that there will be none."""


class Context(Protocol):
    """What a session needs of the user agent it lives in.

    ``counts`` has what is worth a metric: ``"491"`` sent or received, sessions ended by their ``"timer"``. Responses
    say what is ``supported``, INVITEs what is ``offered`` of it. An INFO may carry a body of the types ``info_bodies``,
    of any if there are none. ``on_set_up``, if there is one, is told how long the
    set-up of each call takes.
    """

    endpoint: Endpoint
    courier: Courier
    allow: str
    supported: str
    offered: str
    options: set[str]
    info_bodies: tuple[str, ...]
    counts: Counter[str]
    on_set_up: Measure | None

    @property
    def session_timers(self) -> TimerPolicy | None:
        """What is wanted of session timers; None: nothing."""

    def handler(self, method: str) -> SessionHandler | None:
        """Return who serves requests of ``method`` within sessions, beyond what sessions know themselves."""

    def way_to_peer(self, dialog: Dialog) -> Hop:
        """Return where requests within ``dialog`` are to be sent."""

    def contact_for(self, flow: Flow, user: str, *, secure: bool = False) -> str:
        """Return the Contact value that reaches us through ``flow``'s listener.

        ``secure``: the request is for a SIPS URI, and so must the Contact be (RFC 3261 8.1.1.8 and 12.1.1).
        """

    def opened(self, session: Session) -> None:
        """Register the session under its dialog id."""

    def changed(self, session: Session) -> None:
        """Take note that the session has come further: it rings, or was answered."""

    def closed(self, session: Session, cause: str, code: int | None) -> None:
        """Forget the session; ``cause`` and the status ``code`` are those of RFC 4235 section 4.1.2."""
