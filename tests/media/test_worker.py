"""The RTP worker on loopback sockets: relay, latch, play, digits, echo, recording, rubbish."""

import asyncio
import random
import socket
import wave
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from media.codecs.g711 import PCMA, PCMU, TRANSCODE, encode
from media.worker import control

from .conftest import Bench, Phone, stream, until

TONE = encode((8000).to_bytes(2, "little"), PCMU) * 160


def steps(phone: Phone) -> list[tuple[int, int]]:
    """Return the steps of sequence number and timestamp between consecutive packets of one SSRC."""
    headers = phone.headers()
    assert len({ssrc for *_, ssrc in headers}) == 1
    return [((b[2] - a[2]) & 0xFFFF, (b[3] - a[3]) & 0xFFFFFFFF) for a, b in pairwise(headers)]


async def bridged(
    bench: Bench, first: str = "PCMU", second: str = "PCMU", **changes: Any
) -> tuple[Phone, int, Phone, int]:
    a, leg_a, port_a = bench.leg(first)
    b, leg_b, port_b = bench.leg(second, **changes)
    bench.handle(control.Bridge(leg_a, leg_b, None))
    return a, port_a, b, port_b


@pytest.mark.rfc("3550-5.1")
async def test_relayed_packets_keep_their_payload_and_join_the_stream_of_the_receiver(bench: Bench) -> None:
    a, port_a, b, _ = await bridged(bench)
    payloads = [bytes([number]) * 160 for number in range(20)]
    for payload in payloads:
        a.send(port_a, payload)
    await until(lambda: len(b.read()) == 20)
    assert b.payloads() == payloads
    assert steps(b) == [(1, 160)] * 19
    assert b.headers()[0][4] != a.ssrc
    assert b.headers()[0][:2] == (0x80, 0x80)
    assert a.read() == []


async def test_both_directions_at_once(bench: Bench) -> None:
    a, port_a, b, port_b = await bridged(bench)
    for _ in range(10):
        a.send(port_a, b"a" * 160)
        b.send(port_b, b"b" * 160)
    await until(lambda: len(a.read()) == len(b.read()) == 10)
    assert set(a.payloads()) == {b"b" * 160}
    assert set(b.payloads()) == {b"a" * 160}


async def test_losses_stay_visible_to_the_receiver_and_are_counted(bench: Bench) -> None:
    a, port_a, b, _ = await bridged(bench)
    for number in range(10):
        if number in (3, 4):
            a.sequence, a.timestamp = a.sequence + 1, a.timestamp + 160
        else:
            a.send(port_a)
    await until(lambda: len(b.read()) == 8)
    assert steps(b) == [(1, 160)] * 2 + [(3, 480)] + [(1, 160)] * 4
    assert bench.counters().packets_lost == 2


async def test_legs_that_were_lost_and_connected_afterwards_leave_nothing_behind(bench: Bench) -> None:
    _, one, _ = bench.leg()
    _, other, _ = bench.leg()
    sessions = [bench.worker._sessions[leg] for leg in (one, other)]
    for session in sessions:
        session._fail("its port is gone")
    bench.handle(control.Bridge(one, other, None), control.Adjust(one, 0.5, 1.0), control.SendDigits(one, "1", 50))
    assert len(bench.worker._ticker) == 2
    bench.handle(control.Close(one), control.Close(other))
    assert [session.room for session in sessions] == [None, None]
    assert len(bench.worker._ticker) == 0


async def test_totals_never_fall_though_what_was_missing_comes_late(bench: Bench) -> None:
    phone, _, port = bench.leg()
    phone.send(port)
    late = phone.header(0) + bytes(160)
    phone.sequence, phone.timestamp = phone.sequence + 1, phone.timestamp + 160
    phone.send(port)
    await until(lambda: bench.counters().packets_received == 2)
    assert bench.counters().packets_lost == 1
    phone.raw(port, late)
    await until(lambda: bench.counters().packets_received == 3)
    assert bench.counters().packets_lost == 1, "who reads a counter takes a lower value for a restart"


