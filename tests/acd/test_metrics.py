import subprocess
from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse

from acd.cdr import Cdr, EndedBy, Outcome
from acd.core.agents import AgentState
from acd.core.floor import AgentSnapshot, FloorSnapshot, QueueSnapshot
from acd.core.foretold import Accuracy, Estimate
from acd.kpi.policy import Policy
from acd.kpi.report import Query, items
from acd.kpi.tally import Calls, Interval
from acd.metrics import Metrics, Readings
from acd.store import StoreCounters
from acd.trunkview import RegistrationView, ServerView, TrunkView
from acd.upload import UploadCounters
from ims_core.trunks.registration import State
from media.api import MediaCounters, Member

NOON = datetime(2025, 3, 1, 12, 0, tzinfo=UTC)
FLOOR = FloorSnapshot(
    queues=(
        QueueSnapshot(
            id="sales",
            name="Sales",
            waiting=2,
            longest_wait_seconds=7.5,
            agents={AgentState.READY: 1, AgentState.TALKING: 1},
            offered=10,
            answered=5,
            abandoned=1,
            overflowed=1,
            released=1,
            service_level=0.5,
            service_level_seconds=12.0,
            expected_wait=Estimate(30.0, 60.0, 100.0, "queue_length"),
            estimators={
                "told": Accuracy(scored=7, error_seconds=20.0, bias_seconds=-3.0, coverage=0.75),
                "queue_length": Accuracy(scored=0, error_seconds=None, bias_seconds=None, coverage=None),
            },
        ),
    ),
    agents=tuple(
        AgentSnapshot(name, name, state, "", 0.0, ("sales",), 3, None)
        for name, state in (("1001", AgentState.READY), ("1002", AgentState.TALKING))
    ),
)
CALLS = Calls()
CALLS.offered, CALLS.answered, CALLS.answered_in_time, CALLS.answer_seconds = 10, 8, 5, 100.0
INTERVAL = Interval(NOON.timestamp(), NOON.timestamp() + 900, Policy({"sales": 12.0}))
INTERVAL.queues["sales"] = CALLS
TODAY = items([INTERVAL], (), Query(start=INTERVAL.start, end=INTERVAL.end))
SERVERS = [
    ServerView(uri=uri, priority=0, weight=1, up=up, reason="", answered_seconds=0.0)
    for uri, up in (("sip:192.0.2.1", None), ("sip:192.0.2.2", False))
]
TRUNK = TrunkView(
    id="carrier",
    up=True,
    servers=SERVERS,
    registration=RegistrationView(state=State.REFUSED, reason="403 Forbidden", expires_in_seconds=0.0),
    calls_under_way={"in": 1, "out": 2},
    calls={"in": 3, "out": 4},
    limited={"in": 5, "out": 6},
    failed_over=7,
)
READINGS = Readings(
    trunks=[TRUNK],
    ready=True,
    calls=3,
    dialogs=4,
    transactions=5,
    tasks=6,
    bindings=7,
    authentications={"accepted": 5, "missing": 4, "stale": 1, "wrong": 2},
    connections={"TCP": 8, "WSS": 2},
    connections_turned_away={"displaced": 4},
    handshakes_failed={"no TLS": 3},
    sip_messages={
        ("in", "INVITE", "request"): 3,
        ("out", "INVITE", "2xx"): 2,
        ("in", "INVADE", "request"): 1,
        ("in", "10086", "request"): 4,
    },
    sip_sessions={"timer": 2, "491": 7},
    sip_dropped={"malformed": 9},
    bans={"credentials": 2},
    rejected={"INVITE": 8},
    admission_rate=120.5,
    accept_latency=0.012,
    sip_unexpected={("invite_server", "completed", "ack"): 1},
    inputs_ignored={"stale_answer": 2},
    floor=FLOOR,
    today=TODAY,
    media=MediaCounters(packets_received=100, packets_lost=2, worker_restarts=1, workers=2, workers_healthy=1, legs=4),
    media_members=[
        Member(backend="rtpengine", name="127.0.0.1:2223", state="serving", legs=3),
        Member(backend="rtpengine", name="127.0.0.1:2225", state="failed", legs=0),
    ],
    cdr=StoreCounters(queued=1, written=2, dropped=3, failures=4),
    cdr_upload=UploadCounters(waiting=5, set_aside=6, sent=7, failures=8),
)


