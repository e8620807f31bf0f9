"""The metrics that are observed as things happen, and the page of all."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Literal, get_args

from prometheus_client import CollectorRegistry, Histogram, ProcessCollector, disable_created_metrics
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from acd.cdr import Outcome
from acd.core.events import Forced
from acd.metrics.families import counter
from acd.metrics.floor import of_floor
from acd.metrics.network import of_network
from acd.metrics.records import of_records
from acd.metrics.setup import SetUpTimes
from media.api import Trouble

if TYPE_CHECKING:
    from prometheus_client.core import Metric

    from acd.cdr import Cdr, Quality
    from acd.metrics.readings import Readings
    from acd.metrics.setup import Observe

Reserved = Literal["met", "failed", "unconfirmed", "left"]
"""How the wait for a caller's resources ends: they are there, cannot be had, were not confirmed in time, or he left."""

WAIT_BUCKETS = (1, 2, 5, 10, 15, 20, 30, 45, 60, 90, 120, 180, 300, 600, 1800)
TALK_BUCKETS = (5, 10, 30, 60, 120, 180, 300, 600, 900, 1800, 3600)
MOS_BUCKETS = (1.5, 2.0, 2.5, 2.8, 3.1, 3.4, 3.6, 3.8, 4.0, 4.2, 4.3, 4.4)
SCALES = ("narrowband", "wideband")
VOICE = (
    (
        "loss_ratio",
        "Share of packets lost from each side of a call, 0 to 1.",
        (0.001, 0.003, 0.01, 0.02, 0.03, 0.05, 0.1),
    ),
    ("jitter_seconds", "Jitter from each side of a call at its end.", (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1)),
    ("round_trip_seconds", "Mean round trip to each side of a call, by RTCP.", (0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.8)),
)
RESERVATION_BUCKETS = (0.1, 0.25, 0.5, 1, 2, 5, 10, 15, 30)
# The outcomes of a caller's wait in a queue, for the histogram of waits.
ANSWERED, ABANDONED, OTHER = "answered", "abandoned", "other"
RECORDING_SESSIONS = ("begun", "refused", "failed", "lost")


