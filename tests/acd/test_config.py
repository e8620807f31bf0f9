import copy
import tomllib
from pathlib import Path
from typing import Any

import pytest

from acd.config import (
    Address,
    Advertised,
    ConfigError,
    HostPort,
    Listener,
    Network,
    PortRange,
    ToAnnouncement,
    ToEcho,
    ToFlow,
    ToQueue,
    load,
    loads,
)
from acd.config.load import from_tables

LEAST = '[server]\ndomain = "ims.example"\n'
QUEUE = '[queues.sales]\nname = "Sales"\n'


def mistakes(text: str, *overrides: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        loads(text, overrides, file="x.toml")
    return list(caught.value.mistakes)


def only_mistake(text: str, *overrides: str) -> str:
    (mistake,) = mistakes(text, *overrides)
    return mistake


def test_only_the_domain_is_needed() -> None:
    config = loads(LEAST)
    assert config.server.domain == "ims.example"
    assert config.sip.listen == (Listener("udp", "127.0.0.1", 5060), Listener("tcp", "127.0.0.1", 5060))
    assert config.http.listen == HostPort("127.0.0.1", 8080)
    assert config.storage.path == Path("var")
    assert config.storage.cdr_url == "sqlite:///var/cdr.sqlite"
    assert config.storage.recordings_path == Path("var/recordings")
    assert only_mistake("") == 'x.toml: server.domain: expected a domain name, like "ims.example"; the key is missing'


def test_the_configuration_is_frozen() -> None:
    with pytest.raises(AttributeError):
        loads(LEAST).server.domain = "other.example"  # type: ignore[misc]


def test_a_file_is_read_from_disk(tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_text(LEAST, encoding="utf-8")
    assert load(file) == loads(LEAST)
    with pytest.raises(ConfigError, match=r"absent\.toml: expected a readable file: No such file"):
        load(tmp_path / "absent.toml")
    with pytest.raises(ConfigError, match="expected a readable file: Is a directory"):
        load(tmp_path)
    file.write_bytes(b"[server]\ndomain = '\xff'\n")
    with pytest.raises(ConfigError, match="expected UTF-8 text, found other bytes at offset 19"):
        load(file)


def test_a_syntax_error_names_its_line() -> None:
    assert only_mistake("[server]\ndomain =\n").startswith("x.toml:2: expected valid TOML at column 9: ")
    assert only_mistake('[server]\ndomain = "a"\ndomain = "b"\n').startswith("x.toml:3: expected valid TOML")
    assert "expected valid TOML" in only_mistake('[server\ndomain = "')


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("[sip]\nlisten = 5060", "sip.listen: expected a list, each item a transport, an IP address and a port"),
        ('[sip]\nlisten = ["udp:5060"]', "sip.listen[0]: expected a transport, an IP address and a port"),
        ('[sip]\nlisten = ["sctp:127.0.0.1:5060"]', "sip.listen[0]: expected a transport"),
        ('[sip]\nlisten = ["udp:127.0.0.1:65536"]', "sip.listen[0]: expected a transport"),
        ("[sip]\nlisten = []", "sip.listen: expected at least one address"),
        ('[sip]\nlisten = ["udp:127.0.0.1:1", "udp:127.0.0.1:1"]', "sip.listen[1]: expected an address that is not"),
        ('[sip]\nadvertise = "a b"', "sip.advertise: expected a host, or a host and a port"),
        ('[sip]\nnameservers = ["ns.example"]', "sip.nameservers[0]: expected an IP address, with a port if it is not"),
        ('[sip]\nnameservers = ["192.0.2.53:0"]', "sip.nameservers[0]: expected an IP address, with a port if it is"),
        ('[sip]\nrelay = { "a b" = "" }', 'sip.relay."a b": expected the key to be a domain name'),
        ('[sip]\nrelay = { "x.example" = "192.0.2.1" }', 'sip.relay."x.example": expected a SIP URI of a proxy'),
        ('[sip]\nrelay = { "IMS.example" = "" }', 'sip.relay."IMS.example": expected a domain that is not served here'),
        ('[sip]\nrelay = { "x.example" = "sip:[::1]" }', 'sip.relay."x.example": expected a transport and a'),
        ("[sip]\nfork_seconds = 0", "sip.fork_seconds: expected a number of seconds above 0"),
        ('[sip]\nadvertise = "a.example:65536"', "sip.advertise: expected a host"),
        ('[sip]\nauthentication = "basic"', 'sip.authentication: expected "digest" or "off", found "basic"'),
        (
            "[sip]\nsession_expires_seconds = 60",
            "sip.session_expires_seconds: expected 0 or at least sip.min_session_seconds (90), found 60",
        ),
        ("[sip]\nmin_session_seconds = 0", "sip.min_session_seconds: expected a whole number, 1 or more, found 0"),
        ("[sip]\nt1_seconds = 0", "sip.t1_seconds: expected a number of seconds above 0, found 0"),
        ("[sip]\nt1_seconds = nan", "sip.t1_seconds: expected a number of seconds above 0, found NaN"),
        ("[sip]\nt1_seconds = inf", "sip.t1_seconds: expected a number of seconds above 0, found Infinity"),
        ("[sip]\nt1_seconds = true", "sip.t1_seconds: expected a number of seconds above 0, found true"),
        ("[sip]\nmax_message_bytes = 1.5", "sip.max_message_bytes: expected a number of bytes"),
        ("[server]\ndomain = 1\n[server.x]", None),
        ('[media]\nlisten = "localhst"', 'media.listen: expected an IP address, like "127.0.0.1", found "localhst"'),
        ('[media]\nports = "30000-20000"', "media.ports: expected two ports from 1024 to 65535"),
        ('[media]\nports = "80-90"', "media.ports: expected two ports from 1024 to 65535"),
        ('[media]\nports = "20001-20004"', "media.ports: expected room for at least 4 ports"),
        ('[media]\nworkers = 2\nports = "20000-20006"', "media.ports: expected room for at least 8 ports"),
        ('[media]\ncodecs = ["G729", "PCMU"]', 'media.codecs[0]: expected "'),
        ('[media]\ncodecs = ["CN"]', "media.codecs: expected each codec once, and one besides CN"),
        ('[media]\ncodecs = ["PCMA", "PCMA"]', "media.codecs: expected each codec once, and one besides CN"),
        (
            '[media]\nadvertise = "192.0.2.1"\nadvertise_other = "2001:db8::1"',
            "media.advertise_other: expected an address of another version of IP than media.advertise, with media.",
        ),
        (
            '[media]\nlisten = "::"\nadvertise = "2001:db8::2"\nadvertise_other = "2001:db8::1"',
            "media.advertise_other: expected an address of another version of IP than media.advertise, with media.",
        ),
        ("[media]\noffers = []", "media.offers: expected each codec once, and one besides CN"),
        ('[media]\nprompts = "/nonexistent"', "media.prompts: expected the name of a directory"),
        ('[speech]\ncommand = ["say"]', 'speech.command: expected a program and its arguments, "{out}" among them'),
        ('[speech]\nvoices = { English = "en" }', "speech.voices"),
        ('[numbers.1]\nannouncement = ["say:en:"]', "numbers.1.announcement[0]: expected the name of a prompt"),
        (
            '[numbers.1]\nannouncement = ["time:en:25:00"]',
            "numbers.1.announcement: expected a value that can be said: '",
        ),
        (
            '[numbers.1]\nannouncement = ["number:fr:1"]',
            "numbers.1.announcement: expected a value that can be said: '",
        ),
        ('[numbers.1]\nannouncement = ["number:en:x"]', "numbers.1.announcement[0]: expected the name of a prompt"),
        ('[numbers.1]\nannouncement = ["say:Hello"]', "numbers.1.announcement[0]: expected the name of a prompt"),
        ('[media]\nports = "5060-6000"', "sip.listen[0]: expected a port outside media.ports 5060-6000"),
        ('[http]\nlisten = "8080"', "http.listen: expected an IP address and a port"),
        ('[log]\nlevel = "loud"', 'log.level: expected "debug" or "info" or "warning" or "error", found "loud"'),
        ('[storage]\nrecordings = "../x"', "storage.recordings: expected the name of a directory under storage.dir"),
        ('[storage]\nrecordings = "/x"', "storage.recordings: expected the name of a directory under storage.dir"),
        ('[recording]\nformat = "mp3"', 'recording.format: expected "wav" or "opus", found "mp3"'),
        (
            '[recording]\nkey = "ab:cd"',
            "recording.key: expected <id>:<64 hexadecimal digits> on each line (line 1 is not",
        ),
        (
            '[recording]\nkey_file = "/nonexistent/keys"',
            "recording.key_file: expected <id>:<64 hexadecimal digits> on each line (/nonexistent/keys: No such file",
        ),
        (
            '[recording]\nkey_file = "/tmp/a\\u0000b"',
            'recording.key_file: expected a text that is not empty, found "/tmp/a\\u0000b"',
        ),
        (
            '[speech]\nvoices = { en = "a\\u0000b" }',
            'speech.voices.en: expected a text that is not empty, found "a\\u0000b"',
        ),
        (
            f'[recording]\nkey = "a:{"ab" * 32}"\nkey_file = "x"',
            'recording.key_file: expected nothing, because recording.key is there, found "x"',
        ),
        ('[storage]\ncdr = "mysql://x"', "storage.cdr: expected a database URL"),
        (
            "[registrar]\nalgorithms = []",
            "registrar.algorithms: expected at least one",
        ),
        ("[registrar]\nqop = []", "registrar.qop: expected at least one"),
        ('[registrar]\nqop = ["auth-conf"]', "registrar.qop[0]: expected"),
        ('[registrar]\nservice_route = ["proxy.example"]', "registrar.service_route[0]: expected a SIP URI of a proxy"),
        (
            "[registrar]\nmin_expires_seconds = 9000",
            "registrar.max_expires_seconds: expected min_expires_seconds (9000)",
        ),
        ("[registrar]\ndefault_expires_seconds = 9000", "registrar.default_expires_seconds: expected from 60 to 7200"),
        ('[trunks.a]\nsources = ["10.0.0.1/8"]', "trunks.a.sources[0]: expected an IP address or network"),
        ('[queues.Sales]\nname = "x"', "queues.Sales: expected the key to be a name of a-z"),
        ("[queues.a]\nring_seconds = 3", "queues.a.name: expected a text that is not empty; the key is missing"),
        ('[queues.a]\nname = ""', 'queues.a.name: expected a text that is not empty, found ""'),
        (
            '[queues.a]\nname = "a\\n"\nmusic = "../etc"',
            'queues.a.music: expected the name of a prompt, like "en/welcome"',
        ),
        ('[queues.a]\nname = "a"\nmusic = "en/nope"', "queues.a.music: expected prompts that exist; there is no"),
        ("queues = 3", "queues: expected a table, found 3"),
        ("[queues]\na = 3", "queues.a: expected a table, found 3"),
        ("sip = []", "sip: expected a table, found []"),
        ('[numbers.100]\nqueue = "sales"', "numbers.100.queue: expected a queue (none is defined)"),
        ('[numbers.100]\nflow = "sales"', "numbers.100.flow: expected a flow (none is defined)"),
        ("[numbers.100]\necho = false", "numbers.100.echo: expected true, found false"),
        ("[numbers.100]", "numbers.100: expected a table with exactly one of the keys flow, queue, echo, announcement"),
        ('[numbers."1 0"]\necho = true', 'numbers."1 0": expected the key to be a number or name'),
        ('[feature_codes]\npause = "13"', "feature_codes.pause: expected a code that starts with * or #"),
        ('[feature_codes]\npause = "*11"', "feature_codes.pause: expected a code that is not also log_in"),
        ('[numbers."*11"]\necho = true', "feature_codes.log_in: expected a code that is not also a number"),
        ('accounts = ["alice"]', "accounts[0]: expected a table"),
        ('[[accounts]]\nuser = "a"', "accounts[0].password: expected a text in quotes; the key is missing"),
        ('[[accounts]]\npassword = "p"', "accounts[0].user: expected the name of a user"),
        ('[[accounts]]\nusers = "a..b"\npassword = "p"', "accounts[0].users[0]: expected a user like"),
        ('[[accounts]]\nusers = "a2..a1"\npassword = "p"', "accounts[0].users[0]: expected a user like"),
        ('[[accounts]]\nusers = "a1..b2"\npassword = "p"', "accounts[0].users[0]: expected a user like"),
        ('[[accounts]]\nuser = "a"\npassword = "p"\nroles = ["boss"]', "accounts[0].roles[0]: expected"),
        (
            '[[accounts]]\nusers = "a1..a3"\npassword = "p"\n[[accounts]]\nuser = "a2"\npassword = "p"',
            'accounts[1].user: expected users that are not named before, found "a2"',
        ),
        (
            '[[accounts]]\nuser = "1001"\npassword = "p"\nroles = ["agent"]',
            'agents.1001: expected a table, because the account "1001" has the role agent',
        ),
        (
            '[[accounts]]\nuser = "1001"\npassword = "p"\n[numbers.1001]\necho = true',
            "numbers.1001: expected a number that is not also an account or agent",
        ),
        ('[cdr_upload]\nurl = "ftp://x"', 'cdr_upload.url: expected an HTTP URL, like "https://billing.example/cdrs"'),
        ('[cdr_upload]\nurl = "http://x:65536/"', "cdr_upload.url: expected a port from 0 to 65535"),
        ('[cdr_upload]\ntoken = "t"', "cdr_upload.url: expected an HTTP URL, because cdr_upload.token is set; the key"),
        ("[cdr_upload]\nbatch = 1001", "cdr_upload.batch: expected a whole number from 1 to 1000, found 1001"),
        (
            "[cdr_upload]\nretry_seconds = 10\nlongest_retry_seconds = 5",
            "cdr_upload.longest_retry_seconds: expected cdr_upload.retry_seconds (10) or more, found 5",
        ),
    ],
)
def test_a_mistake_names_its_file_its_key_and_what_was_expected(text: str, mistake: str | None) -> None:
    if mistake is None:
        assert len(mistakes(text)) == 2
        return
    line = only_mistake(f"{text}\n{LEAST}")
    assert line.startswith(f"x.toml: {mistake}")
    assert "\n" not in line


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("queues = ['support']", 'agents.a1.queues[0]: expected a queue (defined: sales), found "support"'),
        (
            "",
            'agents.a1.queues: expected a list, each item the id of a queue, or "*" for all of them or a table; the',
        ),
        ("queues = ['sales']", 'agents.a1: expected an account "a1" with the role agent, or a contact'),
        (
            "queues = ['sales']\nalways_ready = true",
            "agents.a1.contact: expected a SIP URI, because always_ready is true",
        ),
        ("queues = ['sales']\ncontact = 'mailto:1'", "agents.a1.contact: expected a SIP URI"),
        ("queues = ['sales']\ncontact = 'tel:1'", "agents.a1.contact: expected a number that some [[outbound]] route"),
    ],
)
def test_an_agent_must_have_queues_and_a_way_to_be_reached(text: str, mistake: str) -> None:
    account = (
        "" if "account" in mistake or "contact" in mistake else '[[accounts]]\nuser="a1"\npassword="p"\nroles="agent"\n'
    )
    assert only_mistake(f"{LEAST}{QUEUE}[agents.a1]\n{text}\n{account}").startswith(f"x.toml: {mistake}")