def ended(outcome: Outcome = Outcome.ANSWERED, *, waited: float, talked: float = 0.0, queue: str = "sales") -> Cdr:
    connected = NOON + timedelta(seconds=waited) if talked else None
    return Cdr(
        id="c1",
        call_id="a@b",
        dialled="13800138000",
        caller="18612345678",
        arrived=NOON,
        queued=NOON,
        connected=connected,
        ended=NOON + timedelta(seconds=waited + talked),
        ended_by=EndedBy.CALLER,
        outcome=outcome,
        queue=queue,
    )


def samples(metrics: Metrics) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    page, _ = metrics.render()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in parse(page.decode())
        for sample in family.samples
    }


def value(metrics: Metrics, name: str, **labels: str) -> float:
    return samples(metrics)[name, tuple(sorted(labels.items()))]


@pytest.fixture
def metrics() -> Metrics:
    return Metrics({"sales": 12.0, "support": 20.0}, lambda: READINGS)


@pytest.mark.parametrize(
    ("name", "labels", "expected"),
    [
        ("acd_ready", {}, 1),
        ("acd_draining", {}, 0),
        ("acd_calls", {}, 3),
        ("acd_sip_dialogs", {}, 4),
        ("acd_sip_transactions", {}, 5),
        ("acd_tasks", {}, 6),
        ("acd_sip_bindings", {}, 7),
        ("acd_trunk_up", {"trunk": "carrier", "server": "sip:192.0.2.1"}, 1),
        ("acd_trunk_up", {"trunk": "carrier", "server": "sip:192.0.2.2"}, 0),
        ("acd_trunk_registered", {"trunk": "carrier"}, 0),
        ("acd_trunk_calls_under_way", {"trunk": "carrier", "direction": "out"}, 2),
        ("acd_trunk_calls_total", {"trunk": "carrier", "direction": "in"}, 3),
        ("acd_trunk_limited_total", {"trunk": "carrier", "direction": "out"}, 6),
        ("acd_trunk_failovers_total", {"trunk": "carrier"}, 7),
        ("acd_sip_authentications_total", {"outcome": "accepted"}, 5),
        ("acd_sip_authentications_total", {"outcome": "wrong"}, 2),
        ("acd_sip_connections", {"transport": "tcp"}, 8),
        ("acd_sip_connections", {"transport": "tls"}, 0),
        ("acd_sip_connections", {"transport": "wss"}, 2),
        ("acd_sip_connections_turned_away_total", {"reason": "displaced"}, 4),
        ("acd_sip_connections_turned_away_total", {"reason": "stranger"}, 0),
        ("acd_sip_tls_handshakes_failed_total", {"reason": "no TLS"}, 3),
        ("acd_sip_tls_handshakes_failed_total", {"reason": "version"}, 0),
        ("acd_sip_messages_total", {"direction": "in", "method": "INVITE", "class": "request"}, 3),
        ("acd_sip_messages_total", {"direction": "out", "method": "INVITE", "class": "2xx"}, 2),
        ("acd_sip_dropped_total", {"reason": "malformed"}, 9),
        ("acd_sip_bans", {"reason": "credentials"}, 2),
        ("acd_sip_bans", {"reason": "scanner"}, 0),
        ("acd_sip_rejected_total", {"method": "INVITE"}, 8),
        ("acd_sip_admission_rate", {}, 120.5),
        ("acd_sip_accept_latency_seconds", {}, 0.012),
        ("acd_sip_sessions_expired_total", {}, 2),
        ("acd_sip_glares_total", {}, 7),
        ("acd_sip_unexpected_total", {"machine": "invite_server", "state": "completed", "event": "ack"}, 1),
        ("acd_inputs_ignored_total", {"kind": "stale_answer"}, 2),
        ("acd_queue_waiting", {"queue": "sales"}, 2),
        ("acd_queue_longest_wait_seconds", {"queue": "sales"}, 7.5),
        ("acd_queue_offered_total", {"queue": "sales"}, 10),
        ("acd_queue_answered_total", {"queue": "sales"}, 5),
        ("acd_queue_abandoned_total", {"queue": "sales"}, 1),
        ("acd_queue_agents", {"queue": "sales", "state": "talking"}, 1),
        ("acd_queue_agents", {"queue": "sales", "state": "paused"}, 0),
        ("acd_kpi_answer_rate", {"queue": "sales"}, 0.8),
        ("acd_kpi_average_speed_of_answer_seconds", {"queue": "sales"}, 12.5),
        ("acd_kpi_service_level", {"queue": "sales", "variant": "of_offered"}, 0.5),
        ("acd_kpi_service_level", {"queue": "sales", "variant": "of_answered"}, 0.625),
        ("acd_agents", {"state": "ready"}, 1),
        ("acd_agents", {"state": "wrap_up"}, 0),
        ("acd_rtp_packets_total", {"direction": "in"}, 100),
        ("acd_rtp_lost_packets_total", {}, 2),
        ("acd_media_workers_healthy", {}, 1),
        ("acd_media_worker_restarts_total", {}, 1),
        ("acd_media_legs", {}, 4),
        ("acd_media_members", {"backend": "rtpengine", "state": "serving"}, 1),
        ("acd_media_members", {"backend": "rtpengine", "state": "failed"}, 1),
        ("acd_media_members", {"backend": "builtin", "state": "serving"}, 0),
        ("acd_media_member_legs", {"backend": "rtpengine", "member": "127.0.0.1:2223"}, 3),
        ("acd_cdr_waiting", {}, 1),
        ("acd_cdr_upload_waiting", {}, 5),
        ("acd_cdr_upload_set_aside", {}, 6),
        ("acd_cdr_upload_sent_total", {}, 7),
        ("acd_cdr_upload_failures_total", {}, 8),
        ("acd_cdr_dropped_total", {}, 3),
        ("acd_cdr_write_failures_total", {}, 4),
    ],
)
def test_a_scrape_shows_the_readings(metrics: Metrics, name: str, labels: dict[str, str], expected: float) -> None:
    assert value(metrics, name, **labels) == expected


