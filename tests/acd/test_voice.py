"""The voice of a call in its record, in the log and in the metrics."""

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from acd.cdr import Cdr, Quality, Speech
from acd.live import trouble_view
from media.api import FarEnd, LegReport, Talk, Trouble
from media.rtp.troubles import HINTS
from media.testing import FakeLeg
from tests.acd.house import House


def only(house: House) -> Cdr:
    (cdr,) = house.records.cdrs
    return cdr


def legs(house: House) -> dict[str, FakeLeg]:
    return {"caller" if name.endswith("/caller") else "agent": leg for name, leg in house.media.legs.items()}


def talking(house: House) -> dict[str, FakeLeg]:
    house.agent("1001")
    house.phone("alice").dial("10001")
    house.run(5.0)
    return legs(house)


def test_what_a_leg_reports_stands_in_the_record() -> None:
    report = LegReport(
        codec="PCMU",
        packets_received=98,
        lost=2,
        loss_percent=2.0,
        jitter_ms=1.5,
        burst_ratio=1.2,
        round_trip_ms=80.0,
        r_factor=64.0,
        mos=3.3,
        scale="narrowband",
        basis="E-model",
        far_end=FarEnd(loss_percent=1.0, jitter_ms=3.0, mos=3.9),
        troubles=(Trouble.HIGH_LOSS,),
        discarded=3,
    )
    with House() as house:
        leg = talking(house)
        leg["caller"].report = report
        leg["agent"].report = replace(report, mos=4.4, far_end=None, troubles=())
        leg["caller"].lose()
        house.settle()
        quality = Quality(
            codec="PCMU",
            packets=98,
            lost=2,
            loss_percent=2.0,
            jitter_ms=1.5,
            mos=3.3,
            basis="E-model",
            r_factor=64.0,
            scale="narrowband",
            burst_ratio=1.2,
            round_trip_ms=80.0,
            far_loss_percent=1.0,
            far_jitter_ms=3.0,
            far_mos=3.9,
            troubles=("high-loss",),
            discarded=3,
        )
        cdr = only(house)
        assert cdr.quality_caller == quality
        assert cdr.quality_agent == replace(
            quality, mos=4.4, far_loss_percent=None, far_jitter_ms=None, far_mos=None, troubles=()
        )
        page = house.engine.metrics.render()[0].decode()
        assert 'acd_voice_mos_bucket{le="3.4",leg="caller",scale="narrowband"} 1.0' in page
        assert 'acd_voice_mos_count{leg="agent",scale="narrowband"} 1.0' in page
        assert 'acd_voice_loss_ratio_sum{leg="caller"} 0.02' in page
        assert 'acd_voice_jitter_seconds_sum{leg="agent"} 0.0015' in page
        assert 'acd_voice_round_trip_seconds_sum{leg="caller"} 0.08' in page


def test_who_spoke_stands_in_the_record() -> None:
    with House() as house:
        leg = talking(house)
        talk = Talk(connected=100.0, spoken=30.0, heard=60.0, both=5.0, dead=12.0, longest_dead=8.0)
        leg["caller"].report = LegReport(talk=talk)
        leg["caller"].lose()
        house.settle()
        assert only(house).speech == Speech(
            connected_seconds=100.0,
            caller_seconds=30.0,
            agent_seconds=60.0,
            talk_over_seconds=5.0,
            dead_air_seconds=12.0,
            longest_dead_air_seconds=8.0,
            agent_share=0.667,
        )


def test_without_knowing_who_spoke_the_record_says_nothing() -> None:
    with House() as house:
        talking(house)["caller"].lose()
        house.settle()
        assert only(house).speech is None


@pytest.mark.parametrize("side", ["caller", "agent"])
def test_a_trouble_is_logged_with_a_hint_counted_and_noted(side: str) -> None:
    with House() as house, capture_logs() as logged:
        leg = talking(house)
        leg[side].worsen(Trouble.HIGH_LOSS, "5.0 % of 500 packets lost")
        leg[side].better(Trouble.HIGH_LOSS, 20.0)
        leg[side].lose()
        house.settle()
        (troubled,) = [line for line in logged if line["event"] == "voice.troubled"]
        assert (troubled["log_level"], troubled["leg"], troubled["trouble"]) == ("warning", side, "high-loss")
        assert troubled["check"] == HINTS[Trouble.HIGH_LOSS].check
        (recovered,) = [line for line in logged if line["event"] == "voice.recovered"]
        assert (recovered["leg"], recovered["seconds"]) == (side, 20.0)
        steps = [(step.event, step.detail) for step in only(house).timeline if step.event.startswith("voice.")]
        assert steps == [
            ("voice.troubled", f"{side} high-loss: 5.0 % of 500 packets lost"),
            ("voice.recovered", f"{side} high-loss: 20 s"),
        ]
        page = house.engine.metrics.render()[0].decode()
        assert f'acd_voice_troubles_total{{leg="{side}",trouble="high-loss"}} 1.0' in page
        assert f'acd_voice_troubles_total{{leg="{side}",trouble="silence"}} 0.0' in page


def test_a_trouble_of_a_leg_that_is_kept_open_is_that_of_the_call_on_it() -> None:
    with House("agents.1001.open_leg=true") as house, capture_logs() as logged:
        house.agent("1001")
        house.run(2.0)
        (leg,) = house.media.legs.values()
        leg.worsen(Trouble.HIGH_JITTER)
        house.phone("alice").dial("10001")
        house.run(8.0)
        leg.worsen(Trouble.NO_RTP)
        legs(house)["caller"].lose()
        house.settle()
        calls = [(line["trouble"], line["call"]) for line in logged if line["event"] == "voice.troubled"]
        assert calls == [("high-jitter", None), ("no-rtp", only(house).id)]


def test_what_troubles_a_call_is_seen_while_it_lasts() -> None:
    with House() as house:
        leg = talking(house)
        leg["agent"].worsen(Trouble.NO_RTP, "nothing received for 6 s")
        leg["caller"].worsen(Trouble.HIGH_LOSS)
        leg["caller"].better(Trouble.HIGH_LOSS)
        (call,) = house.engine.calls.values()
        ((fact, since),) = call.record.troubles()
        view = trouble_view(fact, since)
        assert (view.leg, view.trouble, view.detail) == ("agent", Trouble.NO_RTP, "nothing received for 6 s")
        assert view.check == HINTS[Trouble.NO_RTP].check
        leg["caller"].lose()
        house.settle()


def test_every_trouble_has_a_hint() -> None:
    assert set(HINTS) == set(Trouble)