def test_an_agent_needs_the_role_in_its_account() -> None:
    text = f'{LEAST}{QUEUE}[agents.a1]\nqueues = ["sales"]\n[[accounts]]\nuser = "a1"\npassword = "p"\n'
    assert only_mistake(text) == 'x.toml: agents.a1: expected the role agent in the account "a1"'


def test_without_authentication_an_agent_needs_no_account() -> None:
    config = loads(f'{LEAST}{QUEUE}[agents.a1]\nqueues = ["sales"]\n[sip]\nauthentication = "off"\n')
    assert config.agents["a1"].contact is None


def test_a_flow_must_lead_to_queues() -> None:
    flow = '[flows.f]\nmenu = ["en/menu"]\nchoices = { 1 = "sales", x = "sales", 2 = "none" }\ndefault = "nowhere"\n'
    assert mistakes(f"{LEAST}{QUEUE}{flow}") == [
        "x.toml: flows.f.choices.x: expected the key to be one key of a telephone: 0 to 9, * or #",
        'x.toml: flows.f.default: expected a queue (defined: sales), found "nowhere"',
        'x.toml: flows.f.choices.2: expected a queue (defined: sales), found "none"',
    ]


def test_every_mistake_is_told_at_once_and_each_only_once() -> None:
    found = mistakes(
        """
        colour = "red"
        [server]
        domian = "ims.example"
        [sip]
        listen = ["udp:0.0.0.0:5060"]
        [queues.sales]
        name = "Sales"
        ring_seconds = "long"
        [agents."a1..a200"]
        queues = ["support"]
        """
    )
    assert [line.split(": expected ")[0] for line in found] == [
        "x.toml: colour",
        "x.toml: server.domian",
        "x.toml: server.domain",
        "x.toml: queues.sales.ring_seconds",
        'x.toml: agents."a1..a200".queues[0]',
        "x.toml: sip.advertise",
    ]
    assert "did you mean" not in found[0]
    assert "expected domain (did you mean that?)" in found[1]


