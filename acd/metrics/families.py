"""Families of metrics made of plain numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

Values = Mapping[Any, float]  # by the values of the labels, in their order


def counter(name: str, definition: str, values: Values, *labels: str) -> Metric:
    """Return totals by the values of `labels`."""
    family = CounterMetricFamily(name, definition, labels=labels)
    for key, value in values.items():
        family.add_metric(key, value)
    return family


def gauge(name: str, definition: str, values: Values | float, *labels: str) -> Metric:
    """Return present values by those of `labels`, or the only one."""
    family = GaugeMetricFamily(name, definition, labels=labels)
    for key, value in values.items() if isinstance(values, Mapping) else [((), values)]:
        family.add_metric(key, value)
    return family


def known(figures: Mapping[Any, float | None]) -> Values:
    """Leave out what is not known."""
    return {key: figure for key, figure in figures.items() if figure is not None}
