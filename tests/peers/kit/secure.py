"""A server with every transport, and the authority that its certificate and those of phones come from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tests.kit.certificates import Authority
from tests.peers.kit.process import LOOPBACK
from tests.peers.kit.server import Server

if TYPE_CHECKING:
    from tests.peers.conftest import Bench


class SecureServer:
    """``server`` listens by UDP and TCP on one port and by TLS, WS and WSS on ports of their own.

    ``settings`` are as ``Server`` takes them, further keyword arguments are keys of ``sip.tls``.
    """

    def __init__(self, bench: Bench, *, settings: Mapping[str, object] | None = None, **tls: Any) -> None:
        self.authority = Authority(bench.directory)
        self.certificate = bench.directory / "server.pem"
        self.renew("ims.example", LOOPBACK)
        sip = bench.port()
        self.ports = {"udp": sip, "tcp": sip, **{name: bench.port() for name in ("tls", "ws", "wss")}}
        self.server: Server = bench.serve(
            sip_port=sip,
            settings={
                "sip.listen": [f"{name}:{LOOPBACK}:{port}" for name, port in self.ports.items()],
                "sip.tls.certificate": str(self.certificate),
                "sip.tls.ca": str(self.authority.file),
                **{f"sip.tls.{key}": told for key, told in tls.items()},
                **(settings or {}),
            },
        )

    def renew(self, *names: str) -> None:
        """Put another certificate in the place of the server's."""
        self.certificate.write_bytes(self.authority.issue(*names).read_bytes())

    def address(self, transport: str) -> tuple[str, int]:
        """Where the server listens by this transport."""
        return LOOPBACK, self.ports[transport]