def test_a_definition_with_a_mistake_is_still_defined() -> None:
    queues = '[queues.sales]\nname = 3\n[queues.BAD]\nname = "x"\n'
    numbers = '[numbers.100]\nqueue = "sales"\n[numbers.101]\nqueue = "BAD"\n'
    assert [line.split(": expected ")[0] for line in mistakes(LEAST + queues + numbers)] == [
        "x.toml: queues.sales.name",
        "x.toml: queues.BAD",
        "x.toml: numbers.101.queue",
    ]


@pytest.mark.parametrize("bind", ["0.0.0.0:8080", "192.0.2.1:80", "[::]:8080"])
def test_http_beyond_loopback_needs_a_token(bind: str) -> None:
    text = f'{LEAST}[http]\nlisten = "{bind}"\n'
    assert only_mistake(text).startswith(f"x.toml: http.token: expected a token, because http.listen is {bind}")
    assert only_mistake(text + 'token = ""').startswith("x.toml: http.token: expected a token")
    assert loads(text + 'token = "secret"').http.token == "secret"


def test_http_can_be_off() -> None:
    assert loads(LEAST + '[http]\nlisten = ""').http.listen is None


def test_an_unspecified_address_needs_one_to_advertise() -> None:
    text = f'{LEAST}[sip]\nlisten = "udp:0.0.0.0:5060"\n[media]\nlisten = "0.0.0.0"\n'
    assert [line.split(": expected")[0] for line in mistakes(text)] == [
        "x.toml: sip.advertise",
        "x.toml: media.advertise",
    ]
    loads(text, ["sip.advertise=sip.ims.example", "media.advertise=192.0.2.1"])


