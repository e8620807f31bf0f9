"""What a worker process does: sessions, and the commands that they are told by."""

from __future__ import annotations

import asyncio
import base64
import random
import socket
import time
from collections.abc import Callable

import msgspec

from media.api import (
    Digit,
    LegReport,
    Lost,
    MediaCounters,
    MediaEvent,
    PlayFinished,
    Recovered,
    RtpTimeout,
    Troubled,
)
from media.playing.prompts import PromptCache
from media.recording.client import RecordingClient
from media.recording.report import Recorded
from media.rtp.packet import Reception, Sender
from media.rtp.reporting import Reporter
from media.secure.identity import Identity
from media.secure.surroundings import Shared
from media.settings import MediaSettings
from media.worker import control
from media.worker.inband import Inband
from media.worker.library import Library, Read
from media.worker.poller import Poller
from media.worker.ports import PortPool
from media.worker.recordings import Recordings
from media.worker.room import Gains, Room
from media.worker.rounds import Rounds
from media.worker.rtcp import Rtcp
from media.worker.rtpsocket import bind_socket
from media.worker.session import TOTALS, Session
from media.worker.ticker import Ticker

_monotonic = time.monotonic


class Worker:
    """Sessions and what they share; `handle` performs one command, `post` carries reports away."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        settings: MediaSettings,
        ports: range,
        post: Callable[[control.Report], None],
        identity: Identity | None = None,
        *,
        poller: Poller,
    ) -> None:
        self.settings = settings
        self.shared = Shared(identity, loop.call_later)
        self.prompts = PromptCache(settings.prompt_directories, settings.sample_rates, settings.speech_directory)
        self._library = Library(
            self.prompts, self._read_in_thread, lambda leg, text: post(control.Complained(leg, text))
        )
        self._loop = loop
        self._post = post
        self._random = random.SystemRandom()
        self._unix_offset = time.time() - time.monotonic()
        self._poller = poller
        self._ticker = Ticker(loop.call_at, loop.time, _now)
        self._ports = PortPool(ports, lambda port: bind_socket(settings.bind, port))
        self._inband = Inband(settings.inband_digits, loop.call_soon)
        self._deaf = Inband("off", loop.call_soon)
        self._sessions: dict[int, Session] = {}
        recorder = RecordingClient(loop, settings.recording, now=_now, unix=time.time, complain=self._recording_failed)
        self._recordings = Recordings(recorder, self._sessions, call_later=loop.call_later, now=_now)
        self._rounds = Rounds(self._sessions, loop.call_later, _now)
        self._perform: dict[type[control.Command], Callable[..., None]] = {
            control.Open: self._open,
            control.Configure: self._configure,
            control.Play: self._play,
            control.Stop: self._stop,
            control.Bridge: self._bridge,
            control.Unbridge: self._unbridge,
            control.Echo: self._echo,
            control.Mix: self._mix,
            control.Adjust: self._adjust,
            control.Close: self._close,
            control.Provide: self._provide,
            control.Measure: self._measure,
            control.Assign: self._assign,
            control.PauseRecording: self._pause_recording,
            control.SendDigits: self._send_digits,
            control.ReceiveDigit: self._receive_digit,
            control.HideDigits: self._hide_digits,
        }

    def handle(self, command: control.Command) -> None:
        """Perform a command; one for a leg that is gone already has no effect."""
        self._perform[type(command)](command)

    def heartbeat(self) -> None:
        """Once a second: go round the legs, then tell the counts."""
        self._rounds.begin(self.settings.rtp_timeout_seconds, lambda: self._post(control.Heartbeat(self._counted())))

    def counters(self) -> MediaCounters:
        """Return this worker's totals and gauges."""
        self._rounds.count_all()
        return self._counted()

    def _counted(self) -> MediaCounters:
        rounds, recorder = self._rounds, self._recordings.client
        return MediaCounters(
            **dict(zip(TOTALS, rounds.totals, strict=True)),
            **rounds.tally._asdict(),
            rtp_timeouts=rounds.timeouts,
            prompts_missing=self._library.missing,
            recording_errors=recorder.errors,
            recording_octets=recorder.octets,
            recording_left_out=recorder.left_out,
            recordings=len(self._recordings),
            recordings_paused=self._recordings.paused,
            ports_in_use=self._ports.in_use,
            ports_total=self._ports.total,
        )

    def close(self) -> None:
        """Close every leg and complete every recording."""
        self._recordings.close()
        for session in self._sessions.values():
            session.close()
        self._sessions.clear()
        self._ports.close()

    def _open(self, command: control.Open) -> None:
        leg = command.leg
        is_own = self.settings.is_own if leg > 0 else _nobodys
        sockets = self._ports.take(command.port)

        def listener(event: MediaEvent) -> None:
            self._tell(leg, event)

        def complained(reason: str) -> None:
            self._post(control.Complained(leg, reason, "media.complained"))

        self._sessions[leg] = Session(
            sockets.rtp,
            command.stream,
            self._make_rtcp(sockets.rtcp, is_own),
            poller=self._poller,
            ticker=self._ticker,
            listener=listener,
            complained=complained,
            is_own=is_own,
            shared=self.shared,
            latching=self.settings.latching,
            thresholds=self.settings.quality,
            inband=self._inband if leg > 0 else self._deaf,
        )

    def _make_rtcp(self, sock: socket.socket, is_own: Callable[[str, int], bool]) -> Rtcp:
        bits = self._random.getrandbits(80)
        reporter = Reporter(
            # Below 2^15, so that a first packet that is lost shifts no rollover of SRTP (RFC 3711 3.3.1).
            Sender(bits & 0xFFFFFFFF, (bits >> 32) & 0x7FFF, bits >> 48),
            Reception(),
            base64.b64encode(self._random.randbytes(12)).decode(),  # RFC 7022 4.2
            now=_monotonic(),
            unix_offset=self._unix_offset,
            chance=self._random.random,
        )
        return Rtcp(sock, reporter, poller=self._poller, is_own=is_own)

    def _provide(self, command: control.Provide) -> None:
        ports, reason = self._ports.provide(command.count)
        self._post(control.Provided(tuple(ports), reason))

    def _assign(self, command: control.Assign) -> None:
        self._ports.assign(range(command.first_port, command.last_port + 1, 2))

    def _configure(self, command: control.Configure) -> None:
        if session := self._sessions.get(command.leg):
            session.configure(command.stream)

    def _play(self, command: control.Play) -> None:
        if session := self._sessions.get(command.leg):
            session.play(self._library.playlist(command))

    def _read_in_thread(self, read: Callable[[], Read], done: Callable[[Read], None]) -> None:
        self._loop.run_in_executor(None, read).add_done_callback(lambda future: done(future.result()))

    def _stop(self, command: control.Stop) -> None:
        if session := self._sessions.get(command.leg):
            session.stop()

    def _bridge(self, command: control.Bridge) -> None:
        session, other = self._sessions.get(command.leg), self._sessions.get(command.other)
        if session is None or other is None or session is other:
            return
        self._recordings.part(command.leg)
        self._recordings.part(command.other)
        self._connect({(session, other): 1.0, (other, session): 1.0})
        if command.record is not None:
            self._recordings.begin(command.leg, [command.other], command.record)

    def _pause_recording(self, command: control.PauseRecording) -> None:
        if command.paused:
            self._recordings.pause(command.leg)
        else:
            self._recordings.resume(command.leg)

    def _recording_failed(self, path: str, text: str) -> None:
        """Have the engine log what is wrong with recordings."""
        self._post(control.Complained(0, f"{path}: {text}" if path else text, "recording.failed"))

    def _unbridge(self, command: control.Unbridge) -> None:
        if session := self._sessions.get(command.leg):
            self._recordings.part(command.leg)
            if session.room is not None:
                session.room.dissolve()

    def _echo(self, command: control.Echo) -> None:
        if session := self._sessions.get(command.leg):
            self._recordings.part(command.leg)
            self._connect({(session, session): 1.0})

    def _mix(self, command: control.Mix) -> None:
        gains = {
            (speaking, hearing): gain
            for speaker, hearer, gain in command.gains
            if (speaking := self._sessions.get(speaker)) and (hearing := self._sessions.get(hearer))
        }
        rooms = [leg.room for pair in gains for leg in pair if leg.room is not None]
        (rooms[0] if rooms else Room(self._ticker)).rearrange(gains)
        audible: dict[int, set[int]] = {leg: set() for speaker, hearer, _ in command.gains for leg in (speaker, hearer)}
        for speaker, hearer, gain in command.gains:
            if gain > 0 and speaker != hearer and speaker in self._sessions:
                audible[hearer].add(speaker)
        self._recordings.follow(audible)

    def _adjust(self, command: control.Adjust) -> None:
        if session := self._sessions.get(command.leg):
            session.adjust(command.heard, command.spoken)

    def _send_digits(self, command: control.SendDigits) -> None:
        if session := self._sessions.get(command.leg):
            session.keys.dial(command.digits, command.ms)

    def _receive_digit(self, command: control.ReceiveDigit) -> None:
        if session := self._sessions.get(command.leg):
            session.keys.take_told(command.digit, command.ms, _monotonic())

    def _hide_digits(self, command: control.HideDigits) -> None:
        if session := self._sessions.get(command.leg):
            session.keys.hidden = command.hidden

    def _connect(self, gains: Gains) -> None:
        """Put these legs into a room of their own, where they hear what others say and not what plays."""
        for session in dict.fromkeys(leg for pair in gains for leg in pair):
            if session.room is not None:
                session.room.dissolve()
            session.stop()
        Room(self._ticker).connect(gains)

    def _measure(self, command: control.Measure) -> None:
        session = self._sessions.get(command.leg)
        report = session.health.measure(_monotonic()) if session is not None else LegReport()
        self._post(control.Measured(command.leg, report))

    def _close(self, command: control.Close) -> None:
        leg = command.leg
        session = self._sessions.get(leg)
        if session is None:
            self._post(control.Closed(leg, LegReport()))
            return
        session.close()
        self._ports.give_back(session.port)
        if leg > 0:
            self._rounds.count(session)
        report = session.health.report()

        def written(recorded: Recorded) -> None:
            first = recorded.files[0] if recorded.files else None
            told = msgspec.structs.replace(report, recording=first, recorded=recorded)
            self._post(control.Closed(leg, told))

        if not self._recordings.finish(leg, written):
            self._post(control.Closed(leg, report))
        del self._sessions[leg]
        session.let_go()

    def _tell(self, leg: int, event: MediaEvent) -> None:
        match event:
            case Digit(digit, source):
                self._post(control.Pressed(leg, digit, source))
            case PlayFinished(token, heard_ms, interrupted):
                self._post(control.Finished(leg, token, heard_ms, interrupted))
            case RtpTimeout():
                self._post(control.TimedOut(leg))
            case Lost(reason):
                self._post(control.Failed(leg, reason))
            case Troubled(trouble, detail):
                self._post(control.Worsened(leg, trouble, detail))
            case Recovered(trouble, seconds):
                self._post(control.Bettered(leg, trouble, seconds))


def _nobodys(_host: str, _port: int) -> bool:
    """Take an address for that of a peer: other workers are peers of the legs that lead to them."""
    return False


def _now() -> float:
    return _monotonic()
