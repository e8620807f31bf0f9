"""The comparisons of `make bench`: each the same load on our server and on a peer's, with the mark to reach."""

from __future__ import annotations

from benchmarks import decisions, ims, loads, ours, peers
from benchmarks.sampling import Figure

STREAMS = (200, 1_000)  # two a call, one each way


def comparisons(environment: ours.Environment) -> list[Figure]:
    """Return all comparisons; `environment` is added to that of our servers only."""
    engine, worker = ours.start_engine(environment), ours.start_media_worker(environment)
    recorder = ours.start_media_worker(environment, recording=True)
    hops, together = (ims.start_core(environment, apart=apart) for apart in (True, False))

    return [
        Figure(
            name="register",
            title="REGISTER without authentication",
            peer="Kamailio",
            unit="µs of CPU each",
            mark=1.2,
            times=3,
            ours=loads.registrations(engine),
            theirs=loads.registrations(peers.kamailio),
            value=lambda sample: sample.cost,
        ),
        Figure(
            name="register_forgetful",
            title="the same, our bindings in memory only",
            peer="Kamailio",
            unit="µs of CPU each",
            mark=1.2,
            ours=loads.registrations(ours.start_engine(environment, ours.FORGETFUL)),
            theirs=loads.registrations(peers.kamailio),
            value=lambda sample: sample.cost,
        ),
        Figure(
            name="register_digest",
            title="REGISTER with digest, 401 and 200",
            peer="Kamailio",
            unit="µs of CPU each",
            mark=1.2,
            times=3,
            ours=loads.registrations(ours.start_engine(environment, ours.DIGEST), digest=True),
            theirs=loads.registrations(peers.kamailio_with_digest, digest=True),
            value=lambda sample: sample.cost,
        ),
        Figure(
            name="register_digest_forgetful",
            title="the same, our bindings in memory only",
            peer="Kamailio",
            unit="µs of CPU each",
            mark=1.2,
            ours=loads.registrations(ours.start_engine(environment, ours.DIGEST, ours.FORGETFUL), digest=True),
            theirs=loads.registrations(peers.kamailio_with_digest, digest=True),
            value=lambda sample: sample.cost,
        ),
        Figure(
            name="proxy",
            title="proxied call, INVITE to BYE",
            peer="Kamailio",
            unit="µs of CPU each",
            mark=1.5,
            ours=loads.proxied_calls(engine),
            theirs=loads.proxied_calls(peers.kamailio),
            value=lambda sample: sample.cost,
        ),
        Figure(
            name="queue",
            title="queue call; the peer: plain B2BUA call",
            peer="sippy",
            unit="calls per CPU second",
            mark=2.5,
            ours=loads.queued_calls(ours.start_queue(environment), ours.QUEUE_NUMBER),
            theirs=loads.queued_calls(peers.sippy, ours.QUEUE_NUMBER),
            value=lambda sample: sample.per_cpu_second,
            higher_is_better=True,
        ),
        Figure(
            name="queue_clever",
            title="queue call with skills, rings, profiles, hours and rules; the peer: without",
            peer="ours",
            unit="calls per CPU second",
            mark=0.9,  # it must not fall; medians of nine runs of the same differ by so much
            times=3,
            ours=loads.queued_calls(ours.start_clever_queue(environment), ours.QUEUE_NUMBER),
            theirs=loads.queued_calls(ours.start_queue(environment), ours.QUEUE_NUMBER),
            value=lambda sample: sample.per_cpu_second,
            higher_is_better=True,
        ),
        Figure(
            name="aka",
            title="AKA registration, 401 and 200, three hops",
            peer="our one process",
            unit="µs of CPU each",
            mark=None,
            ours=ims.registrations(hops),
            theirs=ims.registrations(together),
            value=lambda sample: sample.cost,
            hops=ims.HOPS,
        ),
        Figure(
            name="ims_call",
            title="call from handset to handset, three hops",
            peer="our one process",
            unit="µs of CPU each",
            mark=None,
            ours=ims.calls(hops),
            theirs=ims.calls(together),
            value=lambda sample: sample.cost,
            hops=ims.HOPS,
        ),
        Figure(
            name="service_call",
            title="call to a service number, three hops",
            peer="our one process",
            unit="µs of CPU each",
            mark=None,
            ours=ims.calls(hops, ims.ECHO_NUMBER),
            theirs=ims.calls(together, ims.ECHO_NUMBER),
            value=lambda sample: sample.cost,
            hops=ims.HOPS,
        ),
        *(
            Figure(
                name=f"relay_{streams}{suffix}",
                title=f"relayed RTP packet, {streams:,} streams{told}",
                peer="rtpengine",
                unit="µs of CPU each",
                mark=0.9,
                ours=loads.relayed_packets(mine, streams // 2),
                theirs=loads.relayed_packets(theirs, streams // 2),
                value=lambda sample: sample.cost,
            )
            for mine, theirs, suffix, told in (
                (worker, peers.rtpengine, "", ""),
                (recorder, peers.rtpengine_recording, "_recorded", ", recorded"),
            )
            for streams in STREAMS
        ),
        *(
            Figure(
                name=f"delay_{streams}",
                title=f"delay of a relayed packet, p99, {streams:,} streams",
                peer="rtpengine",
                unit="µs",
                mark=1.0,
                ours=loads.relayed_packets(worker, streams // 2),
                theirs=loads.relayed_packets(peers.rtpengine, streams // 2),
                value=lambda sample: sample.delay_us,
            )
            for streams in STREAMS
        ),
        Figure(
            name="calls",
            title="50 two-way G.711 calls",
            peer="rtpengine",
            unit="% of a core",
            mark=0.7,
            ours=loads.relayed_packets(worker, 50),
            theirs=loads.relayed_packets(peers.rtpengine, 50),
            value=lambda sample: sample.share_of_a_core,
        ),
        Figure(
            name="decisions",
            title=f"decision, p99: {decisions.WAITING:,} waiting, {decisions.AGENTS:,} agents",
            peer="plain scan",
            unit="µs of CPU each",
            mark=decisions.MARK,
            ours=decisions.searches,
            theirs=decisions.scans,
            value=lambda sample: sample.cost,
        ),
    ]