def test_secrets_are_not_shown() -> None:
    account = '[[accounts]]\nuser = "alice"\npassword = "opensesame"\n'
    config = loads(f'{LEAST}[http]\ntoken = "hunter2"\n{account}')
    assert config.accounts["alice"].password == "opensesame"
    assert "opensesame" not in repr(config)
    assert "hunter2" not in repr(config)
    assert "12345" not in only_mistake(f'{LEAST}[[accounts]]\nuser = "a"\npassword = 12345')


def test_ranges_of_users_are_written_out() -> None:
    config = loads(
        f"""{LEAST}{QUEUE}
        [[accounts]]
        users = ["alice", "b008..b010", "1..3"]
        password = "p"
        [agents."a08..a10"]
        queues = "sales"
        contact = "sip:{{agent}}@127.0.0.1:16060"
        always_ready = true
        """
    )
    assert list(config.accounts) == ["alice", "b008", "b009", "b010", "1", "2", "3"]
    assert {agent.contact for agent in config.agents.values()} == {
        "sip:a08@127.0.0.1:16060",
        "sip:a09@127.0.0.1:16060",
        "sip:a10@127.0.0.1:16060",
    }
    assert config.agents["a08"].name == "a08"


def test_what_is_dialled_leads_to_one_of_four() -> None:
    text = f"""{LEAST}{QUEUE}
        [flows.f]
        menu = "en/menu"
        choices = {{}}
        default = "sales"
        [numbers]
        1.flow = "f"
        2.queue = "sales"
        3.echo = true
        4.announcement = ["en/goodbye"]
        """
    assert loads(text).numbers == {
        "1": ToFlow(flow="f"),
        "2": ToQueue(queue="sales"),
        "3": ToEcho(echo=True),
        "4": ToAnnouncement(announcement=("en/goodbye",)),
    }
    assert "numbers.2: expected a table with exactly one of the keys" in only_mistake(text, "numbers.2.echo=true")


