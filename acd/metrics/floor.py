"""The metrics of queues and agents, and of the engine as a whole."""

from __future__ import annotations

import platform
from collections import Counter as Tally
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING

from acd.core.agents import AgentState
from acd.kpi.definitions import KPIS, SERVICE_LEVELS
from acd.metrics.families import counter, gauge, known

if TYPE_CHECKING:
    from prometheus_client.core import Metric

    from acd.core.floor import QueueSnapshot
    from acd.kpi.report import Item
    from acd.metrics.readings import Readings


def of_floor(readings: Readings) -> Iterator[Metric]:
    """Yield what is known of queues and agents."""
    yield from _engine(readings)
    yield from _routing(readings)
    yield from _floor(readings)
    yield from _expected_wait(readings.floor.queues)
    yield from _kpis(readings.today)


def _engine(readings: Readings) -> Iterator[Metric]:
    build = {(version("ims-acd"), platform.python_version()): 1}
    yield gauge("acd_build_info", "Always 1; the labels say what runs.", build, "version", "python")
    yield gauge("acd_ready", "1 while new calls are taken: SIP and media accept traffic and no drain.", readings.ready)
    yield gauge("acd_draining", "1 from the request to stop until the end of the process.", readings.draining)
    yield gauge("acd_calls", "Calls under way, from the INVITE to the last BYE.", readings.calls)
    yield gauge("acd_tasks", "asyncio tasks alive.", readings.tasks)


def _routing(readings: Readings) -> Iterator[Metric]:
    yield gauge("acd_policy", "The policy that calls are offered by: its number.", readings.policy)
    found = {(source,): count for source, count in readings.caller_lookups.items()}
    yield counter("acd_caller_lookups", "Look-ups of callers' profiles, by where they were found.", found, "source")


def _floor(readings: Readings) -> Iterator[Metric]:
    queues, agents = readings.floor.queues, readings.floor.agents
    waiting = {(queue.id,): queue.waiting for queue in queues}
    yield gauge("acd_queue_waiting", "Callers in the queue who talk to nobody yet.", waiting, "queue")
    longest = {(queue.id,): queue.longest_wait_seconds for queue in queues}
    yield gauge("acd_queue_longest_wait_seconds", "How long the first caller has waited.", longest, "queue")
    for name, definition in (
        ("offered", "Callers who entered the queue."),
        ("answered", "Callers of the queue whom an agent answered."),
        ("abandoned", "Callers who hung up before an agent answered."),
        ("overflowed", "Callers whom we sent from the queue to elsewhere."),
        ("released", "Callers whom we released from the queue: shutdown, lost media, longest wait."),
    ):
        counts = {(queue.id,): getattr(queue, name) for queue in queues}
        yield counter(f"acd_queue_{name}", definition, counts, "queue")
    by_queue = {(queue.id, state.value): queue.agents.get(state, 0) for queue in queues for state in AgentState}
    yield gauge(
        "acd_queue_agents",
        "Agents who serve the queue, by state; one counts in each queue.",
        by_queue,
        "queue",
        "state",
    )
    states = Tally(agent.state for agent in agents)
    yield gauge("acd_agents", "Agents, by state.", {(state.value,): states[state] for state in AgentState}, "state")
    ignored = {(str(kind),): count for kind, count in readings.inputs_ignored.items()}
    yield counter("acd_inputs_ignored", "Late or repeated inputs that changed nothing, by kind.", ignored, "kind")


def _expected_wait(queues: Iterable[QueueSnapshot]) -> Iterator[Metric]:
    estimates = {
        (queue.id, bound): getattr(queue.expected_wait, bound)
        for queue in queues
        if queue.expected_wait is not None
        for bound in ("low", "expected", "high")
    }
    yield gauge(
        "acd_expected_wait_seconds",
        "The wait of one more caller: expected, and from low to high in four cases of five; nothing while not known.",
        estimates,
        "queue",
        "bound",
    )
    good = {(queue.id, name): accuracy for queue in queues for name, accuracy in queue.estimators.items()}
    labels = "queue", "estimator"
    scored = {key: accuracy.scored for key, accuracy in good.items()}
    yield counter("acd_expected_wait_scored", "Estimates that were compared with the wait that came.", scored, *labels)
    for name, attribute, definition in (
        ("error_seconds", "error_seconds", "The mean absolute error of the last hundred or so estimates."),
        ("bias_seconds", "bias_seconds", "Their mean error; above 0 for waits shorter than expected."),
        ("coverage_ratio", "coverage", "The share of waits within the range that was given; 0.8 is intended."),
    ):
        figures = known({key: getattr(accuracy, attribute) for key, accuracy in good.items()})
        yield gauge(f"acd_expected_wait_{name}", definition, figures, *labels)


def _kpis(today: Sequence[Item]) -> Iterator[Metric]:
    """Show each key figure as it is defined; a queue in which one has no denominator yet has none."""
    for kpi in KPIS.values():
        figures = {(item.id,): getattr(item.kpis, kpi.name) for item in today}
        yield gauge(f"acd_kpi_{kpi.name}", f"{kpi.title} today: {kpi.formula}", known(figures), "queue")
    variants = ", ".join(f"{kpi.name}: {kpi.formula.rstrip('.')}" for kpi in SERVICE_LEVELS.values())
    levels = {
        (item.id, variant): getattr(item.service_levels[0], variant) for item in today for variant in SERVICE_LEVELS
    }
    definition = f"Service level today, T being the queue's service_level_seconds, by variant; {variants}."
    yield gauge("acd_kpi_service_level", definition, known(levels), "queue", "variant")
