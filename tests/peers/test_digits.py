"""Keys of foreign phones: SIPp plays captures of events and tones and sends INFO, baresip presses keys."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pytest

from media.codecs.g711 import PCMA, PCMU
from tests.peers.conftest import Bench
from tests.peers.kit import Server, Sipp, wait_until
from tests.peers.kit.playback import Rtp, audio, events, tones, write_playback

SHIPPED = Path("/usr/share/sip-tester")
EVENTS = "a=rtpmap:101 telephone-event/8000\na=fmtp:101 0-15\n"
ONLY_PCMU = {"RTP/AVP 0 8 101": "RTP/AVP 0", EVENTS: ""}
ONLY_PCMA = {"RTP/AVP 0 8 101": "RTP/AVP 8", EVENTS: ""}
LINE = {"queues.support.announce_agent": False, "queues.sales.announce_agent": False}


def play(bench: Bench, server: Server, capture: Path, changes: Mapping[str, str] | None = None) -> Sipp:
    """Register caller1, have it call the hotline, and play a capture."""
    played = {'rtp_stream="tone.wav,-1,0,PCMU/8000"': f'play_pcap_audio="{capture}"', **(changes or {})}
    port = bench.register(server, "caller1")
    return bench.sipp(
        "call_rtp", remote=server.sip, port=port, number="10000", pause=4.0, keys={"caller": "caller1"}, changes=played
    )


def pressed(server: Server, source: str) -> float:
    return server.metrics()[f"acd_dtmf_digits_total{{source={source}}}"]


def heard(server: Server) -> list[str]:
    (cdr,) = server.wait_for_cdrs()
    return [step["detail"] for step in cdr["timeline"] if step["event"] == "caller.pressed"]


def capture(bench: Bench, packets: Iterable[Rtp]) -> Path:
    return write_playback(bench.directory / "keys.pcap", packets)


needs_raw_sockets = pytest.mark.skipif(os.geteuid() != 0, reason="SIPp plays captures through a raw socket: for root")


@pytest.mark.peer("sipp")
@needs_raw_sockets
@pytest.mark.rfc("4733-2.5.1.4")
@pytest.mark.skipif(not SHIPPED.exists(), reason="SIPp's captures are not there")
@pytest.mark.parametrize(("name", "digit"), [("2", "2"), ("star", "*"), ("pound", "#")])
def test_sipps_own_captures_of_events_are_one_key_each(bench: Bench, name: str, digit: str) -> None:
    server = bench.serve()
    caller = play(bench, server, SHIPPED / f"dtmf_2833_{name}.pcap")
    caller.succeed()
    assert heard(server) == [digit]
    assert (pressed(server, "rfc4733"), pressed(server, "inband")) == (1, 0)


@pytest.mark.peer("sipp")
@needs_raw_sockets
@pytest.mark.rfc("4733-2.5.1.4")
def test_a_number_of_events_is_heard_key_by_key_while_speech_goes_on(bench: Bench) -> None:
    server = bench.serve()
    silence = audio(np.zeros(8 * 2400, np.int16), PCMU, 0)
    packets = sorted(itertools.chain(silence, events("7788")), key=lambda packet: packet.at)
    play(bench, server, capture(bench, packets)).succeed()
    assert heard(server) == list("7788")
    assert pressed(server, "rfc4733") == 4


@pytest.mark.peer("sipp")
@needs_raw_sockets
@pytest.mark.parametrize(("changes", "law", "payload"), [(ONLY_PCMU, PCMU, 0), (ONLY_PCMA, PCMA, 8)], ids=["u", "a"])
def test_tones_of_a_phone_without_events_are_one_key_each(
    bench: Bench, changes: Mapping[str, str], law: str, payload: int
) -> None:
    server = bench.serve()
    sound = np.concatenate((np.zeros(8 * 500, np.int16), tones("7*2")))
    play(bench, server, capture(bench, audio(sound, law, payload)), changes).succeed()
    assert heard(server) == list("7*2")
    assert (pressed(server, "rfc4733"), pressed(server, "inband")) == (0, 3)


@pytest.mark.peer("sipp")
@needs_raw_sockets
def test_tones_of_a_phone_with_events_are_no_keys(bench: Bench) -> None:
    server = bench.serve()
    sound = np.concatenate((np.zeros(8 * 500, np.int16), tones("222")))
    play(bench, server, capture(bench, audio(sound, PCMU, 0))).succeed()
    assert heard(server) == []


@pytest.mark.peer("sipp")
@pytest.mark.rfc("6086-2")
@pytest.mark.parametrize("kind", ["application/dtmf-relay", "application/dtmf"])
def test_a_key_told_by_info_is_answered_and_counted(bench: Bench, kind: str) -> None:
    server = bench.serve()
    port = bench.register(server, "caller1")
    plain = {"application/dtmf-relay": kind, "Signal=[digit]\nDuration=160\n": "[digit]\n"}
    keys = {"caller": "caller1", "digit": 2}
    options = {"port": port, "number": "10000", "pause": 1.0, "keys": keys}
    bench.sipp("call_info", remote=server.sip, changes=plain if kind == "application/dtmf" else {}, **options).succeed()
    assert heard(server) == ["2"]
    assert (pressed(server, "info"), pressed(server, "rfc4733")) == (1, 0)


@pytest.mark.peer("sipp")
@pytest.mark.rfc("3261-8.2.3")
def test_an_info_with_another_body_is_refused_with_what_may_be_sent(bench: Bench) -> None:
    server = bench.serve()
    port = bench.register(server, "caller1")
    accept = '<ereg regexp=".*" search_in="hdr" header="Accept:" assign_to="taken"/><log message="takes [$taken]"/>'
    changes = {
        "application/dtmf-relay": "application/xml",
        '<recv response="200"/>\n  <pause/>': f'<recv response="415"><action>{accept}</action></recv>\n  <pause/>',
    }
    keys = {"caller": "caller1", "digit": 2}
    caller = bench.sipp(
        "call_info", remote=server.sip, port=port, number="10000", pause=1.0, keys=keys, changes=changes
    )
    caller.succeed()
    assert caller.said("takes") == ["application/dtmf-relay, application/dtmf"]
    assert heard(server) == []


@pytest.mark.peer("baresip")
@pytest.mark.rfc("4733-2.5.1.4")
def test_keys_of_baresip_choose_in_the_menu_and_reach_the_agents_baresip_once_each(bench: Bench) -> None:
    server = bench.serve(settings=LINE)
    agent = bench.baresip("1001", server, tone=620.0, answers=True).wait_until_registered()
    caller = bench.baresip("caller1", server, tone=440.0).wait_until_registered()
    server.wait_for_agent("1001", "ready")
    caller.dial("10000")
    caller.wait_for("CALL_ESTABLISHED")
    server.wait_for_call("menu")
    caller.press("2")
    server.wait_for_call("talking", 15)
    wait_until(lambda: server.metrics()["acd_media_recordings"] == 1, 15, "the bridge")
    for number, digit in enumerate("5*5", start=2):
        caller.press(digit)
        wait_until(lambda wanted=number: pressed(server, "rfc4733") == wanted, 10, f"key {digit}")  # type: ignore[misc]
    wait_until(lambda: agent.keys() == "5*5", 10, "the keys at the agent's phone")
    caller.hang_up()
    assert heard(server) == list("25*5")
    assert server.metrics()["acd_dtmf_digits_sent_total"] == 3
    assert agent.keys() == "5*5"


@pytest.mark.peer("baresip")
def test_a_queue_that_hides_keys_keeps_them_from_the_agents_phone(bench: Bench) -> None:
    server = bench.serve(settings={**LINE, "queues.support.hide_digits": True})
    agent = bench.baresip("1001", server, tone=620.0, answers=True).wait_until_registered()
    caller = bench.baresip("caller1", server, tone=440.0).wait_until_registered()
    server.wait_for_agent("1001", "ready")
    caller.dial("10001")
    server.wait_for_call("talking", 15)
    wait_until(lambda: server.metrics()["acd_media_recordings"] == 1, 15, "the bridge")
    caller.press("7")
    wait_until(lambda: pressed(server, "rfc4733") == 1, 10, "the key")
    caller.hang_up()
    assert heard(server) == ["hidden"]
    assert agent.keys() == ""
    assert server.metrics()["acd_dtmf_digits_sent_total"] == 0
