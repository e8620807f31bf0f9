"""What the configuration says of listeners, certificates and WebSockets, and each mistake in one sentence."""

import pytest

from acd.config import Config, ConfigError, loads
from acd.config.addresses import Listener

LEAST = '[server]\ndomain = "ims.example"\n'
TLS = '[sip.tls]\ncertificate = "a.pem"\n'


def read(text: str) -> Config:
    return loads(LEAST + text)


def mistake(text: str) -> str:
    with pytest.raises(ConfigError) as error:
        read(text)
    (line,) = error.value.mistakes
    return line.removeprefix("configuration: ")


def test_every_transport_and_both_versions_of_ip() -> None:
    written = ["udp:127.0.0.1:5060", "tcp:[::1]:5060", "tls:127.0.0.1:5061", "ws:[::1]:8080", "wss:127.0.0.1:8443"]
    config = read(f"[sip]\nlisten = {written}\n{TLS}")
    assert [str(listener) for listener in config.sip.listen] == written
    assert config.sip.listen[1] == Listener("tcp", "::1", 5060)
    assert [listener.needs_certificate for listener in config.sip.listen] == [False, False, True, False, True]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            '[sip]\nlisten = ["tls:127.0.0.1:5061"]',
            "sip.tls: expected a table with a certificate, because sip.listen has tls",
        ),
        (
            '[sip]\nlisten = ["wss:127.0.0.1:443"]',
            "sip.tls: expected a table with a certificate, because sip.listen has wss",
        ),
        (
            '[sip]\nlisten = ["tcp:127.0.0.1:5", "ws:127.0.0.1:5"]',
            "sip.listen[1]: expected an address that is not listed",
        ),
        ('[sip.tls]\nkey = "a.pem"', "sip.tls.certificate: expected"),
        (f'{TLS}client_certificates = "optional"', "sip.tls.ca: expected the authorities of clients"),
        (
            f'{TLS}client_certificates = "yes"',
            'sip.tls.client_certificates: expected "none" or "optional" or "required"',
        ),
        ('[sip.websocket]\norigins = ["phone.example"]', "sip.websocket.origins[0]: expected the origin of a page"),
        ('[sip.websocket]\npath = "sip"', "sip.websocket.path: expected a path that begins with /"),
        ("[limits]\nhandshake_seconds = 0", "limits.handshake_seconds: expected a number of seconds above 0"),
        (
            '[sip]\nlisten = ["udp:[::]:5060"]\nadvertise = "192.0.2.1"',
            "sip.listen has udp:[::]:5060, which names none, and 192.0.2.1 is of another version of IP",
        ),
        (
            f'[sip]\nlisten = ["udp:127.0.0.1:5060", "tls:127.0.0.1:5061"]\nadvertise = "192.0.2.1:5060"\n{TLS}',
            "sip.advertise: expected a host without a port, because sip.listen has several ports (5060, 5061)",
        ),
    ],
)
def test_mistakes(text: str, said: str) -> None:
    assert said in mistake(text)


@pytest.mark.parametrize(
    "text",
    [
        '[sip]\nlisten = ["udp:127.0.0.1:5060", "udp:[::1]:5060"]\nadvertise = "192.0.2.1:5070"',
        '[sip]\nlisten = ["udp:0.0.0.0:5060", "udp:[::]:5060"]\nadvertise = "sip.ims.example"',
        '[sip]\nlisten = ["udp:0.0.0.0:5060", "tcp:[::1]:5061"]\nadvertise = "192.0.2.1"',
        f'{TLS}ca = "b.pem"\nclient_certificates = "required"',
        '[sip.websocket]\norigins = ["https://phone.example", "http://localhost:8000"]\npath = "/sip"',
    ],
)
def test_what_fits_is_taken(text: str) -> None:
    assert read(text).sip.listen


def test_nobody_is_called_by_opening_a_websocket() -> None:
    listen = '[sip]\nlisten = ["udp:127.0.0.1:5060", "ws:127.0.0.1:8080"]\n'
    agent = '[agents.a]\nname = "A"\nqueues = []\ncontact = "sip:a@127.0.0.1{}"\n'
    said = mistake(listen + agent.format(";transport=ws"))
    assert "a transport and a version of IP that sip.listen has" in said
    read(listen + agent.format(""))