class Metrics:
    """The metrics of one engine.

    `queues` gives for each queue id its service level threshold in seconds, which becomes a bucket of the waits.
    `read` is called in the thread of `render` at each scrape.
    """

    def __init__(self, queues: Mapping[str, float], read: Callable[[], Readings]) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        self._read = read
        ProcessCollector(registry=self.registry)
        self.registry.register(_Scrape(self))
        waited = Histogram(
            "acd_queue_wait_seconds",
            "Time from entering the queue until an agent answered, the caller gave up, or we released the caller.",
            ("queue", "outcome"),
            buckets=sorted({*map(float, WAIT_BUCKETS), *queues.values()}),
            registry=self.registry,
        )
        talked = Histogram(
            "acd_talk_seconds",
            "Time from the agent's answer to the end of the call.",
            ("queue",),
            buckets=TALK_BUCKETS,
            registry=self.registry,
        )
        reserved = Histogram(
            "acd_resources_wait_seconds",
            "Time a call waited for what its caller reserves first (preconditions), by how that ended.",
            ("outcome",),
            buckets=RESERVATION_BUCKETS,
            registry=self.registry,
        )
        mos = Histogram(
            "acd_voice_mos",
            "Mean opinion score (E-model) of the voice received from each side of a call, by its scale.",
            ("leg", "scale"),
            buckets=MOS_BUCKETS,
            registry=self.registry,
        )
        self._voice = {
            figure: {leg: histogram.labels(leg) for leg in ("caller", "agent")}
            for figure, histogram in {
                name: Histogram(f"acd_voice_{name}", definition, ("leg",), buckets=buckets, registry=self.registry)
                for name, definition, buckets in VOICE
            }.items()
        }
        self._mos = {(leg, scale): mos.labels(leg, scale) for leg in ("caller", "agent") for scale in SCALES}
        self._reserved = {how: reserved.labels(how) for how in get_args(Reserved)}
        self._set_up = SetUpTimes()
        self.registry.register(self._set_up)
        self._histograms = waited, talked
        self._waited: dict[tuple[str, str], Histogram] = {}
        self._talked: dict[str, Histogram] = {}
        self._offers: Tally[str] = Tally()
        self.serve(queues)
        self._diverted: Tally[tuple[str, str]] = Tally()
        self._moved: Tally[tuple[str, str]] = Tally()
        self._forced: Tally[str] = Tally(dict.fromkeys(Forced, 0))
        self._refused_changes = 0
        self._recording_sessions: Tally[str] = Tally(dict.fromkeys(RECORDING_SESSIONS, 0))
        self._troubles: Tally[tuple[str, str]] = Tally(
            dict.fromkeys(((leg, trouble.value) for leg in ("caller", "agent") for trouble in Trouble), 0)
        )
        self._outcomes: Tally[Outcome] = Tally(dict.fromkeys(Outcome, 0))
        self._arrived = 0

    def serve(self, queues: Iterable[str]) -> None:
        """Have figures of these queues, too."""
        waited, talked = self._histograms
        for name in queues:
            if name not in self._talked:
                self._waited |= {(name, how): waited.labels(name, how) for how in (ANSWERED, ABANDONED, OTHER)}
                self._talked[name] = talked.labels(name)
                self._offers[name] = 0

    def call_arrived(self) -> None:
        """Count an INVITE that is for us, before anything is decided about it."""
        self._arrived += 1

    def resources_awaited(self, how: Reserved, seconds: float) -> None:
        """Observe how long a call waited for its caller's resources."""
        self._reserved[how].observe(seconds)

    def measure_hop(self, hop: str) -> Observe:
        """Have figures of the set-up of calls at this hop, too; return what takes them."""
        return self._set_up.measure(hop)

    def call_offered(self, queue: str) -> None:
        """Count an agent's phone being called."""
        self._offers[queue] += 1

    def call_diverted(self, cause: str, target: str) -> None:
        """Count a caller sent out of the queues by an overflow rule."""
        self._diverted[cause, target] += 1

    def call_moved(self, cause: str, queue: str) -> None:
        """Count a caller who goes on waiting in another queue."""
        self._moved[cause, queue] += 1

    def agent_forced(self, state: str) -> None:
        """Count a supervisor's decision about an agent."""
        self._forced[state] += 1

    def recording_session(self, outcome: str) -> None:
        """Count what came of a session with a recording server."""
        self._recording_sessions[outcome] += 1

    def change_refused(self) -> None:
        """Count a configuration with mistakes that was not followed."""
        self._refused_changes += 1

    def call_ended(self, cdr: Cdr) -> None:
        """Count the end of a call and observe how long it waited and talked."""
        self._outcomes[cdr.outcome] += 1
        for leg, quality in (("caller", cdr.quality_caller), ("agent", cdr.quality_agent)):
            if quality is not None and quality.packets:
                self._observe_voice(leg, quality)
        if cdr.queue in self._talked and cdr.queued is not None:
            if cdr.connected is not None:
                how = ANSWERED
                self._talked[cdr.queue].observe(cdr.talked_seconds)
            else:
                how = ABANDONED if cdr.outcome in (Outcome.ABANDONED, Outcome.CANCELLED) else OTHER
            self._waited[cdr.queue, how].observe(cdr.waited_seconds)

    def _observe_voice(self, leg: str, quality: Quality) -> None:
        if quality.mos is not None and quality.scale is not None:
            self._mos[leg, quality.scale].observe(quality.mos)
        self._voice["loss_ratio"][leg].observe(quality.loss_percent / 100)
        self._voice["jitter_seconds"][leg].observe(quality.jitter_ms / 1000)
        if quality.round_trip_ms is not None:
            self._voice["round_trip_seconds"][leg].observe(quality.round_trip_ms / 1000)

    def voice_troubled(self, leg: str, trouble: str) -> None:
        """Count that the voice of a leg passed a threshold."""
        self._troubles[leg, trouble] += 1

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """Return the page for a scrape, and its content type, in the form that the Accept header asks for."""
        encode, content_type = choose_encoder(accept)
        return encode(self.registry), content_type

    def scrape(self) -> Iterator[Metric]:
        """Yield everything that is read from plain numbers."""
        readings = self._read()
        yield from of_floor(readings)
        yield from of_network(readings)
        yield from of_records(readings)
        yield counter("acd_calls_arrived", "INVITEs that began a call with us.", {(): self._arrived})
        yield counter(
            "acd_calls_ended",
            "Calls that ended, by how they ended.",
            {(outcome.value,): count for outcome, count in self._outcomes.items()},
            "outcome",
        )
        yield counter(
            "acd_offers",
            "Times an agent's phone was called for a caller of the queue.",
            {(queue,): count for queue, count in self._offers.items()},
            "queue",
        )
        yield counter(
            "acd_overflow_diverted",
            "Callers whom an overflow rule sent out of the queues, by the rule's condition and where to.",
            self._diverted,
            "cause",
            "target",
        )
        yield counter(
            "acd_overflow_moved",
            "Callers who went on waiting in another queue, by the rule's condition or api, and that queue.",
            self._moved,
            "cause",
            "queue",
        )
        forced = {(state,): count for state, count in self._forced.items()}
        yield counter("acd_agents_forced", "States that supervisors forced upon agents.", forced, "state")
        yield counter(
            "acd_voice_troubles",
            "Times that the voice of a leg passed a threshold of media.quality, by side and trouble.",
            self._troubles,
            "leg",
            "trouble",
        )
        yield counter(
            "acd_siprec_sessions",
            "Sessions with a recording server: begun, refused by it, failed before, or lost while they lasted.",
            {(outcome,): count for outcome, count in self._recording_sessions.items()},
            "outcome",
        )
        yield counter(
            "acd_config_refused", "Configurations with mistakes, not followed at run time.", {(): self._refused_changes}
        )


class _Scrape(Collector):
    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def describe(self) -> Iterable[Metric]:
        """Declare nothing: what is collected is known only at a scrape."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """Return what this scrape shows."""
        return self._metrics.scrape()
