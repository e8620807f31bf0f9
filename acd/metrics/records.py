"""The metrics of what is written: call records, their upload, the event log."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client.core import HistogramMetricFamily

from acd.journal.store import COMMIT_BOUNDS
from acd.metrics.families import counter, gauge

if TYPE_CHECKING:
    from prometheus_client.core import Metric

    from acd.journal.store import JournalCounters
    from acd.metrics.readings import Readings
    from acd.store import StoreCounters
    from acd.upload import UploadCounters


def of_records(readings: Readings) -> Iterator[Metric]:
    """Yield what is known of what is written."""
    yield from _cdr(readings.cdr)
    yield from _cdr_upload(readings.cdr_upload)
    yield from _journal(readings.journal)


def _cdr(cdr: StoreCounters) -> Iterator[Metric]:
    yield gauge("acd_cdr_waiting", "CDRs in memory that are still to be written.", cdr.queued)
    yield counter("acd_cdr_written", "CDRs written.", {(): cdr.written})
    yield counter("acd_cdr_dropped", "CDRs lost: no room to wait, or not storable.", {(): cdr.dropped})
    yield counter("acd_cdr_write_failures", "Failed attempts to write CDRs.", {(): cdr.failures})


def _cdr_upload(upload: UploadCounters) -> Iterator[Metric]:
    yield gauge("acd_cdr_upload_waiting", "CDRs that are still to be sent to cdr_upload.url.", upload.waiting)
    definition = "CDRs set aside because the endpoint does not take them, until they are sent again by the API."
    yield gauge("acd_cdr_upload_set_aside", definition, upload.set_aside)
    yield counter("acd_cdr_upload_sent", "CDRs that the endpoint has acknowledged.", {(): upload.sent})
    failed = {(): upload.failures}
    yield counter("acd_cdr_upload_failures", "Requests with CDRs that were refused or not answered.", failed)


def _journal(journal: JournalCounters) -> Iterator[Metric]:
    yield gauge("acd_journal_waiting", "Events in memory that are still to be written.", journal.waiting)
    yield counter("acd_journal_written", "Events written to the log.", {(): journal.written})
    yield counter("acd_journal_dropped", "Events lost: no room to wait, or not storable.", {(): journal.dropped})
    yield counter("acd_journal_failures", "Failed attempts to write to the log.", {(): journal.failures})
    yield gauge(
        "acd_journal_at_risk_seconds",
        "How long the first event of the latest commit had waited to be safe.",
        journal.at_risk_seconds,
    )
    total, buckets = 0, list[tuple[str, float]]()
    for bound, count in zip((*COMMIT_BOUNDS, math.inf), journal.commits, strict=True):
        total += count
        buckets.append(("+Inf" if bound == math.inf else str(bound), total))
    yield HistogramMetricFamily(
        "acd_journal_commit_seconds", "Time of each commit to the log.", buckets, journal.commit_seconds
    )
