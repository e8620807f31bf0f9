"""The gauges of the server before a load and after it: each is back where it was, or it is said here why it need not.

A gauge that is new is held to it without being named.
"""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client.parser import text_string_to_metric_families

NOT_HELD = {
    "process_virtual_memory_bytes": "addresses, most of them without memory behind",
    "process_resident_memory_bytes": "memory: to be flat is asked of its second half, workers included",
    "acd_sip_accept_latency_seconds": "a time measured a moment ago",
    "acd_journal_at_risk_seconds": "a time measured a moment ago",
    "acd_expected_wait_seconds": "learnt from the calls that were",
    "acd_expected_wait_error_seconds": "learnt from the calls that were",
    "acd_expected_wait_bias_seconds": "learnt from the calls that were",
    "acd_expected_wait_coverage_ratio": "learnt from the calls that were",
}
OF_THE_DAY = "acd_kpi_"  # key figures: they tell of the calls that were
FILES = "process_open_fds"
NO_MORE = {"acd_tasks", FILES}  # may be fewer: some of those at the start only started the server

Gauges = Mapping[str, float]


def gauges(page: str) -> dict[str, float]:
    """Return those of a page of ``/metrics`` that count what a load may leave, by name and labels."""
    return {
        sample.name + "".join(f" {name}={told}" for name, told in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(page)
        if family.type == "gauge" and family.name not in NOT_HELD and not family.name.startswith(OF_THE_DAY)
        for sample in family.samples
    }


def left_over(before: Gauges, after: Gauges) -> dict[str, tuple[float, float]]:
    """Return those that are not back, with what they were and what they are."""
    found = {}
    for name in before.keys() | after.keys():
        was, now = before.get(name, 0.0), after.get(name, 0.0)
        if now > was if name in NO_MORE else now != was:
            found[name] = was, now
    return dict(sorted(found.items()))
