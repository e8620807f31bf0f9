"""The metrics of an IMS core: who is registered and how that went, whose services were applied and with what result."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.registry import Collector

from acd.metrics.families import counter, gauge
from ims_core.profiles.model import Registration, SessionCase
from ims_core.security.aka import AkaAuthenticator
from ims_core.subscribers.subscriber import Aka, Password

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from prometheus_client.core import Metric

    from acd.ims.hops import Hop
    from acd.ims.serving import Serving
    from ims_core.roles.pcscf_hop import PcscfHop

_SCHEMES = {Password: "digest", Aka: "aka"}


class ImsFigures(Collector):
    """Tells the figures of the roles that run in this process, read at each scrape."""

    def __init__(self, hops: Sequence[Hop], serving: Serving | None) -> None:
        self._hops = hops
        self._serving = serving or next((hop.serving for hop in hops if hop.serving is not None), None)
        self._edge = next((hop.edge for hop in hops if hop.edge is not None), None)

    def describe(self) -> Iterable[Metric]:
        """Declare nothing: what is collected is known only at a scrape."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """Return what this scrape shows."""
        transactions = {(hop.name,): sum(hop.node.endpoint.transactions().values()) for hop in self._hops}
        yield gauge("acd_ims_hop_transactions", "SIP transactions of each CSCF that is a hop.", transactions, "hop")
        if self._edge is not None:
            yield from _edge(self._edge)
        if self._serving is not None:
            yield from _serving(self._serving)


def _edge(edge: PcscfHop) -> Iterator[Metric]:
    yield gauge("acd_ims_handsets", "Contacts that registered through this P-CSCF.", len(edge.handsets))
    watch = edge.watch
    if watch is not None:
        yield gauge("acd_ims_watches", "Registrations that this P-CSCF is told of by the S-CSCF.", len(watch))
        news = {(event,): watch.counts[event] for event in ("taken_off", "shortened", "malformed")}
        yield counter("acd_ims_watch_news", "What it was told: contacts, and documents that are none.", news, "news")


def _serving(serving: Serving) -> Iterator[Metric]:
    registrations = serving.registrations
    yield gauge("acd_ims_registered_contacts", "Contacts of subscribers at the S-CSCF.", len(registrations))
    kinds = {(kind.name.lower(),): registrations.counts[kind.name.lower()] for kind in Registration}
    yield counter("acd_ims_registrations", "Changes of registrations: initial, re or de.", kinds, "kind")
    refused = {(why,): serving.enrolment.refused[why] for why in ("unknown", "forbidden")}
    yield counter(
        "acd_ims_registrations_refused", "REGISTERs for nobody's identity, or for somebody else's.", refused, "reason"
    )
    failed = {(what,): count for what, count in serving.subscribers.failures().items()}
    yield counter(
        "acd_ims_subscriber_failures",
        "Look-ups of subscribers (read) and notes of sequence numbers (write) that SQLite refused.",
        failed,
        "operation",
    )
    verdicts: dict[tuple[str, str], int] = {}
    for kind, authenticator in serving.authenticators.items():
        for outcome, count in authenticator.verdicts().items():
            verdicts[_SCHEMES[kind], outcome] = count
        if isinstance(authenticator, AkaAuthenticator):
            resynchronised = authenticator.resynchronised
            yield counter(
                "acd_ims_resynchronisations", "USIMs whose sequence number was taken over.", {(): resynchronised}
            )
    yield counter(
        "acd_ims_authentications",
        "REGISTERs by scheme and by how their credentials fared.",
        verdicts,
        "scheme",
        "outcome",
    )
    cases = {(case.name.lower(),): serving.scscf.sessions[case] for case in SessionCase}
    yield counter("acd_ims_sessions", "Requests whose user's services were applied, by session case.", cases, "case")
    outcomes = {(outcome,): count for outcome, count in serving.services.outcomes.items()}
    yield counter(
        "acd_ims_server_requests", "Requests to application servers, by what came of it.", outcomes, "outcome"
    )
    told = {(outcome,): serving.third_parties.counts[outcome] for outcome in ("accepted", "refused", "failed")}
    yield counter("acd_ims_server_registrations", "Third-party REGISTERs, by how servers took them.", told, "outcome")
    yield gauge("acd_ims_watchers", "Subscriptions to registrations (the reg package).", len(serving.notifier))
