"""Emergency services: which requests are for one, and where they go (RFC 5031, RFC 6881, TS 24.229 5.2.10).

A request for the URN of a service or for a local number is taken from anybody, who is not asked for a password:

    there is a way, by some trunk      it is proxied there, and to the next trunk where one does not serve
    there is none, or none that serves     380, with the body that sends a handset to the circuit-switched network
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple
from xml.sax.saxutils import escape

from msgspec import Struct

from ims_core.errors import AlternativeService, SipError
from ims_core.messages.uri import is_sos
from ims_core.proxy.forward import Forward
from ims_core.trunks.numbers import dialled_in

if TYPE_CHECKING:
    from ims_core.flow import Flow
    from ims_core.messages.message import Request, Response
    from ims_core.messages.uri import Uri
    from ims_core.proxy.forking import Target

IMS_XML: Final = "application/3gpp-ims+xml"
SAID_BY_THE_SERVICE: Final = frozenset((*range(300, 400), 486, 487))
"""Failures that are the answer of who was called, and not of the way there: they are passed back as they are."""

_URN: Final = "urn:service:"
_SOS: Final = "sos"
_ODD = re.compile(r"[-.();]")  # what may stand in a number beside what was dialled
_SEPARATORS = str.maketrans("", "", "-.()")


class Plan(Struct, frozen=True, kw_only=True):
    """What is known of emergency services here.

    ``numbers`` are those dialled for one. ``services`` maps services, as ``sos.fire``, to the number by which trunks
    are to be called for them; others are called by their URN. ``country`` is the code of ours, empty: unknown.
    ``reason`` is what a person may be shown who is sent to the other network.
    """

    numbers: frozenset[str] = frozenset()
    services: Mapping[str, str] = {}
    country: str = ""
    reason: str = "Emergency calls are not taken here"


class Step(StrEnum):
    """What became of a request for an emergency service."""

    CALLED = "called"  # it goes to a trunk
    FAILED_OVER = "failed_over"  # that one did not serve, and it goes to the next
    ANSWERED = "answered"
    CANCELLED = "cancelled"
    REFUSED = "refused"  # a failure was passed back
    DIVERTED = "diverted"  # its sender was told to call by another network


class Way(NamedTuple):
    """A trunk by its ``name``, and what is forwarded there."""

    name: str
    target: Target


class Told(NamedTuple):
    """A step of a ``request`` that came by ``flow`` for ``service``, a number or a URN.

    ``way`` names the trunk that it is about, empty where there is none. ``onto`` is the one it goes to instead;
    ``status`` is of the failure, or 0.
    """

    step: Step
    request: Request
    flow: Flow
    service: str
    way: str = ""
    status: int = 0
    onto: str = ""


class Emergency:
    """Decides about requests for emergency services, before anything else is asked about them.

    ``plan`` returns what is known at present, ``serves`` tells whether a URI names this network, and
    ``ways(called, flow)`` returns those for a number or URN, best first, that a request which came by ``flow`` may go.
    ``trusts`` says whose asserted identities are believed. ``own_uri`` is the URI of this first hop as a Path names
    it: by it a handset knows that a 380 is from there. ``on_step`` is told of every step.
    """

    def __init__(
        self,
        *,
        plan: Callable[[], Plan],
        serves: Callable[[Uri], bool],
        ways: Callable[[str, Flow], Iterable[Way]],
        trusts: Callable[[Flow], bool],
        own_uri: Callable[[Flow], str],
        on_step: Callable[[Told], None],
    ) -> None:
        self.own_uri = own_uri
        self.trusts = trusts
        self._plan = plan
        self._serves = serves
        self._ways = ways
        self._on_step = on_step

    def concerns(self, request: Request) -> bool:
        """Whether ``request`` is for an emergency service; whatever Route it has (TS 24.229 5.2.10.2)."""
        return bool(self.service_of(request))

    def service_of(self, request: Request) -> str:
        """Return the URN, or the local number, of the emergency service a request is for; empty: for none."""
        uri = request.uri
        if uri[:4].lower() == "urn:":
            return uri if is_sos(uri) else ""
        plan = self._plan()
        try:
            target = request.target
        except SipError:
            return ""
        user = target.user
        if user not in plan.numbers and _ODD.search(user) is None:
            return ""
        number, context = dialled_in(target)
        number = number.translate(_SEPARATORS)
        if number not in plan.numbers or (target.scheme != "tel" and not self._serves(target)):
            return ""
        # RFC 3966 5.1.5: a local number of another country is one of ours by chance only
        is_abroad = context.startswith("+") and not context.translate(_SEPARATORS).startswith(f"+{plan.country}")
        return "" if is_abroad else number

    def decide(self, request: Request, flow: Flow) -> Forward | None:
        """Say where a request outside any dialog goes if it is for an emergency service, None when it is not.

        The copy that is forwarded asserts nobody's identity, unless its sender is trusted to: whoever knows who it is
        may add that. Raises ``AlternativeService`` where there is no way.
        """
        service = self.service_of(request)
        if not service or request.method == "REGISTER":
            return None
        copy = request.copy()
        if not self.trusts(flow):
            copy.remove("P-Asserted-Identity")
            copy.remove("P-Preferred-Identity")
        ways = list(self._ways(self._called(service), flow))
        if not ways:
            raise self.diverted(Told(Step.DIVERTED, request, flow, service))
        way, *others = ways
        told = Told(Step.CALLED, request, flow, service, way.name)
        self._on_step(told)
        return Forward((way.target,), copy, Attempt(self, told, copy, others))

    def diverted(self, told: Told) -> AlternativeService:
        """Send the sender to another network: TS 24.229 5.2.10.5.

        The Contact tells which service he wants, of which his handset may have known nothing.
        """
        self.tell(told)
        own = self.own_uri(told.flow)
        headers = (("Contact", f"<{self._urn(told.service)}>"),)
        return AlternativeService(
            headers=(*headers, ("P-Asserted-Identity", f"<{own}>")) if own else headers,
            body=alternative_service(self._plan().reason),
            content_type=IMS_XML,
        )

    def tell(self, told: Told) -> None:
        """Let the owner know of a step."""
        self._on_step(told)

    def _called(self, service: str) -> str:
        """Return by what a trunk is called for a service: what stands for it or the next above it (RFC 5031 4.2)."""
        if not is_sos(service):
            return service
        services, name = self._plan().services, service[len(_URN) :].lower()
        while name:
            if name in services:
                return services[name]
            name = name.rpartition(".")[0]
        return service

    def _urn(self, service: str) -> str:
        if is_sos(service):
            return service
        services = self._plan().services
        return _URN + next((name for name, number in services.items() if number == service), _SOS)


class Attempt:
    """Goes along with a request for an emergency service (``Companion``), from one way to the next."""

    def __init__(self, emergency: Emergency, told: Told, request: Request, others: list[Way]) -> None:
        self._emergency = emergency
        self._told = told
        self._request = request
        self._others = others
        self._is_heard = False
        self._is_answered = False

    def returned(self, response: Response) -> None:
        """Take note of what is answered; it is passed back as it is."""
        status = response.status
        if status < 200:
            self._is_heard = self._is_heard or status > 100
        elif status < 300:
            if not self._is_answered:
                self._is_answered = True
                self._tell(Step.ANSWERED)
        elif status == 487:
            self._tell(Step.CANCELLED)
        elif self._is_heard:
            self._tell(Step.REFUSED, status)

    def instead(self, status: int) -> Forward | None:
        """Go on to the next trunk, whatever was the matter with this; after the last one to the other network."""
        if self._others:
            way = self._others.pop(0)
            self._tell(Step.FAILED_OVER, status, onto=way.name)
            self._told = self._told._replace(way=way.name)
            return Forward((way.target,), self._request, self)
        if self._request.method == "INVITE" and status not in SAID_BY_THE_SERVICE:
            raise self._emergency.diverted(self._told._replace(step=Step.DIVERTED, status=status))
        if status != 487:  # which is told already
            self._tell(Step.REFUSED, status)
        return None

    def _tell(self, step: Step, status: int = 0, onto: str = "") -> None:
        self._emergency.tell(self._told._replace(step=step, status=status, onto=onto))


def alternative_service(reason: str) -> bytes:
    """Write the body of a 380 that sends an emergency call to another network (TS 24.229 7.6.2).

    It names no action: without one a handset takes the circuit-switched network where that can serve it.
    """
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<ims-3gpp version="1"><alternative-service>'
        f"<type>emergency</type><reason>{escape(reason)}</reason>"
        "</alternative-service></ims-3gpp>\n"
    ).encode()
