"""The engine: all calls under way, and what they share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Literal, Protocol

import structlog
from msgspec.structs import replace

from acd.call import Call
from acd.cdr import Cdr, EndedBy, Outcome
from acd.charging import charging_of
from acd.config import ToFlow, ToQueue
from acd.config.live import Installed, follow
from acd.core.events import AgentBusy, AgentIdle, AgentRegistered, AgentUnregistered
from acd.dispatcher import Dispatcher
from acd.gate import Gate, gates
from acd.numbering import plan_of
from acd.openlegs import OpenLegs
from acd.overflowing import to_outside
from acd.policy import agent_profiles, queue_profiles
from acd.profiles import LastAgents, Profiles
from acd.record import CallRecord
from acd.services import feature_code, refuse, service_for
from acd.setuptimes import measure_set_up, stages
from acd.trunks import Trunks
from acd.way import Way
from ims_core.errors import NotFound, ServiceUnavailable, TemporarilyUnavailable
from ims_core.messages.headers import parse_name_addr
from ims_core.registrar.location import Binding, BindingAdded, BindingRemoved, LocationEvent, Removal
from ims_core.ua.retargeting import redirected

if TYPE_CHECKING:
    from acd.call import Service
    from acd.config import Agent, Callers, Config
    from acd.core.distributor import Distributor
    from acd.journal.port import Journal
    from acd.metrics import Metrics
    from acd.speaking import Speech
    from acd.trace import SipTrace
    from acd.trunks import Border
    from ims_core.ids import Ids
    from ims_core.messages.message import Request
    from ims_core.node import Node
    from ims_core.ua.incoming import IncomingCall
    from media.api import Media

WAIT_GOOD_SECONDS = 1.0  # for which an expected wait is told to everybody who is turned away
UNREGISTER_TURNS, UNREGISTER_TURN_SECONDS = 100, 0.02
EMERGENCY_TURN_SECONDS = 0.1
LAST_SECONDS = 15.0  # for the closing announcement and the release of what is left when the drain is over

log = structlog.get_logger()


class Records(Protocol):
    """Where finished calls are recorded."""

    def submit(self, cdr: Cdr) -> None:
        """Take a record; never waits and never raises."""


class Engine:
    """Takes the calls that the node hands over and keeps them until their record is written.

    It is the only part that knows SIP, media and the distributor. ``unix`` returns the time in unix seconds. ``hop`` is
    what the node is called in metrics and log.
    """

    def __init__(
        self,
        config: Config,
        *,
        node: Node,
        border: Border,
        flush: Callable[[], None],
        media: Media,
        distributor: Distributor,
        records: Records,
        metrics: Metrics,
        trace: SipTrace | None,
        ids: Ids,
        unix: Callable[[], float],
        journal: Journal,
        hop: str = "node",
    ) -> None:
        self.config = config
        self.node = node
        self.media = media
        self.calls: dict[str, Call] = {}
        self.loop = asyncio.get_running_loop()
        self.open_legs = OpenLegs(self)
        self.trunks = Trunks(node, border)
        self.dispatcher = Dispatcher(
            self, distributor, self.calls, metrics, keepers=self.open_legs.keepers, journal=journal, unix=unix
        )
        self.metrics = metrics
        measure_set_up(node, metrics, hop)
        self.draining = False
        self._idle = asyncio.Event()
        self.flush = flush
        self._records = records
        self._trace = trace
        self._ids = ids
        self._unix = unix
        self._journal = journal
        self.profiles = Profiles(_by_number(config))
        self.last_agents = LastAgents()
        self.speech: Speech | None = None
        self._services: dict[str, Service] = {}
        self._codes: set[str] = set()
        self._agent_aors: dict[str, str] = {}
        self._gates: dict[str, Gate] = {}
        self._waits: dict[str, tuple[float, float | None]] = {}
        self._serve(config)
        self._bind_contacts({})
        node.services["acd"] = self.take
        node.door.retry_after = self.retry_after

    def begin(self) -> None:
        """Call those whose legs stay open, and make the trunks known."""
        self.open_legs.follow(self.config)
        self.trunks.follow(self.config)
        self.flush()

    # Configuration ------------------------------------------------------------------------------------------

    def _serve(self, config: Config) -> None:
        """Have calls that come from now on served as ``config`` says."""
        self.config = config
        self._services = {number: service_for(served, config) for number, served in config.numbers.items()}
        self._codes = {getattr(config.feature_codes, name) for name in config.feature_codes.__struct_fields__}
        self._agent_aors = {f"sip:{agent}@{config.server.domain}": agent for agent in config.agents}
        self._gates = gates(config)

    def install(self, wanted: Config, cause: Literal["reload", "api"]) -> Installed:
        """Follow ``wanted``, as far as that goes without a restart, for calls that wait as well; none is lost."""
        before = self.config
        config, changed, needs_restart = follow(before, wanted)
        self.metrics.serve(config.queues)
        self._serve(config)
        if (config.callers, config.dialling) != (before.callers, before.dialling):
            self.profiles.configure(_by_number(config))
        self.dispatcher.install(queue_profiles(config), agent_profiles(config), cause)
        for agent in config.agents.keys() - before.agents.keys():
            if f"sip:{agent}@{config.server.domain}" in self.node.location:  # the phone was there before its agent
                self.dispatcher.tell(AgentRegistered(agent))
        self.open_legs.follow(config)
        self.trunks.follow(config)
        self._bind_contacts(before.agents)
        self.node.handle_timer()  # reports what became of the bindings
        self.flush()
        return Installed(self.dispatcher.distributor.policy, changed, needs_restart)

    def _bind_contacts(self, before: Mapping[str, Agent]) -> None:
        """Bind the contacts that are configured now, in place of those that were."""
        location = self.node.location
        for name in {**before, **self.config.agents}:
            old, new = before.get(name), self.config.agents.get(name)
            aor = f"sip:{name}@{self.config.server.domain}"
            bound = location.bindings(aor)
            contact = new.contact if new is not None else None
            if contact == (old.contact if old is not None else None):
                continue
            if contact is not None:
                location.add(Binding(aor, contact))
            for binding in bound:
                if binding.fixed:
                    location.remove(binding, Removal.DEREGISTERED)

    def refuses(self, queue_id: str) -> Outcome | None:
        """Return why a caller is not let into the queue now, None if he is."""
        gate = self._gates.get(queue_id)
        if gate is None:
            return Outcome.NO_AGENT
        return gate.refuses(self.dispatcher.distributor, queue_id, self._unix())

    # Calls --------------------------------------------------------------------------------------------------

    def take(self, incoming: IncomingCall) -> None:
        """Take a call from the node."""
        self.metrics.call_arrived()
        request = incoming.request
        dialled, caller, trunk = self.trunks.called(incoming)
        record = CallRecord(
            id=self._new_id(),
            call_id=request.call_id,
            dialled=dialled,
            caller=caller,
            trunk=trunk,
            unix=self._unix,
            journal=self._journal,
        )
        if (charging := charging_of(request, record.id)) is not None:
            record.tell(charging)
        call = Call(self, incoming, record, self._service_for(incoming, record), self.finish)
        self.calls[call.id] = call
        self._idle.clear()
        if self._trace is not None:
            self._trace.follow(call.id, request.call_id)
        if (before := redirected(request)) is not None:
            log.info("call.redirected", call=call.id, by=before.by, reason=before.reason)
        if not trunk and caller in self.config.agents and dialled not in self._codes:
            self.dispatcher.tell(AgentBusy(caller, call.id))
        call.start()

    def finish(self, call: Call) -> None:
        """Let go of a call whose parts have all been released, and write its record."""
        self.calls.pop(call.id, None)
        if not self.calls:
            self._idle.set()
        record = call.record
        if not record.trunk and record.caller in self.config.agents and record.dialled not in self._codes:
            self.dispatcher.tell(AgentIdle(record.caller, call.id))
        cdr = record.cdr()
        self._records.submit(cdr)
        self.metrics.call_ended(cdr)
        log.info(
            "call.ended",
            call=cdr.id,
            call_id=cdr.call_id,
            dialled=cdr.dialled,
            caller=cdr.caller,
            queue=cdr.queue,
            agent=cdr.agent,
            trunk=cdr.trunk,
            trunk_out=cdr.trunk_out,
            outcome=cdr.outcome,
            ended_by=cdr.ended_by,
            reason=cdr.reason,
            waited=cdr.waited_seconds,
            talked=cdr.talked_seconds,
            recording=cdr.recording,
            **stages(call.incoming.set_up),
            timeline=[(step.at, step.event, step.detail) for step in cdr.timeline],
        )

    def follow(self, call_id: str, sip_call_id: str) -> None:
        """Count the messages of a dialog to the trace of a call."""
        if self._trace is not None:
            self._trace.follow(call_id, sip_call_id)

    def ways_to_user(self, user: str, caller: str = "", name: str = "") -> Sequence[Way]:
        """Return the ways to a user's phone, best first. Raises ``SipError`` when there is none.

        Where the phone is outside, ``caller`` is the number shown there, and ``name`` what stands before it.
        """
        agent = self.config.agents.get(user)
        if agent is not None and agent.contact is not None:
            outside = self.trunks.ways_to(agent.contact, caller, name)
            if outside is not None:
                return outside
        bindings = self.node.location.bindings(f"sip:{user}@{self.config.server.domain}")
        if not bindings:
            raise TemporarilyUnavailable("No phone is registered")
        contact, path = bindings[0].contact, bindings[0].path
        if path:
            return (Way(contact, parse_name_addr(path[0]).uri_text, path),)
        return (Way(contact, bindings[0].way or contact),)

    def recording_path(self, record: CallRecord) -> str:
        """Return where to record a call: a folder for each day, in UTC."""
        arrived, config = record.arrived, self.config
        name = f"{arrived:%H%M%S}-{record.id}{config.recording.suffix}"
        return str(config.storage.recordings_path / f"{arrived:%Y-%m-%d}" / name)

    @property
    def numbers(self) -> set[str]:
        """What can be dialled here: the configured numbers and the feature codes."""
        return {*self._services, *self._codes}

    def retry_after(self, request: Request) -> float | None:
        """Return in how many seconds a caller who is turned away may expect to be served; None when nobody knows."""
        number = self.config.numbers.get(request.target.user)
        if isinstance(number, ToFlow):
            queue = self.config.flows[number.flow].default
        elif isinstance(number, ToQueue):
            queue = number.queue
        else:
            return None
        now = self.loop.time()
        good_until, seconds = self._waits.get(queue, (0.0, None))
        if now >= good_until:  # under overload it is asked for many times a second
            estimate = self.dispatcher.distributor.expected_wait_behind_all(queue, now)
            seconds = estimate.expected if estimate is not None and estimate.expected >= 1.0 else None
            self._waits[queue] = now + WAIT_GOOD_SECONDS, seconds
        return seconds

    async def _refuse_for_load(self, call: Call) -> None:
        seconds = self.node.door.seconds_to_retry(call.incoming.request)
        raise ServiceUnavailable("Too many calls", headers=(("Retry-After", str(seconds)),))

    def _new_id(self) -> str:
        """Return an id that begins with the time, so that what is indexed by it grows at its end."""
        return f"{int(self._unix() * 1000):011x}{self._ids.call_id()[:13]}"

    def _service_for(self, incoming: IncomingCall, record: CallRecord) -> Service:
        dialled = record.dialled
        if len(self.calls) >= self.config.limits.calls:
            return self._refuse_for_load
        try:
            self.trunks.take(incoming, record.trunk)
        except ServiceUnavailable as error:
            return partial(refuse, error=error)
        if dialled in self._codes:
            return partial(feature_code, code=dialled, agent_id=record.caller)
        service = self._services.get(dialled)
        if service is None and (number := self.trunks.leads_out(incoming)):
            return partial(to_outside, number=number)
        return service or partial(refuse, error=NotFound())

    # Agents -------------------------------------------------------------------------------------------------

    def on_location(self, event: LocationEvent) -> None:
        """Take a change of a binding: the first makes an agent present, the last one gone absent."""
        agent = self._agent_aors.get(event.aor)
        if agent is None:
            return
        if isinstance(event, BindingAdded) and event.first:
            self.dispatcher.tell(AgentRegistered(agent))
        elif isinstance(event, BindingRemoved) and event.last:
            self.dispatcher.tell(AgentUnregistered(agent))

    # The end ------------------------------------------------------------------------------------------------

    @property
    def refusal(self) -> ServiceUnavailable:
        """What callers get who come too late."""
        return ServiceUnavailable(headers=(("Retry-After", str(int(self.config.server.drain_seconds) + 10)),))

    async def drain(self) -> None:
        """Take no new calls, let those under way finish for ``drain_seconds``, then end the rest.

        Emergency calls are still taken; those that are being set up are waited for as well.
        """
        self.draining = True
        self.node.door.closing = self.refusal
        log.info("server.draining", calls=len(self.calls), seconds=self.config.server.drain_seconds)
        until = self.loop.time() + self.config.server.drain_seconds
        await self._wait_until_idle(self.config.server.drain_seconds)
        await self._wait_for_emergencies(until)
        closing = [f"{self.config.server.language}/closing"]
        for call in list(self.calls.values()):
            call.end(EndedBy.SYSTEM, Outcome.DRAINED, "server stopping", farewell=closing)
        await self._wait_until_idle(LAST_SECONDS)
        await self.open_legs.close()
        await self._leave_trunks()
        await self.dispatcher.close()

    async def _wait_until_idle(self, seconds: float) -> None:
        if self.calls:
            try:
                async with asyncio.timeout(seconds):
                    await self._idle.wait()
            except TimeoutError:
                pass

    async def _wait_for_emergencies(self, until: float) -> None:
        """Let emergency calls be set up that nobody could finish in our place."""
        turns = max(0, int((until - self.loop.time()) / EMERGENCY_TURN_SECONDS))
        for _ in range(turns):
            if not self.trunks.emergencies.are_under_way:
                break
            await asyncio.sleep(EMERGENCY_TURN_SECONDS)

    async def _leave_trunks(self) -> None:
        """Take the registrations with carriers back, and give them a moment to say that they have heard."""
        self.trunks.stop()
        self.flush()
        for _ in range(UNREGISTER_TURNS):
            if self.trunks.is_settled:
                break
            await asyncio.sleep(UNREGISTER_TURN_SECONDS)


def _by_number(config: Config) -> Callers:
    """Return what is known of callers by their numbers in E.164 as well."""
    plan = plan_of(config.dialling)
    known = config.callers.known
    if plan is None:
        return config.callers
    return replace(config.callers, known={**{plan.e164(number): each for number, each in known.items()}, **known})