class TestOverrides:
    def test_a_value_is_read_as_toml_and_else_as_text(self) -> None:
        config = loads(
            LEAST + QUEUE,
            [
                "server.drain_seconds=5",
                "server.language=zh",
                'sip.listen=["udp:127.0.0.1:5070"]',
                "http.listen=127.0.0.1:0",
                "queues.sales.record=false",
                "queues.sales.name=007",
                "http.token=12345",
                'numbers."*9".echo=true',
                "queues.support={name='Support'}",
                "storage.dir=a=b",
            ],
        )
        assert config.server.drain_seconds == 5
        assert config.server.language == "zh"
        assert config.sip.listen == (Listener("udp", "127.0.0.1", 5070),)
        assert config.http.listen == HostPort("127.0.0.1", 0)
        assert config.queues["sales"].record is False
        assert config.queues["sales"].name == "007"
        assert config.http.token == "12345"
        assert config.numbers == {"*9": ToEcho(echo=True)}
        assert config.queues["support"].name == "Support"
        assert config.storage.dir == "a=b"

    def test_the_last_of_two_counts(self) -> None:
        assert loads(LEAST, ["sip.t1_seconds=1", "sip.t1_seconds=2"]).sip.t1_seconds == 2

    @pytest.mark.parametrize(
        ("override", "mistake"),
        [
            ("foo", "--set foo: expected section.key=value"),
            ("=1", "--set =1: expected section.key=value"),
            ("a b=1", "--set a b=1: expected section.key=value"),
            ("server.domain.x=1", "--set server.domain.x=1: expected a key under a table; server.domain is none"),
            ("sipp.listen=1", "--set: sipp: expected sip (did you mean that?); this key is unknown"),
            ("sip.lisen=1", "--set: sip.lisen: expected listen (did you mean that?); this key is unknown"),
            ("media.workers=many", '--set: media.workers: expected a whole number from 1 to 64, found "many"'),
            ("media.workers=0", "--set: media.workers: expected a whole number from 1 to 64, found 0"),
            ("server.drain_seconds=", '--set: server.drain_seconds: expected a number of seconds, 0 for off, found ""'),
        ],
    )
    def test_a_mistake_in_one_names_set(self, override: str, mistake: str) -> None:
        assert only_mistake(LEAST, override) == mistake


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (Listener, "udp:127.0.0.1:5060", Listener("udp", "127.0.0.1", 5060)),
        (Listener, "tcp:[::1]:0", Listener("tcp", "::1", 0)),
        (HostPort, "127.0.0.1:8080", HostPort("127.0.0.1", 8080)),
        (Address, "::1", Address("::1")),
        (Advertised, "sip.ims.example", Advertised("sip.ims.example")),
        (Advertised, "192.0.2.1:5080", Advertised("192.0.2.1", 5080)),
        (Advertised, "2001:db8::1", Advertised("2001:db8::1")),
        (Advertised, "[2001:db8::1]:5060", Advertised("2001:db8::1", 5060)),
        (PortRange, "20000-29999", PortRange(20000, 29999)),
    ],
)
def test_addresses_read_and_write_the_same(kind: type, text: str, value: object) -> None:
    assert kind.parse(text) == value  # type: ignore[attr-defined]
    assert kind.parse(str(value)) == value  # type: ignore[attr-defined]


