"""What the README tells a lab to do, done: its own lines, with the names and ports of the test in them."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from tests.peers.conftest import Bench
from tests.peers.kit import Program, wait_until

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
SERVER = "sip.ims.example"  # as the README calls it; here nobody but localhost has a name


def lines(beginning: str) -> str:
    """Return the indented lines of the README that begin so, without their indentation."""
    found = re.search(rf"(?:^|\n)((?:    {re.escape(beginning)}.*\n)(?:    .*\n)*)", README)
    assert found is not None, beginning
    return found[1].replace("\n    ", "\n").removeprefix("    ")


@pytest.mark.peer("openssl", "linphone")
@pytest.mark.rfc("3261-26.3.1", "5922-7")
def test_linphone_registers_over_tls_as_the_readme_has_it(bench: Bench) -> None:
    command = lines("openssl req").replace("\\\n", " ").replace(SERVER, "localhost")
    subprocess.run(shlex.split(command), cwd=bench.directory, check=True, capture_output=True, timeout=30)
    sip, tls = bench.port(), bench.port()
    server = bench.serve(
        sip_port=sip,
        settings={
            "sip.listen": [f"udp:127.0.0.1:{sip}", f"tls:127.0.0.1:{tls}"],
            "sip.tls.certificate": str(bench.directory / "server.pem"),
            "sip.tls.key": str(bench.directory / "server.key"),
        },
    )
    settings = lines("[sip]").replace(f"{SERVER}:5061", f"localhost:{tls}")
    settings = re.sub(r"(?<=^root_ca=).*", str(bench.directory / "server.pem"), settings, flags=re.MULTILINE)
    (bench.directory / "alice.rc").write_text(settings)
    (bench.directory / ".local/share/linphone").mkdir(parents=True)
    linphone = Program(
        ["linphonec", "-c", "alice.rc"],
        bench.directory / "linphonec.log",
        cwd=bench.directory,
        environment={"HOME": str(bench.directory)},
        stdin=subprocess.PIPE,  # where it takes commands: it ends with it
    )
    bench.keep(linphone)
    wait_until(lambda: server.metrics()["acd_sip_bindings"] == 1, 20, "linphone registered")
    assert server.metrics()["acd_sip_connections{transport=tls}"] == 1
