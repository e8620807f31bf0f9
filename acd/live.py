"""The running engine as others see it: the HTTP interface and the metrics."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from math import inf
from typing import TYPE_CHECKING, Any, Literal

from acd.http import AgentView, CallView, TroubleView
from acd.metrics import Readings
from acd.trunkview import TrunkView
from acd.upload import UploadCounters
from media.api import Trouble
from media.rtp.troubles import HINTS

if TYPE_CHECKING:
    from datetime import datetime

    from acd.call import Call
    from acd.core.floor import FloorSnapshot, QueueSnapshot
    from acd.engine import Engine
    from acd.facts import VoiceTroubled
    from acd.journal.store import JournalCounters
    from acd.kpi.live import LiveFigures
    from acd.store import CdrStore
    from acd.trace import SipTrace
    from acd.uploader import Uploader
    from ims_core.node import Node
    from ims_core.security.digest import DigestAuthenticator
    from ims_core.transport.stack import Stack

    Element = tuple[Stack, Node]


class LiveFloor:
    """Answers ``acd.http.Floor`` and the scrapes from memory. ``open_for_calls`` is set once all listeners are.

    ``beside`` the engine's own are further SIP elements of this process.
    """

    def __init__(  # noqa: PLR0917
        self,
        engine: Engine,
        stack: Stack,
        store: CdrStore,
        trace: SipTrace | None,
        figures: LiveFigures,
        log_counters: Callable[[], JournalCounters],
        authenticator: DigestAuthenticator | None = None,
        uploader: Uploader | None = None,
    ) -> None:
        self.open_for_calls = False
        self.beside: list[Element] = []
        self._engine = engine
        self._stack = stack
        self._store = store
        self._trace = trace
        self._figures = figures
        self._log_counters = log_counters
        self._authenticator = authenticator
        self._uploader = uploader

    def calls(self) -> Sequence[CallView]:
        """Return the calls under way, the oldest first."""
        return [self._view(call) for call in self._engine.calls.values()]

    def queues(self) -> Sequence[QueueSnapshot]:
        """Return the queues, in the order of the configuration."""
        return self._snapshot().queues

    def agents(self) -> Sequence[AgentView]:
        """Return the agents, in the order of the configuration."""
        now = self._engine.loop.time()
        return [AgentView.of(agent, now) for agent in self._snapshot().agents]

    def ladder(self, call_id: str) -> str | None:
        """Return the SIP ladder of the call with this id, None if none is kept."""
        return self._trace.ladder(call_id) if self._trace is not None else None

    def ready(self) -> bool:
        """Say whether new calls are taken."""
        return self.open_for_calls and not self._engine.draining and self._engine.media.healthy()

    def healthy(self) -> bool:
        """Say whether the process works at all: whoever is answered knows that the event loop turns."""
        return True

    def readings(self) -> Readings:
        """Read every plain number that a scrape shows."""
        engine = self._engine
        return Readings(
            **read_elements([(self._stack, engine.node), *self.beside], engine.loop.time()),
            ready=self.ready(),
            draining=engine.draining,
            calls=len(engine.calls),
            tasks=len(asyncio.all_tasks(engine.loop)),
            trunks=[TrunkView.of(trunk) for trunk in engine.trunks.all.values()],
            emergencies=engine.trunks.emergencies.steps,
            fallbacks=engine.trunks.fallbacks.counted,
            authentications=self._authenticator.verdicts() if self._authenticator is not None else {},
            inputs_ignored={kind.value: count for kind, count in engine.dispatcher.distributor.counters.items()},
            caller_lookups={source.value: count for source, count in engine.profiles.found.items()},
            policy=engine.dispatcher.distributor.policy,
            today=self._figures.day(),
            floor=self._snapshot(),
            media=engine.media.counters(),
            media_members=engine.media.members(),
            cdr=self._store.counters(),
            cdr_upload=self._uploader.counters() if self._uploader is not None else UploadCounters(),
            journal=self._log_counters(),
        )

    def _snapshot(self) -> FloorSnapshot:
        return self._engine.dispatcher.distributor.snapshot(self._engine.loop.time())

    def _view(self, call: Call) -> CallView:
        record = call.record
        return CallView(
            id=call.id,
            call_id=record.call_id,
            dialled=record.dialled,
            caller=record.caller,
            stage=call.stage,
            arrived=record.arrived,
            queue=record.queue,
            position=self._engine.dispatcher.distributor.position(call.id),
            agent=record.agent,
            queued=record.at("call.queued"),
            connected=record.at("agent.connected"),
            recording=call.recording,
            troubles=tuple(trouble_view(fact, since) for fact, since in record.troubles()),
        )


def trouble_view(fact: VoiceTroubled, since: datetime) -> TroubleView:
    """Return what is told of a trouble that is not over."""
    trouble = Trouble(fact.trouble)
    hint = HINTS[trouble]
    leg: Literal["caller", "agent"] = "caller" if fact.leg == "caller" else "agent"
    return TroubleView(
        leg=leg, trouble=trouble, since=since, detail=fact.detail, meaning=hint.meaning, check=hint.check
    )


def read_elements(elements: Sequence[Element], now: float) -> dict[str, Any]:
    """Return what SIP elements count and hold, taken together, as ``Readings`` have it."""
    stacks, nodes = [stack for stack, _ in elements], [node for _, node in elements]
    guards = [node.door.guard for node in nodes if node.door.guard is not None]
    admissions = [node.door.admission for node in nodes if node.door.admission is not None]
    endpoints = [node.endpoint for node in nodes]
    return {
        "dialogs": sum(len(node.ua) for node in nodes),
        "transactions": sum(sum(endpoint.transactions().values()) for endpoint in endpoints),
        "bindings": sum(len(node.location) for node in nodes),
        "connections": _sum(stack.streams.by_transport() for stack in stacks),
        "connections_turned_away": _sum(stack.streams.turned_away for stack in stacks),
        "handshakes_failed": _sum(stack.streams.handshakes_failed for stack in stacks),
        "dns_answers": _sum(node.courier.resolver.outcomes for node in nodes),
        "failovers": _sum(node.courier.failovers for node in nodes),
        "servers_dead": sum(node.courier.dead() for node in nodes),
        "sip_messages": _sum(endpoint.messages.told() for endpoint in endpoints),
        "sip_sessions": _sum(node.ua.counts for node in nodes),
        "sip_dropped": _sum(
            [each.dropped for each in endpoints] + [each.dropped for each in stacks] + [each.dropped for each in guards]
        ),
        "sip_unexpected": _sum(endpoint.unexpected for endpoint in endpoints),
        "bans": Counter(ban.reason for guard in guards for ban in guard.bans(now)),
        "rejected": _sum(node.door.rejected for node in nodes),
        "admission_rate": min((admission.rate for admission in admissions), default=inf),
        "accept_latency": max((admission.latency for admission in admissions), default=0.0),
    }


def _sum(counts: Iterable[Mapping[Any, int]]) -> Counter[Any]:
    total: Counter[Any] = Counter()
    for each in counts:
        total.update(each)
    return total
