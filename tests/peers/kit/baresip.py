"""baresip, a softphone, driven through its control port."""

from __future__ import annotations

import json
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.peers.kit.process import LOOPBACK, Program, wait_until
from tests.peers.kit.tones import write_tone

MODULES = Path("/usr/lib/baresip/modules")
Event = dict[str, Any]

CONFIG = """\
poll_method epoll
sip_listen {host}:{port}
call_local_timeout 120
call_max_calls 4
audio_channels 1-1
ausrc_srate 8000
ausrc_channels 1
auplay_srate 8000
auplay_channels 1
statmode_default off
audio_source aufile,{tone}
audio_player aubridge,ear
audio_alert aubridge,bell
audio_txmode thread
rtp_ports {first}-{last}
net_interface {host}
jitter_buffer_delay 1-3
module_path {modules}
module g711.so
module aufile.so
module aubridge.so
module sndfile.so
module_tmp account.so
module_app menu.so
module_app ctrl_tcp.so
ctrl_tcp_listen {host}:{control}
snd_path {heard}
ringback_disabled yes
menu_bell no
"""


class Baresip(Program):
    """A phone that plays one tone and keeps what it hears; ``transport`` is ``udp``, ``tcp`` or ``tls``.

    ``config`` are further lines of its configuration, ``account`` further options of its account.
    """

    patience = 0.1  # it waits long for a server that is gone already

    def __init__(
        self,
        user: str,
        directory: Path,
        *,
        server: tuple[str, int],
        port: int,
        control: int,
        rtp_ports: int,
        tone: float,
        transport: str = "udp",
        answers: bool = False,
        password: str = "demo",
        domain: str = "ims.example",
        config: Sequence[str] = (),
        codecs: str = "PCMU/8000/1,PCMA/8000/1",
        account: Sequence[str] = (),
    ) -> None:
        self.user = user
        self.port = port
        home = directory / f"baresip-{user}"
        home.mkdir()
        self.heard_in = directory / f"h-{user}"  # baresip cuts paths of 128 characters, the .wav as well
        self.heard_in.mkdir()
        proxy = f"sip:{server[0]}:{server[1]};transport={transport}"
        options = [
            f"auth_user={user}",
            f"auth_pass={password}",
            f'outbound="{proxy}"',
            "regint=60",
            f"audio_codecs={codecs}",
            f"answermode={'auto' if answers else 'manual'}",
            "ptime=20",
            *account,
        ]
        (home / "accounts").write_text(f"<sip:{user}@{domain};transport={transport}>;{';'.join(options)}\n")
        (home / "contacts").write_text("")
        (home / "config").write_text(
            CONFIG.format(
                host=LOOPBACK, port=port, control=control, first=rtp_ports, last=rtp_ports + 9, modules=MODULES,
                tone=write_tone(home / "tone.wav", tone), heard=self.heard_in,
            )
            + "".join(f"{line}\n" for line in config)
        )  # fmt: skip
        self._control: socket.socket | None = None
        self._control_port = control
        self._buffer = b""
        self.events: list[Event] = []
        super().__init__(["baresip", "-f", str(home), "-v"], directory / f"baresip-{user}.log", cwd=home)

    # Commands -----------------------------------------------------------------------------------------------

    def dial(self, number: str) -> None:
        """Call."""
        self.command("dial", number)

    def press(self, digit: str) -> None:
        """Press a key, and let it go."""
        self.command("sndcode", digit)

    def accept(self) -> None:
        """Answer the call that rings."""
        self.command("accept")

    def hang_up(self) -> None:
        """End, or refuse, the call."""
        self.command("hangup")

    def command(self, name: str, parameters: str = "") -> None:
        """Send a command to the control port."""
        message = json.dumps({"command": name, "params": parameters, "token": "t"}).encode()
        self._connection().sendall(b"%d:%s," % (len(message), message))

    # What happened ------------------------------------------------------------------------------------------

    def wait_until_registered(self) -> Baresip:
        """Return once the server has accepted its registration."""
        wait_until(lambda: not self.running or "binding]" in self.output, 20, f"{self.user} registered")
        self._connection()
        return self

    def wait_for(self, kind: str, seconds: float = 10.0) -> Event:
        """Return the first event of this type, as ``REGISTER_OK`` or ``CALL_ESTABLISHED``."""

        def find() -> Event | None:
            self._read()
            return next((event for event in self.events if event.get("type") == kind), None)

        return wait_until(find, seconds, f"{self.user}: {kind} among {[event.get('type') for event in self.events]}")

    def keys(self) -> str:
        """Return the keys that the other side has pressed so far."""
        self._read()
        return "".join(event["param"] for event in self.events if event.get("type") == "CALL_DTMF_START")

    def forget(self) -> None:
        """Forget the events so far."""
        self._read()
        self.events.clear()

    def heard(self) -> Path:
        """The recording of what came from the other side in the latest call."""
        return max(self.heard_in.glob("*-dec.wav"), key=lambda path: path.stat().st_mtime)

    def heard_bytes(self) -> int:
        """How much it has kept of the present call; 16,000 are a second."""
        return max((path.stat().st_size for path in self.heard_in.glob("*-dec.wav")), default=0)

    def end(self) -> None:
        """End it."""
        if self._control is not None:
            self._control.close()
        super().end()

    # Inside -------------------------------------------------------------------------------------------------

    def _connection(self) -> socket.socket:
        if self._control is None:

            def connect() -> socket.socket | None:
                assert self.running, self.report()
                try:
                    return socket.create_connection((LOOPBACK, self._control_port), 2.0)
                except OSError:
                    return None

            self._control = wait_until(connect, 15, f"{self.user}: control port")
        return self._control

    def _read(self) -> None:
        connection = self._connection()
        connection.setblocking(False)
        try:
            while data := connection.recv(65536):
                self._buffer += data
        except BlockingIOError:
            pass
        finally:
            connection.settimeout(2.0)
        while b":" in self._buffer:
            length, _, rest = self._buffer.partition(b":")
            size = int(length)
            if len(rest) <= size:
                return
            message = json.loads(rest[:size])
            self._buffer = rest[size + 1 :]
            if message.get("event"):
                self.events.append(message)
