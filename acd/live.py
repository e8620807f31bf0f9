"""The running engine as others see it: the HTTP interface and the metrics."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from math import inf
from typing import TYPE_CHECKING

from acd.http import AgentView, CallView
from acd.metrics import Readings
from acd.trunkview import TrunkView
from acd.upload import UploadCounters

if TYPE_CHECKING:
    from acd.call import Call
    from acd.core.floor import FloorSnapshot, QueueSnapshot
    from acd.engine import Engine
    from acd.journal.store import JournalCounters
    from acd.kpi.live import LiveFigures
    from acd.store import CdrStore
    from acd.trace import SipTrace
    from acd.uploader import Uploader
    from ims_core.security.digest import DigestAuthenticator
    from ims_core.transport.stack import Stack


class LiveFloor:
    """Answers ``acd.http.Floor`` and the scrapes from memory. ``open_for_calls`` is set once all listeners are."""

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
        engine, node = self._engine, self._engine.node
        endpoint, guard, admission = node.endpoint, node.door.guard, node.door.admission
        return Readings(
            ready=self.ready(),
            draining=engine.draining,
            calls=len(engine.calls),
            dialogs=len(node.ua),
            transactions=sum(endpoint.transactions().values()),
            tasks=len(asyncio.all_tasks(engine.loop)),
            bindings=len(node.location),
            connections=self._stack.streams.by_transport(),
            connections_turned_away=self._stack.streams.turned_away,
            handshakes_failed=self._stack.streams.handshakes_failed,
            dns_answers=node.courier.resolver.outcomes,
            failovers=node.courier.failovers,
            servers_dead=node.courier.dead(),
            trunks=[TrunkView.of(trunk) for trunk in engine.trunks.all.values()],
            emergencies=engine.trunks.emergencies.steps,
            fallbacks=engine.trunks.fallbacks.counted,
            authentications=self._authenticator.verdicts() if self._authenticator is not None else {},
            sip_messages=endpoint.messages,
            sip_sessions=node.ua.counts,
            sip_dropped=endpoint.dropped + self._stack.dropped + (guard.dropped if guard is not None else Counter()),
            bans=Counter(ban.reason for ban in guard.bans(engine.loop.time())) if guard is not None else {},
            rejected=node.door.rejected,
            admission_rate=admission.rate if admission is not None else inf,
            accept_latency=admission.latency if admission is not None else 0.0,
            sip_unexpected=endpoint.unexpected,
            inputs_ignored={kind.value: count for kind, count in engine.dispatcher.distributor.counters.items()},
            caller_lookups={source.value: count for source, count in engine.profiles.found.items()},
            policy=engine.dispatcher.distributor.policy,
            today=self._figures.day(),
            floor=self._snapshot(),
            media=engine.media.counters(),
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
        )
