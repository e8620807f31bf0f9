"""What the configuration means to emergency calls, and what is told of them; and who is sent to the other network."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

import structlog

from acd.log import Thrift
from ims_core.flow import Address, transport_parameter
from ims_core.messages.uri import is_sos
from ims_core.proxy.forking import Target
from ims_core.proxy.forward import Forward
from ims_core.roles.emergency import Emergency, Plan, Step, Told, Way
from ims_core.roles.fallback import PATIENCE, REFUSALS, Fallback
from ims_core.trunks.trunk import OUTBOUND

if TYPE_CHECKING:
    from acd.config import Config
    from ims_core.errors import SipError
    from ims_core.flow import Flow
    from ims_core.messages.message import Request
    from ims_core.messages.uri import Uri
    from ims_core.proxy.proxy import Proxy
    from ims_core.trunks.exchange import Exchange
    from ims_core.trunks.trunk import Trunk

LINES_A_MINUTE: Final = 600  # of the log; callers whom nobody knows write it

log = structlog.get_logger()


class Emergencies:
    """The emergency calls of an element: proxied, so that a full or draining engine does not stop them.

    What is configured is asked of ``present`` each time; ``serves`` tells whether a URI names this element, ``clock``
    is in seconds. ``steps`` counts what became of calls; ``proxies`` are those that they are forwarded by. With
    ``beside`` it is of one process with those, and counts and logs together with them.
    """

    def __init__(
        self,
        exchange: Exchange,
        present: Callable[[], Config],
        serves: Callable[[Uri], bool],
        *,
        clock: Callable[[], float],
        beside: Emergencies | None = None,
    ) -> None:
        self.steps: Counter[str] = Counter(dict.fromkeys(Step, 0)) if beside is None else beside.steps
        self.proxies: list[Proxy] = [] if beside is None else beside.proxies
        self.advertised: dict[tuple[str, Address], str] = {}
        self._exchange = exchange
        self._present = present
        self._known: tuple[Config | None, Plan] = (None, Plan())
        self.thrift: Thrift = (
            Thrift(clock, LINES_A_MINUTE, "emergency.lines_omitted") if beside is None else beside.thrift
        )
        self.role = Emergency(
            plan=self._plan,
            serves=lambda uri: serves(uri) or uri.host == present().server.domain.lower(),
            ways=self._ways,
            trusts=lambda flow: exchange.trusts(flow.remote[0]),
            own_uri=self._own_uri,
            on_step=self._told,
        )

    @property
    def are_under_way(self) -> bool:
        """Whether some emergency call is being set up, which nobody could finish without this process."""
        return any(self.role.concerns(each.transaction.request) for proxy in self.proxies for each in proxy.active)

    def _plan(self) -> Plan:
        config = self._present()
        known, plan = self._known
        if known is not config:
            wanted = config.emergency
            plan = Plan(
                numbers=frozenset(wanted.numbers),
                services=wanted.services,
                country=config.dialling.country or "",
                reason=wanted.reason,
            )
            self._known = config, plan
        return plan

    def _ways(self, called: str, flow: Flow) -> Iterable[Way]:
        """Return the trunks for emergencies, those that are up first, however full they are; never the way back."""
        source = self._exchange.source_of(flow.remote[0])
        known = self._exchange.trunks
        trunks = [known[name] for name in self._present().emergency.trunks if name in known and name != source]
        trunks.sort(key=lambda trunk: not trunk.is_up)
        return [Way(trunk.peer.id, _target(trunk, called)) for trunk in trunks]

    def _own_uri(self, flow: Flow) -> str:
        host = self.advertised.get((flow.transport, flow.local))
        return f"sip:{host}{transport_parameter(flow.transport, 'sip')}" if host else ""

    def _told(self, told: Told) -> None:
        step, request, flow, service, way, status, onto = told
        self.steps[step] += 1
        self._count(told)
        if not self.thrift.allows():
            return
        line = log.info if step in {Step.CALLED, Step.ANSWERED, Step.CANCELLED} else log.warning
        line(
            f"emergency.{step}",
            call_id=request.call_id,
            method=request.method,
            service=service,
            caller=request.get("From"),
            source=str(flow),
            **({"trunk": way} if way else {}),
            **({"onto": onto} if onto else {}),
            **({"status": status} if status else {}),
        )

    def _count(self, told: Told) -> None:
        """Count a call to its trunk, as others are, though the limit of that is none here."""
        if told.request.method != "INVITE":
            return
        trunk = self._exchange.trunks.get(told.way)
        if told.step is Step.CALLED and trunk is not None:
            trunk.counted[OUTBOUND] += 1
        elif told.step is Step.FAILED_OVER:
            if trunk is not None:
                trunk.left += 1
            if (following := self._exchange.trunks.get(told.onto)) is not None:
                following.counted[OUTBOUND] += 1


def _target(trunk: Trunk, called: str) -> Target:
    """Return what is forwarded to a trunk that is called by a number or URN.

    There is always another way, the next trunk or the other network: no server is waited for any longer than others.
    """
    hop = trunk.hop(or_else=True)._replace(urgent=True)
    return Target(called if is_sos(called) else trunk.target(called), hop, trunk.route())


class Fallbacks:
    """Who is refused so that his handset calls by the circuit-switched network (回退传统语音).

    The status is looked up in ``present`` each time; ``counted`` is how many there were.
    """

    def __init__(self, present: Callable[[], Config]) -> None:
        self.counted = 0
        self._present = present

    def refusal(self) -> SipError:
        """Return what such a caller is told: no Retry-After, no body."""
        return REFUSALS[self._present().fallback.status]()

    def note(self, call_id: str, called: str, reason: str) -> None:
        """Take note of a call for which there was no way."""
        self.counted += 1
        log.warning("call.fell_back", call_id=call_id, called=called, reason=reason)

    def along(self, request: Request) -> Fallback:
        """Return what goes along with a call that leaves as it is."""
        return Fallback(self.refusal, self._noting(request))

    def leaving(self, request: Request, target: Target) -> Forward:
        """Return how a request leaves for another domain."""
        if request.method != "INVITE":
            return Forward((target,))
        return Forward((target,), companion=self.along(request), patience=PATIENCE)

    def to_core(self, request: Request) -> Fallback:
        """Return what goes along with a call from a P-CSCF to its core, of which an answer says that it serves."""
        return Fallback(self.refusal, self._noting(request), believes_answers=True)

    def _noting(self, request: Request) -> Callable[[int], None]:
        call_id, called = request.call_id, request.uri
        return lambda status: self.note(call_id, called, str(status))
