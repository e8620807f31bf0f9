"""Who is not heard: access lists, bans and token buckets by source, without I/O.

A datagram may bear any source, so what it says is held against nobody but its own request:

    a flow that registered, a trusted host      not limited, nor touched by a ban of its host unless it offends itself
    any other source                            has a bucket of requests; what is beyond it is dropped unanswered
    a scanner's signature in a datagram         dropped, and its source *suspected*: until the ban ends one datagram a
                                                second is let through, enough for a phone that really is there to
                                                register, which ends the suspicion; connections are not affected
    wrong passwords for a nonce sent to just    the sender is where he says he is: banned, nothing more is read of him
    this host, or over a connection
    challenges that a connection leaves         likewise
    unanswered
    garbage                                     counted where it is parsed; no reason for a ban

An IPv6 source is its /64, which is what one customer has; it is written as the first address of it.
"""

from __future__ import annotations

import re
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address
from math import inf
from typing import TYPE_CHECKING, Literal, get_args

from msgspec import Struct

from ims_core.flow import Flow, source_of
from ims_core.security.digest import Outcome, Verdict

if TYPE_CHECKING:
    from ims_core.messages.message import Request
    from ims_core.roles.neighbours import Neighbours

MINUTE = 60.0
MOST_SOURCES = 10_000
MOST_BANS = 10_000
MOST_OFFENDERS = 32
TRICKLE_SECONDS = 1.0  # between two datagrams that are let through from a suspected source
REFUND = 2.0  # what a request with the right credentials took from the bucket: itself and the one that was challenged
SCANNERS = (
    "friendly-scanner", "sipvicious", "svmap", "svwar", "svcrack", "sundayddr", "sip-scan", "sipscan", "sivus",
    "pplsip", "vaxsipuseragent", "sipcli",
)  # fmt: skip

Network = IPv4Network | IPv6Network
Reason = Literal["credentials", "scanner", "operator"]
REASONS: tuple[Reason, ...] = get_args(Reason)


class Rules(Struct, frozen=True, kw_only=True):
    """What is allowed; rates are per source.

    ``wrong_credentials`` and ``unanswered_challenges`` within a minute lead to a ban, 0 of them never do.
    ``scanners`` are parts of a User-Agent or From, in any case.
    """

    allow: tuple[Network, ...] = ()
    deny: tuple[Network, ...] = ()
    requests_per_second: float = 50.0
    burst: int = 200
    wrong_credentials: int = 10
    unanswered_challenges: int = 60
    ban_seconds: float = 600.0
    scanners: tuple[str, ...] = SCANNERS


class Ban(Struct):
    """A source that is not heard until ``until``; ``proven``: it cannot be the victim of a spoofer.

    ``offenders`` are the ports of registered flows that gave a reason themselves.
    """

    source: str
    reason: Reason
    since: float
    until: float
    proven: bool
    offenders: tuple[int, ...] = ()
    trickled: float = -inf


class _Source(Struct, gc=False):
    """What is remembered of a source: its bucket."""

    tokens: float
    filled: float


class _Offences(Struct, gc=False):
    """When a source that is where it says did something wrong, as far as that counts still."""

    wrong: tuple[float, ...] = ()
    unanswered: tuple[float, ...] = ()


