"""How long the set-up of calls takes at each SIP element: histograms, and a line of the log for each call."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from acd.metrics import Metrics
    from ims_core.node import Node
    from ims_core.setup import SetUp, Stage

log = structlog.get_logger()


def measure_set_up(node: Node, metrics: Metrics, hop: str) -> None:
    """Measure the set-up of calls that are taken, made and forwarded by ``node``, named ``hop`` in metrics and log."""
    observe = metrics.measure_hop(hop)
    is_told = log.is_enabled_for(logging.DEBUG)

    def tell(set_up: SetUp, stage: Stage, seconds: float) -> None:
        observe(set_up.role, stage, seconds)
        if (
            is_told and stage == "answered" and set_up.role != "callee"
        ):  # of calls that the engine takes, `call.ended` tells
            log.debug("call.set_up", hop=hop, role=set_up.role, sip_call_id=set_up.call_id, **stages(set_up))

    node.ua.on_set_up = node.proxy.on_set_up = tell


def stages(set_up: SetUp | None) -> dict[str, float | None]:
    """Return the seconds to the first 18x and to the 2xx for the log, None where it did not come so far."""
    alerted = set_up.progress if set_up is not None else None
    answered = set_up.answered if set_up is not None else None
    return {
        "alerted_after": None if alerted is None else round(alerted, 3),
        "answered_after": None if answered is None else round(answered, 3),
    }
