"""What is read at a scrape."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import msgspec

from acd.core.floor import FloorSnapshot
from acd.journal.store import JournalCounters
from acd.kpi.report import Item
from acd.store import StoreCounters
from acd.trunkview import TrunkView
from acd.upload import UploadCounters
from media.api import MediaCounters, Member


class Readings(msgspec.Struct, frozen=True, kw_only=True):
    """The plain numbers of one moment; a mapping's values are totals since the start.

    `sip_messages` by (direction "in" or "out", method, "request" or a status class as "2xx"), `sip_dropped` by
    reason, `sip_unexpected` by (machine, state, event), `inputs_ignored` (of the distributor) by kind, `caller_lookups`
    by source, `connections_turned_away` and `bans` by reason, `rejected` (for load) by method. `admission_rate` is
    infinite without overload, `accept_latency` in seconds. `today` are the key figures of the day, an item for each
    queue.
    """

    ready: bool = False
    draining: bool = False
    calls: int = 0
    dialogs: int = 0
    transactions: int = 0
    tasks: int = 0
    bindings: int = 0
    connections: Mapping[str, int] = {}
    connections_turned_away: Mapping[str, int] = {}
    handshakes_failed: Mapping[str, int] = {}
    dns_answers: Mapping[tuple[str, str], int] = {}
    failovers: Mapping[str, int] = {}
    servers_dead: int = 0
    trunks: Sequence[TrunkView] = ()
    emergencies: Mapping[str, int] = {}
    fallbacks: int = 0
    authentications: Mapping[str, int] = {}
    bans: Mapping[str, int] = {}
    rejected: Mapping[str, int] = {}
    admission_rate: float = math.inf
    accept_latency: float = 0.0
    sip_messages: Mapping[tuple[str, str, str], int] = {}
    sip_dropped: Mapping[str, int] = {}
    sip_sessions: Mapping[str, int] = {}
    sip_unexpected: Mapping[tuple[str, str, str], int] = {}
    inputs_ignored: Mapping[str, int] = {}
    caller_lookups: Mapping[str, int] = {}
    policy: int = 0
    today: Sequence[Item] = ()
    floor: FloorSnapshot = FloorSnapshot((), ())
    media: MediaCounters = MediaCounters()
    media_members: Sequence[Member] = ()
    cdr: StoreCounters = StoreCounters(0, 0, 0, 0)
    cdr_upload: UploadCounters = UploadCounters()
    journal: JournalCounters = JournalCounters()
