"""The IMS core of ``configs/ims.toml`` on ports of its own, as hops or in one process, and handsets by SIPp."""

from __future__ import annotations

import signal
import tomllib
from typing import TYPE_CHECKING, Any, Literal

from tests.peers.kit.process import LOOPBACK
from tests.peers.kit.server import ROOT, Server

if TYPE_CHECKING:
    from tests.peers.conftest import Bench
    from tests.peers.kit.sipp import Sipp

Shape = Literal["hops", "processes", "together"]
SHAPES: tuple[Shape, ...] = ("hops", "processes", "together")
SHIPPED = tomllib.loads((ROOT / "configs" / "ims.toml").read_text(encoding="utf-8"))
DOMAIN: str = SHIPPED["server"]["domain"]
NUMBERS = "+8613800000001", "+8613800000002"
_LISTEN = 'listen = ["udp:127.0.0.1:{0}", "tcp:127.0.0.1:{0}"]'
_PLACES = "127.0.0.1:5060", "127.0.0.1:5062", "127.0.0.1:5064"


class Core:
    """The core in one of its shapes: three hops of one process, of a process each, or one element."""

    def __init__(self, bench: Bench, shape: Shape, **settings: object) -> None:
        self.bench = bench
        self.shape = shape
        ports = [bench.port() for _ in _PLACES]
        if shape == "together":
            ports = ports[:1] * 3
        pcscf, self.scscf_port, own = ports
        self.address = LOOPBACK, pcscf
        self.server = LOOPBACK, own
        changes = {place: f"{LOOPBACK}:{port}" for place, port in zip(_PLACES, ports, strict=True)}
        if shape == "together":
            for hop, at in (("pcscf", 5060), ("scscf", 5062)):
                changes[f"[ims.{hop}]\n{_LISTEN.format(pcscf)}"] = ""
                assert _LISTEN.format(at) in (ROOT / "configs" / "ims.toml").read_text()
        own_listen = [f"udp:{LOOPBACK}:{own}", f"tcp:{LOOPBACK}:{own}"]
        self.servers: list[Server] = []
        self._options: list[dict[str, Any]] = []
        runs = [["pcscf"], ["scscf"], ["as"]] if shape == "processes" else [["pcscf", "scscf", "as"]]
        for run in runs:
            chosen: dict[str, object] = {"sip.listen": own_listen, "ims.run": run, **settings}
            if shape == "processes":
                chosen["storage.dir"] = str(bench.directory / f"var-{run[0]}")
            options: dict[str, Any] = {"changes": changes, "settings": chosen, "sip_port": pcscf}
            self._options.append(options)
            self.servers.append(bench.serve("ims.toml", **options))

    @property
    def engine(self) -> Server:
        """The process that is the application server."""
        return self.servers[-1]

    @property
    def registrar(self) -> Server:
        """The process that is the S-CSCF."""
        return self.servers[self._registrar]

    @property
    def _registrar(self) -> int:
        return 1 if len(self.servers) > 1 else 0

    def restart_registrar(self) -> None:
        """Stop the process that is the S-CSCF and start it again."""
        self.servers[self._registrar].stop()
        self.start(self._registrar)

    def kill(self, place: int) -> None:
        """End a process without a word."""
        self.servers[place].signal(signal.SIGKILL)
        self.servers[place].wait(5.0)

    def start(self, place: int) -> None:
        """Start a process again."""
        self.servers[place] = self.bench.serve("ims.toml", **self._options[place])


class Phone:
    """A phone at a port of its own that registers as ``user`` of a domain, with a password."""

    def __init__(self, core: Core, user: str, *, domain: str = DOMAIN) -> None:
        self.core = core
        self.port = core.bench.port()
        self.user = user
        self.domain = domain
        self.private = f"{user}@{domain}"
        self.secret, self.usim = ["-ap", "demo"], ""

    def start(self, scenario: str, *, at_core: bool = True, **options: Any) -> Sipp:
        """Start SIPp with a scenario towards the core, or to wait for what comes."""
        keys = {"domain": self.domain, "caller": self.user, "private": self.private, **options.pop("keys", {})}
        return self.core.bench.sipp(
            scenario,
            **{
                "port": self.port,
                "keys": keys,
                "remote": self.core.address if at_core else None,
                "options": ["-trace_msg"],
                **options,
            },
        )

    def register(self, expires: int = 600) -> Sipp:
        """Register, register again, or leave with 0."""
        credentials = ["-au", self.private, *self.secret, "-auth_uri", self.domain]
        sipp = self.start(
            "ims_register", keys={"expires": expires}, options=credentials, changes={" USIM": f" {self.usim}".rstrip()}
        )
        sipp.succeed()
        return sipp

    def waits(self) -> Sipp:
        """Wait for a call."""
        return self.start("agent", at_core=False)

    def calls(self, number: str, pause: float = 0.2) -> Sipp:
        """Call somebody, talk and hang up."""
        sipp = self.start("ims_call", number=number, pause=pause)
        sipp.succeed()
        return sipp


class Handset(Phone):
    """The handset of a shipped subscriber, the first or the second, with a USIM."""

    def __init__(self, core: Core, number: Literal[1, 2]) -> None:
        super().__init__(core, NUMBERS[number - 1])
        shipped = SHIPPED["subscribers"][number - 1]
        self.private = shipped["private"]
        escaped = "".join(f"\\x{shipped['k'][at : at + 2]}" for at in range(0, 32, 2))  # SIPp takes a 5b for a bracket
        self.secret = []
        self.usim = f"aka_K={escaped} aka_OP=0x{shipped['op']} aka_AMF=0x{shipped['amf']}"