def test_a_figure_without_denominator_has_no_sample(metrics: Metrics) -> None:
    assert "acd_kpi_average_handling_seconds" in metrics.render()[0].decode()
    assert not [name for name, _ in samples(metrics) if name == "acd_kpi_average_handling_seconds"]


def test_methods_that_nobody_defined_share_one_label(metrics: Metrics) -> None:
    assert value(metrics, "acd_sip_messages_total", direction="in", method="other", **{"class": "request"}) == 5


def test_no_number_that_somebody_dialled_becomes_a_label(metrics: Metrics) -> None:
    metrics.call_arrived()
    metrics.call_ended(ended(waited=3, talked=60))
    metrics.call_ended(ended(waited=3, queue="no-such-queue"))
    page, _ = metrics.render()
    assert b"13800138000" not in page
    assert b"18612345678" not in page
    assert b"no-such-queue" not in page
    assert b"INVADE" not in page


def test_ended_calls_are_counted_by_outcome_and_their_times_observed(metrics: Metrics) -> None:
    metrics.call_arrived()
    metrics.call_offered("sales")
    metrics.call_ended(ended(waited=11.5, talked=100))
    metrics.call_ended(ended(Outcome.ABANDONED, waited=25))
    metrics.call_ended(ended(Outcome.WAITED_TOO_LONG, waited=1800))
    metrics.call_ended(ended(Outcome.MEDIA_LOST, waited=1, talked=5))
    assert value(metrics, "acd_calls_arrived_total") == 1
    assert value(metrics, "acd_offers_total", queue="sales") == 1
    assert value(metrics, "acd_offers_total", queue="support") == 0
    assert value(metrics, "acd_calls_ended_total", outcome="answered") == 1
    assert value(metrics, "acd_calls_ended_total", outcome="waited_too_long") == 1
    assert value(metrics, "acd_calls_ended_total", outcome="failed") == 0
    wait = {"queue": "sales", "outcome": "answered"}
    assert value(metrics, "acd_queue_wait_seconds_count", **wait) == 2
    assert value(metrics, "acd_queue_wait_seconds_sum", **wait) == 12.5
    assert value(metrics, "acd_queue_wait_seconds_bucket", **wait, le="10.0") == 1
    assert value(metrics, "acd_queue_wait_seconds_count", queue="sales", outcome="abandoned") == 1
    assert value(metrics, "acd_queue_wait_seconds_count", queue="sales", outcome="other") == 1
    assert value(metrics, "acd_talk_seconds_sum", queue="sales") == 105