@pytest.mark.parametrize(("codec", "other"), [(PCMU, PCMA), (PCMA, PCMU)])
async def test_legs_of_different_laws_are_translated(bench: Bench, codec: str, other: str) -> None:
    a, port_a, b, _ = await bridged(bench, codec, other)
    every = bytes(range(160))
    for _ in range(3):
        a.send(port_a, every, payload_type=0 if codec == PCMU else 8)
    await until(lambda: len(b.read()) == 3)
    assert b.payloads() == [every.translate(TRANSCODE[codec, other])] * 3
    assert {second & 0x7F for _, second, *_ in b.headers()} == {8 if other == PCMA else 0}


async def test_a_peer_that_changes_to_the_other_law_is_followed(bench: Bench) -> None:
    a, port_a, b, _ = await bridged(bench)
    a.send(port_a, b"\x11" * 160)
    a.send(port_a, b"\x22" * 160, payload_type=8)
    a.send(port_a, b"\x33" * 160)
    await until(lambda: len(b.read()) == 3)
    expected = [b"\x11" * 160, (b"\x22" * 160).translate(TRANSCODE[PCMA, PCMU]), b"\x33" * 160]
    assert b.payloads() == expected
    assert steps(b) == [(1, 160)] * 2


@pytest.mark.rfc("4961-4")
async def test_the_first_valid_packet_tells_where_the_peer_is_and_nobody_else_is_heard(bench: Bench) -> None:
    declared, real, spoofer, other = (bench.phone() for _ in range(4))
    leg, port = bench.open(stream(declared.port))
    far, far_port = bench.open(stream(other.port))
    bench.handle(control.Bridge(leg, far, None))
    other.send(far_port, b"1" * 160)
    await until(lambda: len(declared.read()) == 1)
    spoofer.raw(port, b"no rtp at all")
    real.send(port, b"2" * 160)
    await until(lambda: len(other.read()) == 1)
    spoofer.send(port, b"3" * 160)
    declared.send(port, b"4" * 160)
    real.send(port, b"5" * 160)
    other.send(far_port, b"6" * 160)
    await until(lambda: len(other.read()) == 2 and len(real.read()) == 1)
    assert other.payloads() == [b"2" * 160, b"5" * 160]
    assert real.payloads() == [b"6" * 160]
    assert len(declared.read()) == 1
    assert spoofer.read() == []
    assert bench.counters().packets_invalid == 1


async def test_what_others_sent_before_the_latch_is_dropped(bench: Bench) -> None:
    a, port_a, b, _ = await bridged(bench)
    spoofer = bench.phone()
    # All three wait in the socket before the worker reads the first.
    a.send(port_a, b"1" * 160)
    spoofer.send(port_a, b"2" * 160)
    a.send(port_a, b"3" * 160)
    await until(lambda: len(b.read()) == 2)
    assert b.payloads() == [b"1" * 160, b"3" * 160]
    assert bench.counters().packets_foreign == 1


async def test_a_peer_that_moves_by_sdp_is_latched_anew(bench: Bench) -> None:
    a, leg, port = bench.leg()
    bench.handle(control.Echo(leg))
    a.send(port)
    await until(lambda: len(a.read()) == 1)
    moved = bench.phone()
    bench.handle(control.Configure(leg, stream(moved.port)))
    moved.send(port)
    await until(lambda: len(moved.read()) == 1)
    a.send(port)
    moved.send(port)
    await until(lambda: len(moved.read()) == 2)
    assert len(a.read()) == 1


