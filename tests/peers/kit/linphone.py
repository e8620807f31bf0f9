"""linphone without sound or screen: a phone that knows digest with SHA-256."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.peers.kit.process import LOOPBACK, Program, wait_until

CONFIG = """\
[sip]
sip_port={port}
sip_tcp_port=0
sip_tls_port={tls_port}
root_ca={ca}
verify_server_certs=1
verify_server_cn=0
default_proxy=0
guess_hostname=0
contact="{user}" <sip:{user}@{host}>
[proxy_0]
reg_proxy=<sip:{server};transport={transport}>
reg_route=<sip:{server};transport={transport};lr>
reg_identity=<sip:{user}@{domain}>
reg_sendregister=1
reg_expires=60
publish=0
[auth_info_0]
username={user}
passwd={password}
realm={domain}
domain={domain}
algorithm={algorithm}
"""


class Linphone(Program):
    """Registers as ``user``, whose password is kept for challenges of ``algorithm``.

    By TLS it registers with a server whose certificate is of ``ca``, for whatever name: it knows no certificates of
    addresses. ``messages`` is what it says of the SIP that it sent and received.
    """

    patience = 0.5

    def __init__(
        self,
        user: str,
        directory: Path,
        *,
        server: tuple[str, int],
        port: int,
        algorithm: str = "SHA-256",
        password: str = "demo",
        domain: str = "ims.example",
        transport: str = "udp",
        ca: Path | None = None,
    ) -> None:
        home = directory / f"linphone-{user}"
        (home / ".local/share/linphone").mkdir(parents=True)
        self._said = home / "log"
        values = {"user": user, "password": password, "domain": domain, "algorithm": algorithm}
        place = f"{server[0]}:{server[1]}"
        tls = {"transport": transport, "tls_port": -1 if transport == "tls" else 0, "ca": ca or ""}  # -1: any free one
        config = CONFIG.format(host=LOOPBACK, port=port, server=place, **values, **tls)
        (home / "rc").write_text(config)
        super().__init__(
            ["linphone-daemon", "--config", str(home / "rc"), "--log", str(self._said)],
            directory / f"linphone-{user}.log",
            cwd=home,
            environment={"HOME": str(home)},
            stdin=subprocess.PIPE,  # where it takes commands: it ends with it
        )

    @property
    def messages(self) -> str:
        """The log with the messages in it."""
        return self._said.read_text(errors="replace") if self._said.exists() else ""

    def wait_until_registered(self) -> Linphone:
        """Return once the server has accepted its registration."""
        wait_until(lambda: not self.running or "SIP/2.0 200 OK" in self.messages, 20, "linphone registered")
        assert self.running, self.report()
        return self

    def sent(self, header: str) -> list[str]:
        """The lines of that header in what it sent and received."""
        return [line for line in self.messages.splitlines() if line.startswith(f"{header}:")]
