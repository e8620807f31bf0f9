"""The servers that ims-acd is compared with, each started the way its own users would for such a load."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from benchmarks.ng import NgClient
from benchmarks.processes import LOOPBACK, RTP_PORTS, Address, BenchmarkError, Process, free_port, program, server
from benchmarks.targets import RelayTarget, SipTarget, audio_port, sdp
from media.rtpengine.bencode import Writable


def answers_options(address: Address) -> bool:
    """Tell whether a SIP server answers OPTIONS with any response at all within a tenth of a second."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((LOOPBACK, 0))
        probe.settimeout(0.1)
        here = f"{LOOPBACK}:{probe.getsockname()[1]}"
        request = (
            f"OPTIONS sip:{address[0]}:{address[1]} SIP/2.0\r\nVia: SIP/2.0/UDP {here};branch=z9hG4bKprobe{here}\r\n"
            f"Max-Forwards: 70\r\nFrom: <sip:probe@{here}>;tag=probe\r\nTo: <sip:{address[0]}:{address[1]}>\r\n"
            f"Call-ID: probe@{here}\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
        )
        try:
            probe.sendto(request.encode(), address)
            return probe.recv(4096).startswith(b"SIP/2.0")
        except OSError:
            return False


@contextmanager
def kamailio(directory: Path, *defined: str) -> Iterator[SipTarget]:
    """Run Kamailio as registrar and stateful proxy: two workers, 4 MB receive buffer, no TCP.

    With ``DIGEST`` among what is `defined` it asks who registers for credentials.

    With its default of 64 MB shared memory it falls silent for seconds once about 4,000 transactions are kept.
    """
    address = (LOOPBACK, free_port())
    configuration = directory / "kamailio.cfg"
    template = Path(__file__).with_name("kamailio.cfg").read_text()
    configuration.write_text(template.replace("LISTEN", f"{address[0]}:{address[1]}"))
    command = [
        program("kamailio"), "-DD", "-f", str(configuration), "-b", "4194304", "-m", "512",
        "-Y", str(directory), "-P", str(directory / "kamailio.pid"),
    ]  # fmt: skip
    for name in defined:
        command += ["-A", name]
    with server(command, directory, lambda _: answers_options(address)) as process:
        yield SipTarget(process.pid, address)


def kamailio_with_digest(directory: Path) -> AbstractContextManager[SipTarget]:
    """Run Kamailio with digest authentication, the nonces counted as ours are."""
    return kamailio(directory, "DIGEST")


@contextmanager
def sippy(directory: Path, next_hop: Address) -> Iterator[SipTarget]:
    """Run sippy's plain B2BUA, which sends every call on to `next_hop`, without its per-message log."""
    address = (LOOPBACK, free_port())
    command = [
        sys.executable, "-m", "sippy.b2bua_simple", "-f", "-l", address[0], "-p", str(address[1]),
        "-n", f"{next_hop[0]}:{next_hop[1]}",
    ]  # fmt: skip
    quiet = {"SIPLOG_BEND": "none"}
    with server(command, directory, lambda _: answers_options(address), environment=quiet) as process:
        yield SipTarget(process.pid, address)


@contextmanager
def rtpengine(directory: Path, *, recording: bool = False) -> Iterator[RelayTarget]:
    """Run rtpengine without its kernel module, so that every packet passes through user space.

    With `recording` it writes the packets of each session into a file, as they are.
    """
    address = (LOOPBACK, free_port())
    command = [
        program("rtpengine"), "--config-file=none", "--table=-1", f"--interface={LOOPBACK}",
        f"--listen-ng={address[0]}:{address[1]}", "--foreground", "--log-stderr", "--log-level=3",
        f"--port-min={RTP_PORTS.start}", f"--port-max={RTP_PORTS.stop - 1}",
        f"--pidfile={directory / 'rtpengine.pid'}",
    ]  # fmt: skip
    if recording:
        recordings = directory / "recordings"
        for kind in ("pcaps", "metadata", "tmp"):
            (recordings / kind).mkdir(parents=True)
        command += [f"--recording-dir={recordings}", "--recording-method=pcap"]
    client = NgClient(address)
    bridged: dict[int, tuple[int, int]] = {}

    def ready(_: Process) -> bool:
        try:
            return bool(client.command("ping"))
        except BenchmarkError:
            return False

    def bridge(sessions: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
        bridged.update(enumerate(sessions))
        return [_bridge(client, number, *ports, recording=recording) for number, ports in bridged.items()]

    def counted() -> int:
        return sum(_end(client, number) for number in bridged)

    try:
        with server(command, directory, ready) as process:
            yield RelayTarget(process.pid, bridge, counted)
    finally:
        client.close()


def rtpengine_recording(directory: Path) -> AbstractContextManager[RelayTarget]:
    """Run rtpengine with its recording of packets."""
    return rtpengine(directory, recording=True)


def _bridge(client: NgClient, number: int, caller: int, callee: int, *, recording: bool) -> tuple[int, int]:
    call: dict[str, Writable] = {"call_id": f"bench-{number}", "from_tag": "caller", "ICE": "remove"}
    call["replace"] = ["origin"]
    call["record_call"] = "yes" if recording else "no"
    offered = client.command("offer", **call, sdp=sdp(caller))
    answered = client.command("answer", **call, to_tag="callee", sdp=sdp(callee))
    # The rewritten offer is what the callee sees, so its port is the callee's; the answer's is the caller's.
    return audio_port(str(answered["sdp"])), audio_port(str(offered["sdp"]))


def _end(client: NgClient, number: int) -> int:
    answer = client.command("delete", call_id=f"bench-{number}", from_tag="caller", delete_delay=0)
    match answer:
        case {"totals": {"RTP": {"packets": int(packets)}}}:
            return packets
    raise BenchmarkError(f"rtpengine counted nothing: {answer}")