async def test_hold_and_resume_keep_the_latch(bench: Bench) -> None:
    a, leg, port = bench.leg()
    bench.handle(control.Echo(leg))
    a.send(port)
    await until(lambda: len(a.read()) == 1)
    bench.handle(control.Configure(leg, stream(a.port, host=None, sends=False, held=True)))
    bench.handle(control.Play(leg, ("tone",), False, False, 1))
    await until(lambda: bench.of(control.Finished))
    assert len(a.read()) == 1
    bench.handle(control.Configure(leg, stream(a.port)), control.Echo(leg))
    a.send(port)
    await until(lambda: len(a.read()) == 2)


async def test_a_closed_peer_port_does_not_silence_the_leg(bench: Bench) -> None:
    a, port_a, b, port_b = await bridged(bench)
    b.send(port_b)
    await until(lambda: len(a.read()) == 1)
    b.close()
    for _ in range(5):
        a.send(port_a)
    await until(lambda: bench.counters().packets_unsent > 0, "ECONNREFUSED")
    again = bench.phone(b.port)
    again.ssrc, again.sequence = 99, 1
    again.send(port_b, b"z" * 160)
    await until(lambda: b"z" * 160 in a.payloads())
    a.send(port_a, b"y" * 160)
    await until(lambda: b"y" * 160 in again.payloads())


