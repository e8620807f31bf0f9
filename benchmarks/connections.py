"""What a thousand phones cost that keep their connections: registrations over TCP and over TLS, and memory."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import NamedTuple

from benchmarks import machine, ours
from benchmarks.processes import LOOPBACK, BenchmarkError, free_port, helper
from benchmarks.sampling import Scale, measured

CONNECTIONS = 1000
SECONDS = 10.0
CONNECT_SECONDS = 60.0


class Carried(NamedTuple):
    """What one run over ``transport`` found; ``bytes_each`` with the connection's binding in it."""

    transport: str
    rate: float
    per_cpu_second: float
    bytes_each: float


def carried(transport: str, scale: Scale, directory: Path) -> Carried:
    """Refresh the registrations of `CONNECTIONS` phones, each by a connection of its own, as fast as they are answered.

    Raises `BenchmarkError`.
    """
    port = free_port()
    certificate = _certificate(directory)
    settings = {
        "sip.listen": json.dumps([f"udp:{LOOPBACK}:{port}", f"{transport}:{LOOPBACK}:{port}"]),
        "sip.tls.certificate": json.dumps(str(certificate)),
        "sip.tls.verify_peers": "false",
    }
    with ours.engine(directory, {}, changed=settings) as target:
        empty = machine.proportional_memory(target.pid)
        load = helper("connection_load", transport, port, CONNECTIONS, scale.seconds(SECONDS), directory=directory)
        with load as phones:
            if (said := phones.hear(CONNECT_SECONDS)) != "ready":
                raise BenchmarkError(f"the phones are not connected: {said}")
            full = machine.proportional_memory(target.pid)
            with measured(target.pid) as sample:
                phones.say("go")
                counted = json.loads(phones.hear(SECONDS + CONNECT_SECONDS))
    if counted["failed"]:
        raise BenchmarkError(f"{counted['failed']} registrations failed, {counted['answered']} were answered")
    sample.units, sample.seconds = counted["answered"], counted["seconds"]
    return Carried(transport, sample.units / sample.seconds, sample.per_cpu_second, (full - empty) / CONNECTIONS)


def _certificate(directory: Path) -> Path:
    """Make a self-signed certificate with its key in one file."""
    file, key = directory / "certificate.pem", directory / "key.pem"
    command = [
        "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
        "-subj", "/CN=ims.example", "-keyout", str(key), "-out", str(file),
    ]  # fmt: skip
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=30)
    except (OSError, subprocess.SubprocessError) as error:
        raise BenchmarkError(f"openssl makes no certificate: {error}") from None
    file.write_bytes(file.read_bytes() + key.read_bytes())
    return file
