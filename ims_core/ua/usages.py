"""What dialogs are used for besides calls (RFC 5057): subscriptions, ours and those of peers.

A usage of its own has a dialog of its own. Those that a REFER makes share the dialog of the call that it came in, and
may outlive that call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from ims_core.errors import BadEvent, MethodNotAllowed, NoSuchDialog
from ims_core.ua.event_headers import parse_event

if TYPE_CHECKING:
    from ims_core.flow import Flow
    from ims_core.locate.courier import Courier, Hop
    from ims_core.messages.message import Request
    from ims_core.transactions.endpoint import Endpoint
    from ims_core.transactions.machines import ServerTransaction
    from ims_core.ua.dialog import Dialog

DialogId = tuple[str, str]
UsageKey = tuple[str, str, str]
"""The method that the usage receives (SUBSCRIBE or NOTIFY), the event package and the ``id`` of the Event."""

REFER_PACKAGE = "refer"
ALLOW_IN_SUBSCRIPTIONS = "SUBSCRIBE, NOTIFY, OPTIONS"


class Usage(Protocol):
    """A subscription, seen from the side that provides or from the one that wants it."""

    dialog_id: DialogId
    key: UsageKey

    def receive(self, transaction: ServerTransaction, request: Request) -> None:
        """Take a SUBSCRIBE or NOTIFY meant for it. Raises ``SipError``."""


class Context(Protocol):
    """What usages need of the user agent they live in."""

    endpoint: Endpoint
    courier: Courier
    usages: Usages

    def way_to_peer(self, dialog: Dialog) -> Hop:
        """Return where requests within ``dialog`` are to be sent."""

    def contact_for(self, flow: Flow, user: str) -> str:
        """Return the Contact value that reaches us through ``flow``'s listener."""


class Usages:
    """Finds the usage that a request within a dialog is for."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._dialogs: dict[DialogId, dict[UsageKey, Usage]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._dialogs.values()))

    def __contains__(self, dialog_id: DialogId) -> bool:
        return dialog_id in self._dialogs

    def add(self, usage: Usage) -> None:
        """Have requests for ``usage`` found."""
        self._dialogs.setdefault(usage.dialog_id, {})[usage.key] = usage

    def remove(self, usage: Usage) -> None:
        """Forget ``usage``; does nothing when it is not there."""
        shared = self._dialogs.get(usage.dialog_id)
        if shared is not None and shared.get(usage.key) is usage:
            del shared[usage.key]
            if not shared:
                del self._dialogs[usage.dialog_id]

    def receive(self, transaction: ServerTransaction, request: Request) -> None:
        """Hand a request within a dialog to the usage it is for.

        Raises ``NoSuchDialog`` when there is none, ``BadEvent`` without an Event, ``MethodNotAllowed`` for what
        subscriptions do not know.
        """
        shared = self._dialogs.get((request.call_id, request.to_tag))
        if shared is None:
            raise NoSuchDialog
        if request.method == "OPTIONS":
            self._endpoint.reply(transaction, 200, headers=(("Allow", ALLOW_IN_SUBSCRIPTIONS),))
            return
        if request.method not in {"SUBSCRIBE", "NOTIFY"}:
            raise MethodNotAllowed(headers=(("Allow", ALLOW_IN_SUBSCRIPTIONS),))
        value = request.get("Event")
        if value is None:
            raise BadEvent("Missing Event header")
        event = parse_event(value)
        usage = shared.get((request.method, event.package, event.id))
        if usage is None and event.package == REFER_PACKAGE and not event.id:
            # RFC 3515 2.4.6: the id may be left out for the first REFER of a dialog
            usage = next((found for key, found in shared.items() if key[:2] == (request.method, REFER_PACKAGE)), None)
        if usage is None:
            raise NoSuchDialog("No such subscription")
        usage.receive(transaction, request)