class Guard:
    """Decides by source and keeps the bans.

    ``is_registered`` tells whether a contact registered over a flow, ``is_trusted`` whether a host belongs to
    somebody who is beyond suspicion, as a trunk. ``peers`` are the elements next to this one, which speak for many:
    nothing limits them, and whoever sends wrong credentials through them is theirs to punish. ``on_ban`` and
    ``on_pardon`` are told of every change; ``dropped`` counts by reason.
    """

    def __init__(
        self,
        rules: Rules,
        *,
        is_registered: Callable[[Flow], bool],
        is_trusted: Callable[[str], bool] = lambda _: False,
    ) -> None:
        self.dropped: Counter[str] = Counter()
        self.on_ban: Callable[[Ban], None] = lambda _: None
        self.on_pardon: Callable[[Ban], None] = lambda _: None
        self.peers: Neighbours | None = None
        self._rules = rules
        self._is_registered = is_registered
        self._is_trusted = is_trusted
        self._is_allowed = lru_cache(MOST_SOURCES)(lambda host: _is_in(host, rules.allow))
        self._is_denied = lru_cache(MOST_SOURCES)(lambda host: _is_in(host, rules.deny))
        self._scanner = re.compile("|".join(map(re.escape, rules.scanners)), re.IGNORECASE) if rules.scanners else None
        self._sources: OrderedDict[str, _Source] = OrderedDict()
        self._offences: OrderedDict[str, _Offences] = OrderedDict()  # apart: no spoofer has them forgotten
        self._bans: dict[str, Ban] = {}
        self._suspected: dict[str, None] = {}

    # At the door --------------------------------------------------------------------------------------------

    def shuts_out(self, flow: Flow, now: float) -> bool:
        """Whether a message from ``flow`` is to be dropped unread; cheap when nobody is banned."""
        if self._bans:
            ban = self._bans.get(source_of(flow.remote[0]))
            if ban is not None and self._applies(ban, flow, now):
                self.dropped["banned"] += 1
                return True
        if self._rules.deny and self._is_denied(flow.remote[0]):
            self.dropped["denied"] += 1
            return True
        return False

    def _applies(self, ban: Ban, flow: Flow, now: float) -> bool:
        if ban.until <= now:
            self._end(ban)
            return False
        if ban.reason != "operator":
            if self.peers is not None and self.peers.listens_at(flow.remote):
                return False
            if self._is_registered(flow):
                return flow.remote[1] in ban.offenders
        if ban.proven:
            return True
        if flow.reliable:
            return False
        if now < ban.trickled + TRICKLE_SECONDS:
            return True
        ban.trickled = now
        return False

    def admits(self, request: Request, flow: Flow, now: float) -> bool:
        """Whether a request that belongs to nothing known is to be looked at; otherwise it is not even answered."""
        host = flow.remote[0]
        if self._is_registered(flow) or self._is_allowed(host) or self._is_trusted(host):
            return True
        if self.peers is not None and self.peers.knows(request, flow):
            return True
        if self._scanner is not None and self._is_scanner(self._scanner, request):
            self.dropped["scanner"] += 1
            self._punish(flow, "scanner", now, proven=flow.reliable)
            return False
        source = self._source(flow, now)
        rules = self._rules
        tokens = min(source.tokens + (now - source.filled) * rules.requests_per_second, rules.burst)
        source.filled = now
        source.tokens = tokens - 1 if tokens >= 1 else tokens
        if tokens < 1:
            self.dropped["rate"] += 1
            return False
        return True

    def trusts(self, host: str) -> bool:
        """Whether a host is never limited."""
        return self._is_allowed(host) or self._is_trusted(host)

    @staticmethod
    def _is_scanner(pattern: re.Pattern[str], request: Request) -> bool:
        agent = request.get("User-Agent")
        return (agent is not None and pattern.search(agent) is not None) or (
            pattern.search(request.get("From") or "") is not None
        )

    # What became of a request -------------------------------------------------------------------------------

    def judged(self, flow: Flow, verdict: Verdict, now: float) -> None:
        """Take note of how credentials from ``flow`` fared; whoever has none, or wrong ones, is challenged next."""
        if self._is_allowed(flow.remote[0]) or (self.peers is not None and self.peers.may_send_by(flow)):
            return
        if verdict.outcome is Outcome.ACCEPTED:
            source = self._source(flow, now)
            source.tokens = min(source.tokens + REFUND, self._rules.burst)
            if (offences := self._offences.get(source_of(flow.remote[0]))) is not None:
                offences.unanswered = ()
            ban = self._bans.get(source_of(flow.remote[0]))
            if ban is not None and not ban.proven:
                self._end(ban)
        elif verdict.outcome is Outcome.WRONG:
            offences = self._offences_of(flow)
            offences.wrong = _within_a_minute(offences.wrong, self._rules.wrong_credentials, now)
            if 0 < self._rules.wrong_credentials <= len(offences.wrong):
                self._punish(flow, "credentials", now, proven=True)
        elif verdict.outcome is Outcome.MISSING and flow.reliable:
            offences = self._offences_of(flow)
            offences.unanswered = _within_a_minute(offences.unanswered, self._rules.unanswered_challenges, now)
            if 0 < self._rules.unanswered_challenges <= len(offences.unanswered):
                self._punish(flow, "scanner", now, proven=True)

    def _source(self, flow: Flow, now: float) -> _Source:
        name = source_of(flow.remote[0])
        source = self._sources.get(name)
        if source is None:
            if len(self._sources) >= MOST_SOURCES:
                self._sources.popitem(last=False)
            source = self._sources[name] = _Source(self._rules.burst, now)
        else:
            self._sources.move_to_end(name)
        return source

    def _offences_of(self, flow: Flow) -> _Offences:
        name = source_of(flow.remote[0])
        offences = self._offences.get(name)
        if offences is None:
            if len(self._offences) >= MOST_SOURCES:
                self._offences.popitem(last=False)
            offences = self._offences[name] = _Offences()
        else:
            self._offences.move_to_end(name)
        return offences

    # Bans ---------------------------------------------------------------------------------------------------

    def _punish(self, flow: Flow, reason: Reason, now: float, *, proven: bool) -> None:
        if self._is_trusted(flow.remote[0]):
            return
        source, port = source_of(flow.remote[0]), flow.remote[1]
        held = self._bans.get(source)
        if held is not None and held.until <= now:
            self._end(held)
            held = None
        offenders = (port,) if self._is_registered(flow) else ()
        if held is None or (proven and not held.proven):
            self._enter(Ban(source, reason, now, now + self._rules.ban_seconds, proven, offenders))
        elif proven and offenders and port not in held.offenders:
            held.offenders = (*held.offenders[-MOST_OFFENDERS:], port)

    def _enter(self, ban: Ban) -> None:
        """Take in a ban. What is not proven never displaces what is, whatever a spoofer makes up."""
        if len(self._bans) >= MOST_BANS and ban.source not in self._bans:
            if not ban.proven:
                return
            oldest = next(iter(self._suspected), None) or next(iter(self._bans))
            self._end(self._bans[oldest])
        self._bans[ban.source] = ban
        if ban.proven:
            self._suspected.pop(ban.source, None)
        else:
            self._suspected[ban.source] = None
        self.on_ban(ban)

    def _end(self, ban: Ban) -> None:
        del self._bans[ban.source]
        self._suspected.pop(ban.source, None)
        self._sources.pop(ban.source, None)
        self._offences.pop(ban.source, None)
        self.on_pardon(ban)

    def ban(self, host: str, now: float, seconds: float | None = None) -> Ban:
        """Ban a host by an operator's word, registered or not. Raises ``ValueError`` when it is no IP address."""
        ip_address(host)
        until = now + (self._rules.ban_seconds if seconds is None else seconds)
        ban = Ban(source_of(host), "operator", now, until, proven=True)
        self._enter(ban)
        return ban

    def pardon(self, host: str, now: float) -> bool:
        """Hear a host again and forget what it did; False when it was not banned."""
        self._expire(now)
        ban = self._bans.get(source_of(host))
        if ban is None:
            return False
        self._end(ban)
        return True

    def bans(self, now: float) -> Sequence[Ban]:
        """The bans that hold, the oldest first."""
        self._expire(now)
        return list(self._bans.values())

    def _expire(self, now: float) -> None:
        for ban in [ban for ban in self._bans.values() if ban.until <= now]:
            self._end(ban)


def _within_a_minute(times: tuple[float, ...], most: int, now: float) -> tuple[float, ...]:
    """Add ``now`` to ``times`` and drop what is older than a minute, or more than anybody counts."""
    return (*(time for time in times if now - time < MINUTE), now)[-max(most, 1) :]


def _is_in(host: str, networks: Iterable[Network]) -> bool:
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return any(address in network for network in networks)
