"""Who calls: the options `--arrivals`, `--service` and `--patience` with the numbers and queues of the configuration.

An arrivals expression may end in `number=` (a configured number: its queue, priority and needs), `queue=` (a queue, or
the choice of who dials a menu), `priority=` and `skills=` (required ones with levels, as `en:2+vip:1`). Service and
patience may be given for one `number=` or `queue=` alone; otherwise they are for all others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from acd.config import ToFlow, ToQueue
from acd.core.events import CallArrived
from acd.core.needs import Needs, needs
from acd.policy import Route, both, route_of
from acd.simulation.arrivals import Arrivals, arrivals
from acd.simulation.draws import Draw, ReadLines, draw
from acd.simulation.expressions import Expression, ExpressionError
from acd.simulation.scenario import Stream

if TYPE_CHECKING:
    from collections.abc import Sequence

    from acd.config import Config
    from acd.simulation.chance import Chance


class Entrance(msgspec.Struct, frozen=True):
    """Where callers of one kind take their place, and as whom."""

    queue: str
    number: str = ""
    priority: int = 0
    needs: Needs = Needs()

    def arrive(self, call_id: str) -> CallArrived:
        """The event that tells the engine of such a caller."""
        return CallArrived(call_id, self.queue, self.priority, self.needs, number=self.number)


class Kind(msgspec.Struct, frozen=True):
    """Callers of one kind: when they come, where to, how long they talk and how long they wait."""

    times: Arrivals
    entrance: Entrance
    service: Draw
    patience: Draw

    def stream(self, index: int, chance: Chance, time_of_day: float) -> Stream:
        """Begin to draw them, each property from a source of chance of its own, which is found by its name."""
        return Stream(
            f"{index}-",
            self.times(chance(f"arrivals {index}"), time_of_day),
            self.service(chance(f"service {index}")),
            self.patience(chance(f"patience {index}")),
            self.entrance.arrive,
            self.entrance.number,
        )


def kinds(
    config: Config,
    coming: Sequence[str],
    service: Sequence[str],
    patience: Sequence[str],
    read_lines: ReadLines,
) -> list[Kind]:
    """Return the callers that the options describe. Raises ExpressionError."""
    services = [_for_whom(text, config, read_lines) for text in service]
    patiences = [_for_whom(text, config, read_lines) for text in patience]
    found = []
    for text in coming:
        expression = Expression(text)
        entrance = _entrance(expression, config)
        times = arrivals(expression, read_lines)
        expression.close()
        found.append(
            Kind(times, entrance, _choose("--service", services, entrance), _choose("--patience", patiences, entrance))
        )
    return found


def _entrance(expression: Expression, config: Config) -> Entrance:
    number, queue = expression.take("number"), expression.take("queue")
    route = Route()
    if number is not None:
        target = config.numbers.get(number)
        match target:
            case ToQueue():
                queue = queue or target.queue
            case ToFlow():
                queue = queue or config.flows[target.flow].default
            case None:
                raise expression.error(f"no number {number} is configured")
            case _:
                raise expression.error(f"number {number} leads to no queue")
        route = route_of(target)
    if queue is None:
        if len(config.queues) != 1:
            raise expression.error("say number= or queue=, there are several queues")
        queue = next(iter(config.queues))
    if queue not in config.queues:
        raise expression.error(f"no queue {queue} is configured")
    priority = route.priority + expression.whole("priority", default=0)
    return Entrance(queue, number or "", priority, both(route.needs, _skills(expression)))


def _skills(expression: Expression) -> Needs:
    required = {}
    for skill in filter(None, (expression.take("skills") or "").split("+")):
        name, _, level = skill.partition(":")
        if not name or not (level or "1").isdecimal():
            raise expression.error(f"skills are to be like en:2+vip:1, not {skill!r}")
        required[name] = int(level or 1)
    return needs(required)


def _for_whom(text: str, config: Config, read_lines: ReadLines) -> tuple[str | None, str | None, Draw]:
    expression = Expression(text)
    number, queue = expression.take("number"), expression.take("queue")
    if number is not None and number not in config.numbers:
        raise expression.error(f"no number {number} is configured")
    if queue is not None and queue not in config.queues:
        raise expression.error(f"no queue {queue} is configured")
    drawn = draw(expression, read_lines)
    expression.close()
    return number, queue, drawn


def _choose(option: str, given: list[tuple[str | None, str | None, Draw]], entrance: Entrance) -> Draw:
    """Return the distribution that says most about these callers; of two that say as much the later counts."""
    best: tuple[int, Draw] | None = None
    for number, queue, drawn in given:
        if number in {None, entrance.number} and queue in {None, entrance.queue}:
            closeness = 2 * (number is not None) + (queue is not None)
            if best is None or closeness >= best[0]:
                best = closeness, drawn
    if best is None:
        raise ExpressionError(f"{option}: nothing is said about the callers of queue {entrance.queue}")
    return best[1]
