"""The metrics of what goes over the network: SIP, trunks, emergency calls, RTP."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, get_args

from acd.metrics.families import counter, gauge
from ims_core.flow import TRANSPORTS
from ims_core.locate.errand import FAILOVERS
from ims_core.locate.records import KINDS, OUTCOMES
from ims_core.roles.emergency import Step
from ims_core.security import digest
from ims_core.security.door import COUNTED
from ims_core.security.guard import REASONS
from ims_core.transport.tls import FAILURES
from ims_core.transport.visitors import TURNED_AWAY
from ims_core.trunks.registration import State
from media.api import BackendName, MemberState

if TYPE_CHECKING:
    from prometheus_client.core import Metric

    from acd.metrics.readings import Readings
    from acd.trunkview import TrunkView
    from media.api import MediaCounters, Member

# The methods of RFC 3261, 3262, 3311, 3428, 3515, 3903, 6086 and 6665; any other is counted as "other".
METHODS = frozenset(
    "ACK BYE CANCEL INFO INVITE MESSAGE NOTIFY OPTIONS PRACK PUBLISH REFER REGISTER SUBSCRIBE UPDATE".split()
)


def of_network(readings: Readings) -> Iterator[Metric]:
    """Yield what is known of the network."""
    yield from _sip(readings)
    yield from _trunks(readings.trunks)
    yield from _emergencies(readings)
    yield from _media(readings.media)
    yield from _members(readings.media_members)


def _sip(readings: Readings) -> Iterator[Metric]:
    messages: Tally[tuple[str, ...]] = Tally()
    for (direction, method, kind), count in readings.sip_messages.items():
        messages[direction, method if method in METHODS else "other", kind] += count
    yield counter(
        "acd_sip_messages",
        "SIP messages, retransmissions included: requests, and responses by status class.",
        messages,
        "direction",
        "method",
        "class",
    )
    dropped = {(reason,): count for reason, count in readings.sip_dropped.items()}
    yield counter("acd_sip_dropped", "Received data that was no usable SIP message, by reason.", dropped, "reason")
    yield counter(
        "acd_sip_unexpected",
        "Events that a transaction did not expect in its state.",
        readings.sip_unexpected,
        "machine",
        "state",
        "event",
    )
    expired, glares = {(): readings.sip_sessions.get("timer", 0)}, {(): readings.sip_sessions.get("491", 0)}
    yield counter("acd_sip_sessions_expired", "Sessions ended because nobody refreshed them (RFC 4028).", expired)
    yield counter("acd_sip_glares", "Times that offers of both sides met: a 491 sent or received.", glares)
    yield gauge("acd_sip_transactions", "SIP transactions alive.", readings.transactions)
    yield gauge("acd_sip_dialogs", "SIP dialogs alive.", readings.dialogs)
    yield gauge("acd_sip_bindings", "Contacts registered.", readings.bindings)
    verdicts = {(outcome.value,): readings.authentications.get(outcome.value, 0) for outcome in digest.Outcome}
    yield counter(
        "acd_sip_authentications",
        "Requests that were asked for credentials, by what they had: right ones, none, outdated or wrong ones.",
        verdicts,
        "outcome",
    )
    bans = {(reason,): readings.bans.get(reason, 0) for reason in REASONS}
    yield gauge("acd_sip_bans", "Sources that are not heard, by why.", bans, "reason")
    rejected = {(method,): readings.rejected.get(method, 0) for method in (*sorted(COUNTED), "other")}
    yield counter("acd_sip_rejected", "New requests turned away for load, by method.", rejected, "method")
    rate = readings.admission_rate
    yield gauge("acd_sip_admission_rate", "New requests taken in per second; +Inf while there is no overload.", rate)
    yield gauge(
        "acd_sip_accept_latency_seconds",
        "How long what comes in has waited until it is looked at, a moving average.",
        readings.accept_latency,
    )
    connections = {(name.lower(),): readings.connections.get(name, 0) for name in TRANSPORTS if name != "UDP"}
    yield gauge("acd_sip_connections", "Connections open.", connections, "transport")
    away = {(reason,): readings.connections_turned_away.get(reason, 0) for reason in TURNED_AWAY}
    definition = "Connections not taken, or closed again, to keep room: there was none, or too many of one source's."
    yield counter("acd_sip_connections_turned_away", definition, away, "reason")
    failed = {(reason,): readings.handshakes_failed.get(reason, 0) for reason in FAILURES}
    yield counter("acd_sip_tls_handshakes_failed", "TLS handshakes that failed, by reason.", failed, "reason")
    answers = {(kind, outcome): readings.dns_answers.get((kind, outcome), 0) for kind in KINDS for outcome in OUTCOMES}
    definition = "Questions to nameservers, by the kind of record and what came."
    yield counter("acd_sip_dns_answers", definition, answers, "kind", "outcome")
    failovers = {(cause,): readings.failovers.get(cause, 0) for cause in FAILOVERS}
    definition = "Requests that went on to another server, or by another transport, by why the first did not serve."
    yield counter("acd_sip_failovers", definition, failovers, "cause")
    yield gauge("acd_sip_servers_dead", "Servers of peers that are known not to serve.", readings.servers_dead)


def _trunks(trunks: Sequence[TrunkView]) -> Iterator[Metric]:
    up = {(trunk.id, server.uri): server.up is not False for trunk in trunks for server in trunk.servers}
    yield gauge("acd_trunk_up", "1 unless the server of the trunk does not answer pings.", up, "trunk", "server")
    registered = {
        (trunk.id,): trunk.registration.state is State.REGISTERED for trunk in trunks if trunk.registration is not None
    }
    yield gauge("acd_trunk_registered", "1 while we are registered with the trunk, as wanted.", registered, "trunk")
    for name, attribute, definition in (
        ("calls", "calls", "Calls by trunks, by direction: in or out."),
        ("limited", "limited", "Calls turned away or sent elsewhere because the trunk had max_calls, by direction."),
    ):
        counts = {
            (trunk.id, direction): count for trunk in trunks for direction, count in getattr(trunk, attribute).items()
        }
        yield counter(f"acd_trunk_{name}", definition, counts, "trunk", "direction")
    under_way = {(trunk.id, direction): count for trunk in trunks for direction, count in trunk.calls_under_way.items()}
    yield gauge("acd_trunk_calls_under_way", "Calls by trunks now, by direction.", under_way, "trunk", "direction")
    failed_over = {(trunk.id,): trunk.failed_over for trunk in trunks}
    yield counter("acd_trunk_failovers", "Calls that went on by another trunk than this.", failed_over, "trunk")


def _emergencies(readings: Readings) -> Iterator[Metric]:
    steps = {(step.value,): readings.emergencies.get(step.value, 0) for step in Step}
    yield counter(
        "acd_emergency_requests",
        "Requests for emergency services: sent to a trunk (called), to the next one (failed_over), and how they ended; "
        "diverted ones were answered 380.",
        steps,
        "step",
    )
    fallbacks = {(): readings.fallbacks}
    yield counter("acd_fallbacks", "Calls refused for want of a way outside, for handsets to fall back.", fallbacks)


def _media(media: MediaCounters) -> Iterator[Metric]:
    packets = {("in",): media.packets_received, ("out",): media.packets_sent}
    yield counter("acd_rtp_packets", "RTP packets.", packets, "direction")
    octets = {("in",): media.octets_received, ("out",): media.octets_sent}
    yield counter("acd_rtp_bytes", "Bytes of RTP packets, UDP and IP headers aside.", octets, "direction")
    yield counter(
        "acd_rtp_lost_packets", "RTP packets that were sent to us and did not arrive.", {(): media.packets_lost}
    )
    yield counter(
        "acd_rtp_discarded_packets",
        "Packets not used: no RTP, from a stranger, not made with the keys agreed, received before, or not accepted by "
        "the system on sending.",
        {
            ("invalid",): media.packets_invalid,
            ("foreign",): media.packets_foreign,
            ("unauthentic",): media.packets_unauthentic,
            ("replayed",): media.packets_replayed,
            ("unsent",): media.packets_unsent,
        },
        "reason",
    )
    rtcp = {("in",): media.rtcp_received, ("out",): media.rtcp_sent}
    yield counter("acd_rtcp_packets", "Compound RTCP packets.", rtcp, "direction")
    refused = {(): media.rtcp_refused}
    yield counter("acd_rtcp_discarded_packets", "RTCP that was malformed or from a stranger.", refused)
    yield counter("acd_dtls_failures", "DTLS handshakes for SRTP that came to nothing.", {(): media.handshakes_failed})
    yield counter(
        "acd_ice_refused_checks", "Connectivity checks with wrong credentials, or none.", {(): media.checks_refused}
    )
    yield counter("acd_rtp_timeouts", "Legs whose peer stopped sending RTP for too long.", {(): media.rtp_timeouts})
    pressed = {("rfc4733",): media.digits, ("inband",): media.digits_inband, ("info",): media.digits_info}
    yield counter("acd_dtmf_digits", "Keys that peers pressed, by how that was first heard of.", pressed, "source")
    yield counter("acd_dtmf_digits_sent", "Keys pressed for peers: passed on, or ours.", {(): media.digits_sent})
    refused_digits = {(): media.digits_refused}
    yield counter("acd_dtmf_digits_refused", "Keys left out because they came too fast, or too many.", refused_digits)
    yield counter(
        "acd_prompts_missing", "Prompts that were to be played and are not there.", {(): media.prompts_missing}
    )
    yield counter(
        "acd_recording_errors", "Failures to write or to take what was to be recorded.", {(): media.recording_errors}
    )
    yield counter("acd_recording_bytes", "Bytes of recordings written.", {(): media.recording_octets})
    yield counter(
        "acd_recording_left_out_packets",
        "Packets that are silence in a recording because too many waited to be written.",
        {(): media.recording_left_out},
    )
    yield counter(
        "acd_media_worker_restarts", "Media workers that went away and were replaced.", {(): media.worker_restarts}
    )
    yield gauge("acd_media_workers", "Media workers that there should be.", media.workers)
    yield gauge("acd_media_workers_healthy", "Media workers that answer in time.", media.workers_healthy)
    yield counter(
        "acd_media_requests_repeated",
        "Commands to rtpengines that were sent again for want of an answer.",
        {(): media.requests_repeated},
    )
    yield gauge("acd_media_legs", "RTP sessions open.", media.legs)
    yield gauge("acd_media_mixed_legs", "RTP sessions whose peers hear what is mixed or converted.", media.mixed)
    yield gauge("acd_media_recordings", "Recordings being written.", media.recordings)
    yield gauge("acd_media_recordings_paused", "Recordings that have a gap now.", media.recordings_paused)
    yield gauge("acd_media_ports_in_use", "UDP ports in use for RTP and RTCP.", media.ports_in_use)
    yield gauge("acd_media_ports", "UDP ports that there are for RTP and RTCP.", media.ports_total)


def _members(members: Sequence[Member]) -> Iterator[Metric]:
    states = Tally((member.backend, member.state) for member in members)
    backends, kinds = get_args(BackendName), get_args(MemberState)
    every = {(backend, state): states[backend, state] for backend in backends for state in kinds}
    definition = "Media workers and rtpengines, by what they are ready for."
    yield gauge("acd_media_members", definition, every, "backend", "state")
    legs = {(member.backend, member.name): member.legs for member in members}
    yield gauge("acd_media_member_legs", "RTP sessions open in each of them.", legs, "backend", "member")