async def test_a_prompt_is_sent_in_20_ms_frames_without_waiting_for_the_peer(bench: Bench) -> None:
    a, leg, _ = bench.leg()
    bench.handle(control.Play(leg, ("tone", "en/odd"), False, False, 7))
    await until(lambda: bench.of(control.Finished))
    assert bench.of(control.Finished) == [control.Finished(leg, 7, (800 + 250) * 1000 // 8000, False)]
    payload = b"".join(a.payloads())
    assert len(payload) == 7 * 160
    assert payload[:800] == TONE * 5
    assert payload[1050:] == b"\xff" * 70
    assert steps(a) == [(1, 160)] * 6
    assert [second for _, second, *_ in a.headers()] == [0x80] + [0] * 6
    assert bench.counters().playing == 0


async def test_from_prompt_to_music_to_relay_the_stream_is_one(bench: Bench) -> None:
    a, leg_a, _ = bench.leg()
    b, leg_b, port_b = bench.leg()
    bench.handle(control.Play(leg_a, ("tone",), False, False, 1))
    await until(lambda: bench.of(control.Finished))
    bench.handle(control.Play(leg_a, ("en/odd",), True, False, 2))
    await until(lambda: len(a.read()) >= 10)
    bench.handle(control.Bridge(leg_a, leg_b, None))
    assert bench.of(control.Finished)[1].interrupted
    count = len(a.read())
    for _ in range(5):
        b.send(port_b)
    await until(lambda: len(a.read()) == count + 5)
    sequence_steps, timestamp_steps = zip(*steps(a), strict=True)
    assert set(sequence_steps) == {1}
    assert all(0 < step <= 8000 and step % 160 == 0 for step in timestamp_steps)


async def test_a_digit_interrupts_only_what_is_interruptible(bench: Bench) -> None:
    a, leg, port = bench.leg()
    bench.handle(control.Play(leg, ("long",), False, False, 1))
    await until(lambda: len(a.read()) == 2)
    a.press(port, 1)
    await until(lambda: bench.of(control.Pressed))
    assert bench.of(control.Finished) == []
    bench.handle(control.Play(leg, ("long",), False, True, 2))
    a.press(port, 11)
    await until(lambda: len(bench.of(control.Finished)) == 2)
    assert [(r.token, r.interrupted) for r in bench.of(control.Finished)] == [(1, True), (2, True)]
    assert [r.digit for r in bench.of(control.Pressed)] == ["1", "#"]
    order = [type(report) for report in bench.reports[-2:]]
    assert order == [control.Pressed, control.Finished]


@pytest.mark.parametrize("command", [control.Stop, control.Echo], ids=["stop", "echo"])
async def test_every_play_finishes_once(bench: Bench, command: type[Any]) -> None:
    _, leg, _ = bench.leg()
    bench.handle(control.Play(leg, ("long",), True, False, 1), control.Play(leg, ("long",), True, False, 2))
    bench.handle(command(leg), control.Stop(leg), control.Stop(leg))
    assert [(r.token, r.interrupted) for r in bench.of(control.Finished)] == [(1, True), (2, True)]


async def test_a_missing_prompt_is_told_and_left_out(bench: Bench) -> None:
    a, leg, _ = bench.leg()
    bench.handle(control.Play(leg, ("none", "tone", "../tone"), False, False, 3))
    await until(lambda: bench.of(control.Finished))
    assert bench.of(control.Finished) == [control.Finished(leg, 3, 100, False)]
    assert len(a.read()) == 5
    assert bench.counters().prompts_missing == len(bench.of(control.Complained)) == 2


async def test_nothing_but_missing_prompts_ends_even_as_a_loop(bench: Bench) -> None:
    _, leg, _ = bench.leg()
    bench.handle(control.Play(leg, ("none",), True, False, 3))
    await until(lambda: bench.of(control.Finished))
    assert bench.of(control.Finished) == [control.Finished(leg, 3, 0, False)]


async def test_a_prompt_is_heard_over_a_bridge_which_then_goes_on(bench: Bench) -> None:
    a, leg_a, _ = bench.leg()
    b, leg_b, port_b = bench.leg()
    bench.handle(control.Bridge(leg_a, leg_b, None), control.Play(leg_a, ("tone",), False, False, 1))
    b.send(port_b, b"1" * 160)
    await until(lambda: bench.of(control.Finished))
    b.send(port_b, b"2" * 160)
    await until(lambda: len(a.read()) == 6)
    assert a.payloads() == [TONE] * 5 + [b"2" * 160]
    assert {step for step, _ in steps(a)} == {1}


@pytest.mark.rfc("3550-5.1")
@pytest.mark.parametrize("recorded", [False, True])
async def test_a_reminder_on_one_leg_takes_nothing_from_the_other(bench: Bench, tmp_path: Path, recorded: bool) -> None:
    path = tmp_path / "call.wav"
    a, leg_a, port_a = bench.leg()
    b, leg_b, port_b = bench.leg()
    bench.handle(control.Bridge(leg_a, leg_b, str(path) if recorded else None))
    for number in range(3):
        a.send(port_a, bytes([number]) * 160)
        b.send(port_b, bytes([100 + number]) * 160)
    await until(lambda: len(a.read()) == len(b.read()) == 3)
    bench.handle(control.Play(leg_a, ("tone",), False, False, 5))
    for number in range(3, 6):
        a.send(port_a, bytes([number]) * 160)
        b.send(port_b, bytes([100 + number]) * 160)
    await until(lambda: len(b.read()) == 6, "what a says while he hears the reminder")
    await until(lambda: bench.of(control.Finished))
    for number in range(6, 9):
        a.send(port_a, bytes([number]) * 160)
        b.send(port_b, bytes([100 + number]) * 160)
    await until(lambda: len(a.read()) == 11 and len(b.read()) == 9)
    assert b.payloads() == [bytes([number]) * 160 for number in range(9)]
    assert steps(b) == [(1, 160)] * 8
    before, after = ([bytes([100 + number]) * 160 for number in numbers] for numbers in (range(3), range(6, 9)))
    assert a.payloads() == [*before, *[TONE] * 5, *after]
    sequences, timestamps = zip(*steps(a), strict=True)
    assert set(sequences) == {1}
    assert all(step > 0 and step % 160 == 0 for step in timestamps)
    markers = [second & 0x80 for _, second, *_ in a.headers()]
    assert [at for at, marker in enumerate(markers) if marker] == [0, 3, 8], "where the voice changes"
    assert bench.of(control.Finished) == [control.Finished(leg_a, 5, 100, False)]
    assert bench.counters().packets_lost == 0
    assert bench.counters().recordings == recorded


async def test_echo_returns_the_audio_but_not_the_events(bench: Bench) -> None:
    a, leg, port = bench.leg()
    bench.handle(control.Echo(leg))
    for number in range(5):
        a.send(port, bytes([number]) * 160)
    a.press(port, 3)
    a.send(port, b"x" * 160)
    await until(lambda: len(a.read()) == 6)
    assert a.payloads() == [bytes([number]) * 160 for number in range(5)] + [b"x" * 160]
    assert {step for step, _ in steps(a)} == {1}
    bench.handle(control.Unbridge(leg))
    a.send(port)
    await until(lambda: bench.counters().packets_received == 13)
    assert len(a.read()) == 6


async def test_extension_and_padding_are_taken_off(bench: Bench) -> None:
    a, port_a, b, _ = await bridged(bench)
    a.send(port_a, b"\xbe\xde\x00\x01" + bytes(4) + b"p" * 160, first=0x90)
    a.send(port_a, b"q" * 160 + b"\0\0\0\4", first=0xA0)
    await until(lambda: len(b.read()) == 2)
    assert b.payloads() == [b"p" * 160, b"q" * 160]
    assert {first for first, *_ in b.headers()} == {0x80}


async def test_a_new_source_at_the_peer_joins_the_same_stream(bench: Bench) -> None:
    a, port_a, b, _ = await bridged(bench)
    for _ in range(3):
        a.send(port_a)
    a.ssrc, a.sequence, a.timestamp = 123, 60_000, 5
    for _ in range(3):
        a.send(port_a)
    await until(lambda: len(b.read()) == 6)
    assert [step for step, _ in steps(b)] == [1] * 5
    assert bench.counters().packets_lost == 0


async def test_directions_are_kept(bench: Bench) -> None:
    a, port_a, b, port_b = await bridged(bench, sends=False, held=True)
    a.send(port_a)
    b.send(port_b)
    await until(lambda: len(a.read()) == 1)
    assert b.read() == []


@pytest.mark.parametrize("held_end", ["sender", "receiver"])
async def test_what_is_left_out_during_hold_is_no_loss_to_the_receiver(bench: Bench, held_end: str) -> None:
    a, leg_a, port_a = bench.leg()
    b, leg_b, _ = bench.leg()
    leg, phone = (leg_a, a) if held_end == "sender" else (leg_b, b)
    hold: dict[str, Any] = {"receives": False} if held_end == "sender" else {"sends": False}
    bench.handle(control.Bridge(leg_a, leg_b, None))
    a.send(port_a)
    await until(lambda: len(b.read()) == 1)
    bench.handle(control.Configure(leg, stream(phone.port, held=True, **hold)))
    for _ in range(50):
        a.send(port_a)
    await until(lambda: bench.counters().packets_received == 51)
    bench.handle(control.Configure(leg, stream(phone.port)))
    a.send(port_a)
    await until(lambda: len(b.read()) == 2)
    assert [step for step, _ in steps(b)] == [1]


async def test_rubbish_of_every_kind_is_counted_and_disturbs_nothing(bench: Bench) -> None:
    a, port_a, b, port_b = await bridged(bench)
    a.send(port_a)
    await until(lambda: len(b.read()) == 1)
    chance = random.Random(4733)
    rubbish = [chance.randbytes(chance.randrange(0, 400)) for _ in range(200)]
    rubbish += [bytes(60_000), a.header(0) + bytes(3000), a.header(99) + bytes(160), a.header(0, 0x40) + bytes(160)]
    for sender, port in ((a, port_a), (b, port_b), (bench.phone(), port_b)):
        for data in rubbish:
            sender.raw(port, data)
            if chance.random() < 0.1:
                await asyncio.sleep(0)
    a.ssrc = 4
    a.send(port_a, b"ok" * 80)
    await until(lambda: b"ok" * 80 in b.payloads())
    counters = bench.counters()
    assert counters.packets_invalid > 100
    assert counters.legs == 2


async def test_a_leg_that_hears_nothing_for_the_configured_time_is_told_so_once(
    bench: Bench, clock: list[float]
) -> None:
    bench.worker.settings = msgspec.structs.replace(bench.worker.settings, rtp_timeout_seconds=10)
    a, leg, port = bench.leg()
    unknown, _ = bench.open(stream(0, host=None))

    def told() -> list[int]:
        bench.worker.heartbeat()
        return [report.leg for report in bench.of(control.TimedOut)]

    clock[0] += 9.9
    assert told() == []
    a.send(port)
    await until(lambda: bench.counters().packets_received == 1)
    clock[0] += 9.9
    assert told() == []
    clock[0] += 0.2
    assert told() == [leg]
    clock[0] += 60
    assert told() == [leg]
    a.send(port)
    await until(lambda: bench.counters().packets_received == 2)
    clock[0] += 11
    assert told() == [leg, leg]
    assert unknown not in told()
    assert bench.counters().rtp_timeouts == 2


async def test_no_timeout_while_the_peer_holds_the_call(bench: Bench, clock: list[float]) -> None:
    bench.worker.settings = msgspec.structs.replace(bench.worker.settings, rtp_timeout_seconds=10)
    a, leg, _ = bench.leg()
    bench.handle(control.Configure(leg, stream(a.port, held=True)))
    clock[0] += 3600
    bench.worker.heartbeat()
    assert bench.of(control.TimedOut) == []
    bench.handle(control.Configure(leg, stream(a.port)))
    clock[0] += 9
    bench.worker.heartbeat()
    assert bench.of(control.TimedOut) == []
    clock[0] += 2
    bench.worker.heartbeat()
    assert len(bench.of(control.TimedOut)) == 1


async def test_a_bridge_is_recorded_left_and_right(bench: Bench, tmp_path: Path, clock: list[float]) -> None:
    path = tmp_path / "rec" / "call.wav"
    a, leg_a, port_a = bench.leg()
    b, leg_b, port_b = bench.leg("PCMA")
    bench.handle(control.Bridge(leg_a, leg_b, str(path)))
    assert bench.counters().recordings == 1
    for number in range(10):
        clock[0] += 0.020
        a.send(port_a, TONE)
        if number >= 5:
            b.send(port_b, TONE.translate(TRANSCODE[PCMU, PCMA]), payload_type=8)
        await until(lambda n=number: len(b.read()) == n + 1 and len(a.read()) == max(0, n - 4))  # type: ignore[misc]
    clock[0] += 3
    bench.handle(control.Close(leg_b), control.Close(leg_a))
    await until(lambda: len(bench.of(control.Closed)) == 2)
    reports = {report.leg: report.report for report in bench.of(control.Closed)}
    assert reports[leg_a].recording == str(path)
    assert reports[leg_b].recording is None
    with wave.open(str(path), "rb") as file:
        audio = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2").reshape(-1, 2)
    assert len(audio) == 3.2 * 8000
    assert [np.flatnonzero(np.abs(audio[:, channel]) > 4000)[[0, -1]].tolist() for channel in (0, 1)] == [
        [0, 1599],
        [800, 1599],
    ]
    assert bench.counters().recordings == 0


async def test_a_recording_is_playable_while_the_call_lasts(
    bench: Bench, tmp_path: Path, clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("media.worker.recordings.FLUSH_SECONDS", 0.01)
    path = tmp_path / "call.wav"
    (_, first, _), (_, second, _) = bench.leg(), bench.leg()
    bench.handle(control.Bridge(first, second, str(path)))
    clock[0] += 3
    await until(lambda: path.exists() and path.stat().st_size == 44 + 2 * 32_000)
    with wave.open(str(path), "rb") as file:
        assert file.getnframes() == 2 * 8000


async def test_a_recording_that_cannot_be_written_is_counted_and_the_call_goes_on(bench: Bench, tmp_path: Path) -> None:
    path = tmp_path / "call.wav"
    path.write_bytes(b"taken")
    a, leg_a, port_a = bench.leg()
    b, leg_b, _ = bench.leg()
    bench.handle(control.Bridge(leg_a, leg_b, str(path)))
    a.send(port_a)
    await until(lambda: len(b.read()) == 1)
    bench.handle(control.Close(leg_a))
    await until(lambda: bench.of(control.Closed))
    assert bench.of(control.Closed)[0].report.recording is None
    assert bench.counters().recording_errors == 1


@pytest.mark.rfc("3550-A.8")
async def test_the_report_tells_loss_and_quality(bench: Bench) -> None:
    a, leg, port = bench.leg()
    for number in range(100):
        if number % 10 == 5:
            a.sequence, a.timestamp = a.sequence + 1, a.timestamp + 160
        else:
            a.send(port)
    await until(lambda: bench.counters().packets_received == 90)
    bench.handle(control.Close(leg))
    report = bench.of(control.Closed)[0].report
    assert (report.packets_received, report.lost, report.loss_percent, report.codec) == (90, 10, 10.0, "PCMU")
    # Ie,eff = 95 x 10 / 14.3
    assert report.r_factor == pytest.approx(93.2 - 66.43, abs=0.1)
    assert report.mos is not None
    assert 1 < report.mos < 2


async def test_a_leg_that_is_measured_tells_of_each_part_of_its_life(bench: Bench) -> None:
    a, leg, port = bench.leg()
    for number in range(50):
        if number == 25:
            a.sequence, a.timestamp = a.sequence + 10, a.timestamp + 1600
        a.send(port)
    await until(lambda: bench.counters().packets_received == 50)
    bench.handle(control.Measure(leg))
    bench.handle(control.Measure(leg))
    for _ in range(20):
        a.send(port)
    await until(lambda: bench.counters().packets_received == 70)
    bench.handle(control.Measure(leg), control.Close(leg), control.Measure(leg))
    reports = [report.report for report in bench.of(control.Measured)]
    assert [(report.packets_received, report.lost) for report in reports] == [(50, 10), (0, 0), (20, 0), (0, 0)]
    assert [report.mos is None for report in reports] == [False, True, False, True]
    assert reports[2].loss_percent == 0, "a loss counts where it happened, and only there"
    assert bench.of(control.Closed)[0].report.packets_received == 0
    assert bench.counters().packets_received == 70
    assert bench.counters().packets_lost == 10, "totals go on"


async def test_quality_is_unknown_where_nothing_was_received(bench: Bench) -> None:
    _, leg, _ = bench.leg()
    bench.handle(control.Close(leg))
    report = bench.of(control.Closed)[0].report
    assert (report.mos, report.r_factor, report.basis) == (None, None, "nothing received")


@pytest.mark.rfc("3550-11")
async def test_ports_are_even_come_back_and_run_out_cleanly(bench: Bench) -> None:
    total = bench.counters().ports_total
    legs = [bench.open(stream(9)) for _ in range(total)]
    assert all(port % 2 == 0 for _, port in legs)
    assert len({port for _, port in legs}) == total
    assert bench.counters().ports_in_use == total
    assert bench.provide(1) == ()
    for leg, _ in legs:
        bench.handle(control.Close(leg), control.Close(leg))
    counters = bench.counters()
    assert (counters.legs, counters.ports_in_use) == (0, 0)
    assert [bench.open(stream(9))[1] for _ in range(total)] == [port for _, port in legs]


async def test_a_leg_does_not_hear_what_came_before_it_was_there(bench: Bench) -> None:
    (port,) = bench.provide(1)
    assert bench.counters().ports_in_use == 0
    phone, late = bench.phone(), bench.phone()
    late.send(port, b"of an ended call")
    phone.send(port, b"early")
    bench.handle(control.Open(1, port, stream(phone.port)), control.Echo(1))
    phone.send(port, b"in time")
    late.send(port, b"of an ended call")
    await until(phone.read)
    bench.handle(control.Close(1))
    assert bench.of(control.Closed)[0].report.packets_received == 2
    assert late.read() == []


async def test_a_port_taken_by_another_program_is_skipped(bench: Bench) -> None:
    first = bench.worker.settings.rtp_ports()[0]
    bench.phone(first)
    assert bench.open(stream(9))[1] == first + 2


async def test_the_port_of_an_ended_call_is_not_given_out_next(bench: Bench) -> None:
    leg, port = bench.open(stream(9))
    bench.handle(control.Close(leg))
    assert bench.open(stream(9))[1] != port


async def test_commands_for_legs_that_are_gone_have_no_effect(bench: Bench) -> None:
    _, leg, _ = bench.leg()
    bench.handle(control.Close(leg))
    bench.handle(
        control.Configure(leg, stream(9)),
        control.Play(leg, ("tone",), False, False, 1),
        control.Stop(leg),
        control.Bridge(leg, leg, None),
        control.Unbridge(leg),
        control.Echo(leg),
    )
    assert bench.of(control.Finished) == []
    assert bench.counters().legs == 0


async def test_packets_to_a_closed_leg_and_from_its_bridge_are_harmless(bench: Bench) -> None:
    a, leg_a, port_a = bench.leg()
    b, leg_b, port_b = bench.leg()
    bench.handle(control.Bridge(leg_a, leg_b, None))
    a.send(port_a)
    b.send(port_b)
    await until(lambda: len(a.read()) == len(b.read()) == 1)
    a.send(port_a)
    b.send(port_b)
    bench.handle(control.Close(leg_a))
    a.send(port_a)
    await until(lambda: bench.counters().packets_received >= 3)
    assert len(a.read()) == 1
    assert bench.counters().legs == 1


async def test_two_legs_pointed_at_each_other_do_not_ring_for_ever(bench: Bench) -> None:
    ports = bench.worker.settings.rtp_ports()
    legs = [bench.open(stream(ports[1]))[0], bench.open(stream(ports[0]))[0], bench.open(stream(ports[2]))[0]]
    for leg in legs:
        bench.handle(control.Play(leg, ("tone",), False, False, leg))
    await until(lambda: len(bench.of(control.Finished)) == 3)
    bench.handle(*map(control.Echo, legs))
    counters = bench.counters()
    assert (counters.packets_sent, counters.packets_received, counters.packets_foreign) == (0, 0, 3)


async def test_a_packet_from_one_of_our_own_ports_latches_nothing(bench: Bench) -> None:
    a, leg, port = bench.leg()
    inside = bench.phone(bench.worker.settings.rtp_ports()[-1])
    bench.handle(control.Echo(leg))
    inside.send(port)
    a.send(port, b"a" * 160)
    await until(lambda: len(a.read()) == 1)
    assert inside.read() == []
    assert bench.counters().packets_foreign == 1


async def test_a_port_lost_while_the_peer_moves_ends_the_leg(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    a, leg, port = bench.leg()
    a.send(port)
    await until(lambda: bench.counters().packets_received == 1)

    def taken(*_: object) -> None:
        raise OSError(98, "Address already in use")

    with monkeypatch.context() as patch:
        patch.setattr(socket.socket, "bind", taken)
        bench.handle(control.Configure(leg, stream(9)))
    assert [report.leg for report in bench.of(control.Failed)] == [leg]
    bench.handle(control.Configure(leg, stream(a.port)), control.Play(leg, ("tone",), False, False, 1))
    bench.handle(control.Close(leg))
    assert (bench.counters().ports_in_use, bench.counters().legs, bench.counters().playing) == (0, 0, 0)
