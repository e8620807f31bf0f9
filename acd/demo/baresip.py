"""How baresip is set up as a phone without a screen, a keyboard or a sound card."""

from __future__ import annotations

import shutil
from pathlib import Path

PROGRAM = "baresip"
MODULE_DIRECTORIES = (
    "/usr/lib/baresip/modules",
    "/usr/local/lib/baresip/modules",
    "/usr/lib64/baresip/modules",
)
MODULES = ("g711.so", "aufile.so", "menu.so", "ctrl_tcp.so")
RTP_PORTS = "30000-32000"  # clear of the engine's, and below those that the kernel gives to clients


def modules() -> str | None:
    """Return the directory with all modules that are needed, None where baresip cannot be used."""
    if shutil.which(PROGRAM) is None:
        return None
    for directory in MODULE_DIRECTORIES:
        if all(Path(directory, name).exists() for name in MODULES):
            return directory
    return None


def configuration(*, module_path: str, control_port: int, voice: Path) -> str:
    """Return the text of its file ``config``: plays ``voice`` to the peer, hears into nothing."""
    return f"""\
poll_method epoll
sip_listen 127.0.0.1:0
net_interface 127.0.0.1
rtp_ports {RTP_PORTS}
call_max_calls 2
audio_source aufile,{voice}
audio_channels 1-1
ausrc_srate 8000
ausrc_channels 1
module_path {module_path}
module g711.so
module aufile.so
module_app menu.so
module_app ctrl_tcp.so
ctrl_tcp_listen 127.0.0.1:{control_port}
statmode_default off
"""


def account(*, user: str, domain: str, password: str, server: str, transport: str) -> str:
    """Return the parameter of its command ``uanew``: registers ``user`` at ``server`` (host:port)."""
    return (
        f"<sip:{user}@{domain};transport={transport}>;auth_user={user};auth_pass={password}"
        f';outbound="sip:{server};transport={transport}";regint=600;audio_codecs=PCMU,PCMA;answermode=manual'
    )
