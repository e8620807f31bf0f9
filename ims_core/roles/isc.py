"""The S-CSCF's side of the ISC interface: a request visits the application servers of a user's service profile.

TS 24.229 sections 5.4.3.2 and 5.4.3.3, TS 23.218 section 6. A server gets the request with a Route by which it comes
back (``original_dialog``), or may end it: what it answers is final, unless it does not serve at all. Then the *default
handling* of its criterion says whether the user has to do without it, or without his call. A server that has sent the
request back did serve; what it passes on then is the word of those who come after it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, NamedTuple
from weakref import WeakValueDictionary

from ims_core.errors import ServerTimeout
from ims_core.messages.message import Response
from ims_core.messages.uri import parse_uri
from ims_core.profiles.matching import Facts, matching
from ims_core.profiles.model import Criterion, DefaultHandling, ServiceProfile, SessionCase
from ims_core.proxy.forking import Target
from ims_core.roles.charging import TYPE_3, charging_vector, write_vector
from ims_core.roles.original_dialog import OriginalDialog, OriginalDialogs, fingerprint
from ims_core.roles.routing import Decision, Forward, ToService
from ims_core.roles.served import caller_of, serve, take_outside

if TYPE_CHECKING:
    from ims_core.messages.message import Request
    from ims_core.messages.uri import Uri
    from ims_core.subscribers.subscriber import Found

TRYING_DUE: Final = 4.0
"""Seconds after which an element has said at least 100 to anything but an INVITE (RFC 4320 section 4.1)."""

GoOn = Callable[["Served", "Request"], Decision]


class Served(NamedTuple):
    """The user whose services a request passes, in which session case, and the priorities of the criteria behind it."""

    identity: str
    found: Found
    case: SessionCase
    visited: tuple[int, ...] = ()


class ServiceControl:
    """Sends requests to application servers.

    ``profile_of`` finds a service profile by its name; ``dialogs`` writes what brings a request back. ``in_process``
    maps the URIs of servers that are services of this process to their names. Of all others, those for whose URIs
    ``trusts`` says so are in the trust domain: they are told for whom they are asked. Who does not answer at all within
    ``patience`` seconds, or ``TRYING_DUE`` if that is longer and it is no INVITE, does not serve. ``network`` is our
    name for charging; ``is_ours`` tells of URIs of our domains.

    ``outcomes`` counts what came of it: "handed" to a service of this process; "returned" to go on; "answered" with a
    2xx; "refused"; "continued" or "terminated" by default handling.
    """

    def __init__(
        self,
        profile_of: Callable[[str], ServiceProfile | None],
        dialogs: OriginalDialogs,
        *,
        network: str,
        in_process: Mapping[str, str],
        trusts: Callable[[Uri], bool],
        patience: float,
        is_ours: Callable[[Uri], bool] = lambda _: False,
    ) -> None:
        self.outcomes = dict.fromkeys(("handed", "returned", "answered", "refused", "continued", "terminated"), 0)
        self._profile_of = profile_of
        self._dialogs = dialogs
        self._pending: WeakValueDictionary[str, ServerCall] = WeakValueDictionary()
        self._network = network
        self._in_process = in_process
        self._trusts = trusts
        self._patience = patience
        self._is_ours = is_ours

    def next_criterion(self, served: Served, request: Request) -> Criterion | None:
        """Return the criterion whose server is next to see ``request``; None: the services are over."""
        profile = self._profile_of(served.found.identity.profile)
        if profile is None:
            return None
        visited = served.visited
        servers = {each.server.uri for each in profile.criteria if each.priority in visited} if visited else ()
        return matching(profile, Facts(request, served.case), visited[-1] if visited else None, servers)

    def ask(self, criterion: Criterion, served: Served, request: Request, now: float, go_on: GoOn) -> Decision:
        """Send a copy of ``request`` to the server of a criterion, and ``go_on`` where that does not serve."""
        onward = served._replace(visited=(*served.visited, criterion.priority))
        call = fingerprint(request.call_id, request.from_tag)
        dialog = OriginalDialog(onward.identity, onward.case, onward.visited, fingerprint(request.uri), call)
        identifier = self._dialogs.write(dialog, now)
        copy = request.copy()
        serve(copy, served.identity, served.case)
        asked = ServerCall(
            self.outcomes, criterion.server.default_handling, copy.method, lambda: go_on(onward, request)
        )
        self._pending[identifier] = asked
        return self._send(criterion.server.uri, copy, (self._dialogs.route(identifier),), asked)

    def resume(self, identifier: str, now: float) -> OriginalDialog | None:
        """Return how far a request is that a server sends back; None: it is none that we gave to a server."""
        dialog = self._dialogs.read(identifier, now)
        if dialog is not None:
            self.outcomes["returned"] += 1
            asked = self._pending.get(identifier)
            if asked is not None:
                asked.has_served = True
        return dialog

    def hand(self, server: str, request: Request) -> Decision:
        """Send a copy of ``request`` to the server that it is for, as it is for a service number."""
        call = ServerCall(self.outcomes, DefaultHandling.SESSION_TERMINATED, request.method)
        return self._send(server, request.copy(), (), call)

    def _send(self, server: str, copy: Request, back: tuple[str, ...], call: ServerCall) -> Decision:
        vector = charging_vector(copy)
        write_vector(copy, None if vector is None else vector.sent_by(self._network, TYPE_3))
        name = self._in_process.get(server)
        if name is not None:
            self.outcomes["handed"] += 1
            return ToService(name, caller_of(copy, self._is_ours), copy)
        uri = parse_uri(server)
        if not self._trusts(uri):
            take_outside(copy)
        to_server = f"<{server}>" if uri.is_loose_router else f"<{server};lr>"
        patience = self._patience if copy.method == "INVITE" else max(self._patience, TRYING_DUE)
        return Forward((Target(copy.uri, route=(to_server, *back)),), copy, call, patience)


class ServerCall:
    """Goes along with a request to an application server, and knows what to do where that does not serve.

    That is: without any response, or with 408 or 5xx, as long as the sender was told nothing. ``has_served``: the
    server has sent the request back. Without ``go_on`` a failure is final.
    """

    def __init__(
        self,
        outcomes: dict[str, int],
        handling: DefaultHandling,
        method: str,
        go_on: Callable[[], Decision] | None = None,
    ) -> None:
        self._outcomes = outcomes
        self._handling = handling
        self._is_invite = method == "INVITE"
        self._go_on = go_on
        self.has_served = False
        self._is_counted = False

    def returned(self, response: Response) -> None:
        """Count what the server answers."""
        status = response.status
        if status < 200:
            self.has_served = self.has_served or status > 100
        elif status < 300:
            self._count("answered")
        elif self.has_served or not _does_not_serve(status):
            self._count("refused")

    def _count(self, outcome: str) -> None:
        if not self._is_counted:  # a 2xx comes again until it is acknowledged
            self._is_counted = True
            self._outcomes[outcome] += 1

    def instead(self, status: int) -> Forward | ToService | None:
        """Go on without the server, if it does not serve and the user may do without it.

        Raises ``ServerTimeout`` in the place of a 408 to anything but an INVITE (RFC 4320 section 4.2).
        """
        if not self.has_served and _does_not_serve(status):
            if self._go_on is not None and self._handling is DefaultHandling.SESSION_CONTINUED:
                return self._without()
            self._count("terminated")
        if status == 408 and not self._is_invite:  # which must not be told: its sender would just try again
            raise ServerTimeout
        return None

    def _without(self) -> Forward | ToService | None:
        self._count("continued")
        onward = None if self._go_on is None else self._go_on()
        return None if isinstance(onward, Response) else onward


def _does_not_serve(status: int) -> bool:
    """Whether a server does not serve at all (5.4.3.2: "408 (Request Timeout) response or a 5xx response")."""
    return status == 408 or status // 100 == 5
