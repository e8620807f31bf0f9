"""A UDP listener of the asyncio shell (RFC 3261 section 18)."""

from __future__ import annotations

import asyncio
import fcntl
import socket
import struct
import time
from collections.abc import Mapping, Sequence
from typing import Protocol

from ims_core.errors import MessageTooLarge
from ims_core.flow import Address, Flow
from ims_core.remembering import Remembered
from ims_core.transport.limits import Owner
from ims_core.transport.stun import binding_response

Peer = tuple[str, int] | tuple[str, int, int, int]

FLOWS_REMEMBERED = 4096
BATCH = 64  # datagrams taken in one go
BUSY_SECONDS = 0.0005  # two wake-ups within so short a time mean load
GATHER_SECONDS = 0.005  # between the beginnings of two batches under load
WORTHWHILE = 3  # a gathered batch of fewer ends the gathering
SAMPLE_SECONDS = 0.001  # between two looks at how long a datagram has waited
STUN_ENDS = 2  # the first byte of STUN is less
CR = 13

_SIOCGSTAMPNS = 0x8907  # Linux: when the datagram read last had come
_TIMESPEC = struct.Struct("@qq")
_stamp = bytearray(_TIMESPEC.size)  # written to, since ioctl tries other kinds of arguments first for what cannot be


class DatagramsOwner(Owner, Protocol):
    """What a UDP listener needs of the stack beyond that."""

    def receive_all(self, messages: Sequence[tuple[bytes, Flow]]) -> None:
        """Take whole messages that came together; never raises. ``flush`` must follow."""

    def waited(self, seconds: float) -> None:
        """Take note of how long a message was there before it is taken now."""


class Datagrams:
    """A UDP listener: drains its socket in batches.

    Under load it lets datagrams gather: a batch begins ``GATHER_SECONDS`` after the last one did, as network drivers do
    with interrupts. One wake-up then serves many messages, whose code is still warm in the processor. A batch that
    takes longer is followed at once by the next. Its queue is the socket's buffer; how long the oldest of it has
    waited, beyond what was meant, is told with the first datagram of a batch.
    """

    def __init__(self, owner: DatagramsOwner, sock: socket.socket) -> None:
        self.sock = sock
        self._owner = owner
        self._loop = asyncio.get_running_loop()
        local: Address = sock.getsockname()[:2]
        # of each peer one, to be shared by whatever comes from it
        self._flows: Remembered[Peer, Flow] = Remembered(
            lambda address: Flow("UDP", local, address[:2]), FLOWS_REMEMBERED
        )
        self._gathering: asyncio.TimerHandle | None = None
        self._last = 0.0
        self._sampled = 0.0
        self._meant = 0.0  # to be waited by what comes with the next batch
        self._loop.add_reader(sock, self._on_readable)

    def _on_readable(self) -> None:
        now = self._loop.time()
        is_busy = now - self._last < BUSY_SECONDS
        self._last = now
        self._drain(BATCH if is_busy else 1)  # whatever is left makes the socket readable again at once
        if is_busy:
            self._loop.remove_reader(self.sock)
            self._gather_since(now)

    def _gather_since(self, start: float) -> None:
        self._meant = max(start + GATHER_SECONDS - self._loop.time(), 0.0)
        self._gathering = self._loop.call_later(self._meant, self._resume)

    def _resume(self) -> None:
        self._gathering = None
        start = self._loop.time()
        taken = self._drain(BATCH)
        self._meant = 0.0
        if taken >= WORTHWHILE:
            self._gather_since(start if taken < BATCH else start - GATHER_SECONDS)
        else:
            self._loop.add_reader(self.sock, self._on_readable)

    def _drain(self, most: int) -> int:
        """Take what has come, at most so many, then send the answers; returns how many datagrams came."""
        taken = self._take(most)
        if taken:
            self._owner.flush()
        return taken

    def _take(self, most: int) -> int:
        recvfrom = self.sock.recvfrom
        came: list[tuple[bytes, Peer]] = []
        taken = most
        for position in range(most):
            try:
                came.append(recvfrom(65536))
            except BlockingIOError:
                taken = position
                break
            except OSError:
                self._owner.dropped["icmp error"] += 1
                continue
            if not position:
                self._tell_age()
        messages = self._messages_in(came)
        if messages:
            self._owner.receive_all(messages)
        return taken

    def _messages_in(self, came: list[tuple[bytes, Peer]]) -> list[tuple[bytes, Flow]]:
        flows = self._flows
        largest = self._owner.limits.max_message
        messages: list[tuple[bytes, Flow]] = []
        for data, address in came:
            if len(data) <= 4:  # RFC 5626 section 3.5.1, and what NAT keep-alives of older phones send
                continue
            if data[0] <= CR and not (data := self._message_in(data, address)):
                continue
            if len(data) > largest:
                self._owner.dropped["datagram too large"] += 1
                head, end, _ = data.partition(b"\r\n\r\n")
                self._owner.refuse(head + end, MessageTooLarge(), flows.of(address))
                continue
            messages.append((data, flows.of(address)))
        return messages

    def _message_in(self, data: bytes, address: Peer) -> bytes:
        """Return the message in a datagram that begins like none: STUN is answered, CRLFs before a message are skipped.

        RFC 3261 section 7.5 has the latter for streams. Empty when there is no message.
        """
        if data[0] < STUN_ENDS and (answer := binding_response(data, address[:2])) is not None:
            self.send(answer, address)
            return b""
        return data.lstrip(b"\r\n")

    def _tell_age(self) -> None:
        now = time.time()
        if 0.0 <= now - self._sampled < SAMPLE_SECONDS:
            return
        self._sampled = now
        try:
            fcntl.ioctl(self.sock, _SIOCGSTAMPNS, _stamp)
        except OSError:  # the system keeps no such times
            return
        seconds, nanoseconds = _TIMESPEC.unpack(_stamp)
        self._owner.waited(max(now - seconds - nanoseconds * 1e-9 - self._meant, 0.0))

    def send(self, data: bytes, remote: Peer) -> None:
        """Send one datagram; what the system does not take is counted and lost, as datagrams may be."""
        try:
            self.sock.sendto(data, remote)
        except BlockingIOError:
            self._owner.dropped["send buffer full"] += 1
        except (OSError, ValueError):  # an address that the socket cannot send to
            self._owner.dropped["datagram not sent"] += 1

    def close(self) -> None:
        """Close the socket."""
        if self.sock.fileno() < 0:
            return
        if self._gathering is not None:
            self._gathering.cancel()
        self._loop.remove_reader(self.sock)
        self.sock.close()


def send_datagrams(
    listeners: Mapping[Address, Datagrams], out: Sequence[tuple[Flow, bytes]]
) -> list[tuple[Flow, bytes]]:
    """Send what goes by UDP, each from the listener of its flow; returns the rest."""
    rest: list[tuple[Flow, bytes]] = []
    for flow, data in out:
        if flow.transport == "UDP":
            listeners[flow.local].send(data, flow.remote)
        else:
            rest.append((flow, data))
    return rest