def test_localhost_is_an_address() -> None:
    assert HostPort.parse("localhost:1").host == "127.0.0.1"


def test_a_port_range_counts_whole_pairs() -> None:
    assert PortRange(20000, 20003).legs == 2
    assert PortRange(20001, 20004).legs == 1
    assert PortRange(20001, 20002).legs == 0


def test_a_network_knows_its_hosts() -> None:
    network = Network.parse("192.0.2.0/24")
    assert "192.0.2.7" in network
    assert "192.0.3.7" not in network
    assert "2001:db8::1" not in network
    assert "no address" not in network
    assert "192.0.2.1" in Network.parse("192.0.2.1")


def places(value: object, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, item in inner for place in places(item, (*path, key)))]


DEMO = tomllib.loads((Path(__file__).parents[2] / "configs" / "demo.toml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("wrong", [-1, 1.5, True, "", "?", [], [[]], {}, {"?": {}}, [{}], float("nan")], ids=repr)
def test_a_value_of_another_type_anywhere_is_at_most_a_mistake(wrong: object) -> None:
    refused: list[str] = []
    for place in places(DEMO)[1:]:
        changed = copy.deepcopy(DEMO)
        holder: Any = changed
        for part in place[:-1]:
            holder = holder[part]
        holder[place[-1]] = copy.deepcopy(wrong)
        try:
            from_tables(changed)
        except ConfigError as error:
            refused += error.mistakes
    assert len(refused) > 20
    assert not [line for line in refused if "\n" in line]
