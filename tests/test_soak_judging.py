"""What the soak calls left over, grown, or standing still."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families

from acd.metrics import Metrics, Readings
from acd.store import StoreCounters
from media.api import MediaCounters
from tests.soak.__main__ import SAMPLES, grown, stood_still
from tests.soak.gauges import NOT_HELD, gauges, left_over


def page(readings: Readings) -> str:
    return Metrics({"lab": 20.0}, lambda: readings).render()[0].decode()


@pytest.mark.parametrize(
    ("readings", "name"),
    [
        (Readings(calls=1), "acd_calls"),
        (Readings(tasks=1), "acd_tasks"),
        (Readings(dialogs=1), "acd_sip_dialogs"),
        (Readings(transactions=1), "acd_sip_transactions"),
        (Readings(bindings=1), "acd_sip_bindings"),
        (Readings(connections={"TCP": 1}), "acd_sip_connections transport=tcp"),
        (Readings(bans={"scanner": 1}), "acd_sip_bans reason=scanner"),
        (Readings(admission_rate=20.0), "acd_sip_admission_rate"),
        (Readings(servers_dead=1), "acd_sip_servers_dead"),
        (Readings(media=MediaCounters(legs=1)), "acd_media_legs"),
        (Readings(media=MediaCounters(ports_in_use=1)), "acd_media_ports_in_use"),
        (Readings(media=MediaCounters(recordings=1)), "acd_media_recordings"),
        (Readings(cdr=StoreCounters(queued=1, written=0, dropped=0, failures=0)), "acd_cdr_waiting"),
    ],
    ids=lambda told: told if isinstance(told, str) else "",
)
def test_what_a_load_leaves_is_named(readings: Readings, name: str) -> None:
    before, after = gauges(page(Readings())), gauges(page(readings))
    assert left_over(before, after) == {name: (before.get(name, 0.0), after[name])}


def test_a_gauge_that_comes_or_goes_is_not_back() -> None:
    assert left_over({"acd_ready": 1.0}, {}) == {"acd_ready": (1.0, 0.0)}
    assert left_over({}, {"acd_calls": 1.0}) == {"acd_calls": (0.0, 1.0)}


@pytest.mark.parametrize("name", ["acd_tasks", "process_open_fds"])
def test_fewer_tasks_and_files_are_as_good(name: str) -> None:
    assert not left_over({name: 5.0}, {name: 4.0})
    assert left_over({name: 5.0}, {name: 6.0})


def test_what_is_not_held_to_it_exists() -> None:
    shown = {family.name for family in text_string_to_metric_families(page(Readings())) if family.type == "gauge"}
    assert NOT_HELD.keys() <= shown
    assert not NOT_HELD.keys() & {name.partition(" ")[0] for name in gauges(page(Readings()))}


def test_key_figures_of_the_day_stay() -> None:
    assert not gauges("# TYPE acd_kpi_occupancy gauge\nacd_kpi_occupancy 0.5\n")


@pytest.mark.parametrize(
    ("end", "told"),
    [(104.0, []), (106.0, ["memory grew from 100.0 to 106.0 MiB over the second half"])],
)
def test_memory_is_to_be_flat_once_warm(end: float, told: list[str]) -> None:
    first = SAMPLES // 2
    assert grown([10.0] * first + [100.0] * (SAMPLES - first - 5) + [end] * 5) == told


def test_calls_are_to_be_answered_all_the_time() -> None:
    assert not stood_still([1.0, 2.0, 3.0])
    assert stood_still([1.0, 2.0, 2.0]) == ["for a while no call was answered: [1.0, 2.0, 2.0]"]