def test_the_service_level_can_be_read_from_the_buckets(metrics: Metrics) -> None:
    metrics.call_ended(ended(waited=12, talked=1))
    bucket = {"queue": "sales", "outcome": "answered"}
    assert value(metrics, "acd_queue_wait_seconds_bucket", **bucket, le="12.0") == 1
    assert value(metrics, "acd_queue_wait_seconds_bucket", **bucket, le="10.0") == 0


def test_two_engines_in_one_process_share_no_metric(metrics: Metrics) -> None:
    other = Metrics({"sales": 12.0}, lambda: READINGS)
    metrics.call_arrived()
    assert value(other, "acd_calls_arrived_total") == 0


def test_every_metric_has_a_definition(metrics: Metrics) -> None:
    page, _ = metrics.render()
    families = list(parse(page.decode()))
    assert len(families) > 40
    assert [family.name for family in families if not family.documentation.endswith(".")] == []


def test_the_form_follows_the_accept_header(metrics: Metrics) -> None:
    page, content_type = metrics.render("application/openmetrics-text; version=1.0.0")
    assert content_type.startswith("application/openmetrics-text; version=1.0.0")
    assert page.endswith(b"# EOF\n")
    families = list(parse_openmetrics(page.decode()))  # type: ignore[no-untyped-call]
    assert {family.name for family in families} > {"acd_calls", "acd_calls_ended"}
    assert metrics.render("text/html")[1].startswith("text/plain; version=0.0.4")


@pytest.mark.peer("promtool")
@pytest.mark.parametrize("readings", [READINGS, Readings()], ids=["busy", "empty"])
def test_promtool_has_no_complaint(readings: Readings) -> None:
    metrics = Metrics({"sales": 12.0}, lambda: readings)
    metrics.call_ended(ended(waited=3, talked=60))
    page, _ = metrics.render()
    result = subprocess.run(["promtool", "check", "metrics"], input=page, capture_output=True, timeout=60, check=False)
    assert (result.returncode, result.stdout, result.stderr) == (0, b"", b"")


def test_the_expected_wait_and_how_good_it_is() -> None:
    found = samples(Metrics({"sales": 12.0}, lambda: READINGS))
    shown = {key: value for key, value in found.items() if key[0].startswith("acd_expected_wait")}
    sales, told = ("queue", "sales"), ("estimator", "told")
    assert shown == {
        ("acd_expected_wait_seconds", (("bound", "low"), sales)): 30.0,
        ("acd_expected_wait_seconds", (("bound", "expected"), sales)): 60.0,
        ("acd_expected_wait_seconds", (("bound", "high"), sales)): 100.0,
        ("acd_expected_wait_scored_total", (told, sales)): 7.0,
        ("acd_expected_wait_scored_total", (("estimator", "queue_length"), sales)): 0.0,
        ("acd_expected_wait_error_seconds", (told, sales)): 20.0,
        ("acd_expected_wait_bias_seconds", (told, sales)): -3.0,
        ("acd_expected_wait_coverage_ratio", (told, sales)): 0.75,
    }


def test_the_set_up_of_calls_is_shown_for_each_hop_that_measures(metrics: Metrics) -> None:
    observe = metrics.measure_hop("pcscf")
    observe("proxy", "ringing", 0.3)
    assert value(metrics, "acd_sip_setup_seconds_sum", hop="pcscf", role="proxy", stage="ringing") == pytest.approx(0.3)
    found = [
        (dict(labels), count)
        for (name, labels), count in samples(metrics).items()
        if name.endswith("setup_seconds_count")
    ]
    assert len(found) == 9, "none of another hop"
    assert sum(count for _, count in found) == 1
