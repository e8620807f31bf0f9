"""The guard: whom it limits and bans, and that nobody is banned for what another sends in his name."""

from ipaddress import ip_network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ims_core.flow import Flow, source_of
from ims_core.messages.message import Request
from ims_core.messages.parser import parse_message
from ims_core.roles.neighbours import Neighbours
from ims_core.security import guard as guard_module
from ims_core.security.digest import Outcome, Verdict
from ims_core.security.guard import Ban, Guard, Rules
from tests.kit import NODE_ADDRESS, request_bytes

HOST = "198.51.100.66"
WRONG, MISSING, STALE = Verdict(Outcome.WRONG), Verdict(Outcome.MISSING), Verdict(Outcome.STALE)
ACCEPTED = Verdict(Outcome.ACCEPTED, "alice")


def flow(host: str = HOST, port: int = 5060, transport: str = "UDP") -> Flow:
    return Flow(transport, NODE_ADDRESS, (host, port), 0 if transport == "UDP" else 1)


def request(agent: str = "a phone", from_: str = "<sip:alice@ims.example>;tag=1", method: str = "REGISTER") -> Request:
    message = parse_message(request_bytes(method, from_=from_, headers=[("User-Agent", agent)]))
    assert isinstance(message, Request)
    return message


class Yard:
    """A guard with its surroundings, and what it told."""

    def __init__(self, **rules: object) -> None:
        self.registered: set[Flow] = set()
        self.trusted: set[str] = set()
        self.guard = Guard(
            Rules(**rules),  # type: ignore[arg-type]
            is_registered=self.registered.__contains__,
            is_trusted=self.trusted.__contains__,
        )
        self.banned: list[Ban] = []
        self.pardoned: list[Ban] = []
        self.guard.on_ban = self.banned.append
        self.guard.on_pardon = self.pardoned.append

    def fail(self, times: int, now: float = 0.0, source: Flow | None = None) -> None:
        for _ in range(times):
            self.guard.judged(source or flow(), WRONG, now)

    def is_shut(self, source: Flow | None = None, now: float = 0.0) -> bool:
        return self.guard.shuts_out(source or flow(), now)


def test_ten_wrong_credentials_within_a_minute_ban_a_source_for_a_time() -> None:
    yard = Yard(ban_seconds=600)
    yard.fail(9)
    assert not yard.is_shut()
    yard.fail(1, now=59.0)
    assert [(ban.source, ban.reason, ban.proven, ban.until) for ban in yard.banned] == [
        (HOST, "credentials", True, 659.0)
    ]
    assert yard.is_shut(now=60.0)
    assert yard.is_shut(flow(port=9999), now=60.0), "whatever the port"
    assert not yard.is_shut(flow("198.51.100.67"), now=60.0)
    assert yard.guard.dropped == {"banned": 2}
    assert not yard.is_shut(now=659.0)
    assert [ban.source for ban in yard.pardoned] == [HOST]


def test_any_minute_counts_not_only_the_first() -> None:
    yard = Yard()
    yard.fail(1)
    yard.fail(8, now=55.0)
    yard.fail(1, now=60.0)
    assert not yard.banned, "nine within the last minute"
    yard.fail(1, now=61.0)
    assert [ban.since for ban in yard.banned] == [61.0]


def test_no_spoofer_has_wrong_credentials_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard_module, "MOST_SOURCES", 50)
    yard = Yard()
    yard.fail(9)
    for number in range(100):
        yard.guard.admits(request(), flow(f"203.0.113.{number}"), 1.0)
    yard.fail(1, now=2.0)
    assert [ban.source for ban in yard.banned] == [HOST]


def test_wrong_credentials_now_and_then_are_mistakes() -> None:
    yard = Yard()
    for minute in range(20):
        yard.fail(9, now=60.0 * minute)
    assert not yard.banned


def test_zero_turns_bans_for_credentials_off() -> None:
    yard = Yard(wrong_credentials=0, unanswered_challenges=0)
    yard.fail(1000)
    for _ in range(1000):
        yard.guard.judged(flow(transport="TCP"), MISSING, 0.0)
    assert not yard.banned


@pytest.mark.parametrize("verdict", [MISSING, STALE])
def test_unanswered_challenges_and_made_up_nonces_prove_nothing_over_udp(verdict: Verdict) -> None:
    yard = Yard()
    for _ in range(1000):
        yard.guard.judged(flow(), verdict, 0.0)
    assert not yard.banned


def test_a_connection_that_leaves_challenges_unanswered_is_banned() -> None:
    yard = Yard(unanswered_challenges=60)
    connection = flow(transport="TCP")
    for _ in range(59):
        yard.guard.judged(connection, MISSING, 0.0)
    yard.guard.judged(connection, ACCEPTED, 0.0)
    for _ in range(59):
        yard.guard.judged(connection, MISSING, 0.0)
    assert not yard.banned, "whoever registers many users is no scanner"
    yard.guard.judged(connection, MISSING, 0.0)
    assert [(ban.reason, ban.proven) for ban in yard.banned] == [("scanner", True)]


def test_an_element_next_to_us_speaks_for_many() -> None:
    yard = Yard(burst=1, wrong_credentials=1, unanswered_challenges=1)
    near, beside = flow("198.51.100.1"), flow("198.51.100.1", port=7000)
    opened = flow("198.51.100.1", port=40_000, transport="TCP")
    yard.guard.peers = Neighbours([("198.51.100.1", 5060)])
    via = request_bytes(
        "REGISTER", via="SIP/2.0/TCP 198.51.100.1:5060;branch=z9hG4bK1", headers=[("User-Agent", "sipvicious")]
    )
    relayed = parse_message(via)
    assert isinstance(relayed, Request)
    for source in (near, opened):
        for _ in range(10):
            assert yard.guard.admits(relayed, source, 0.0)
            yard.guard.judged(source, WRONG, 0.0)
            yard.guard.judged(source, MISSING, 0.0)
    assert not yard.banned
    yard.fail(1, source=beside)
    assert yard.is_shut(beside), "another program on its host is a stranger"
    assert not yard.is_shut(near)
    yard.guard.ban("198.51.100.1", 10.0, 0.0)
    assert yard.is_shut(near), "by an operator's word"


@pytest.mark.parametrize(
    ("agent", "from_"),
    [
        ("friendly-scanner", "<sip:100@ims.example>;tag=1"),
        ("Friendly-Scanner 1.0", "<sip:100@ims.example>;tag=1"),
        ("a phone", '"sipvicious" <sip:100@1.1.1.1>;tag=1'),
    ],
)
def test_a_scanner_in_a_datagram_is_dropped_and_suspected(agent: str, from_: str) -> None:
    yard = Yard()
    assert not yard.guard.admits(request(agent, from_), flow(), 0.0)
    assert yard.guard.dropped == {"scanner": 1}
    assert [(ban.reason, ban.proven) for ban in yard.banned] == [("scanner", False)]
    assert not yard.is_shut(now=10.0), "one datagram a second gets through"
    assert yard.is_shut(now=10.5)
    assert not yard.is_shut(now=11.0)
    assert not yard.is_shut(flow(transport="TCP"), now=11.1), "nobody spoofs a connection"


def test_the_victim_of_a_spoofer_registers_all_the_same_and_ends_the_suspicion() -> None:
    yard = Yard()
    yard.guard.admits(request("friendly-scanner"), flow(), 0.0)
    yard.guard.judged(flow(), ACCEPTED, 3.0)
    assert [ban.source for ban in yard.pardoned] == [HOST]
    assert not yard.is_shut(now=3.0)
    assert not yard.is_shut(now=3.1)


def test_a_scanner_over_a_connection_is_banned_at_once() -> None:
    yard = Yard()
    assert not yard.guard.admits(request("friendly-scanner"), flow(transport="TCP"), 0.0)
    assert yard.is_shut()
    assert yard.is_shut(now=10.0)


def test_a_registered_flow_is_neither_limited_nor_touched_by_the_ban_of_its_host() -> None:
    yard = Yard(burst=1, requests_per_second=0.001)
    phone = flow(port=6000)
    yard.registered.add(phone)
    yard.fail(10, source=flow(port=6666))
    assert yard.is_shut(flow(port=6666))
    assert not yard.is_shut(phone)
    assert all(yard.guard.admits(request("friendly-scanner"), phone, 0.0) for _ in range(10))


def test_a_registered_flow_that_guesses_other_passwords_is_shut_out_itself() -> None:
    yard = Yard()
    phone, other = flow(port=6000), flow(port=6001)
    yard.registered.update((phone, other))
    yard.fail(10, source=phone)
    assert yard.is_shut(phone)
    assert not yard.is_shut(other)
    yard.fail(1, source=other)
    assert yard.is_shut(other), "it offends as well"


def test_trusted_and_allowed_hosts_are_beyond_suspicion() -> None:
    yard = Yard(burst=1, requests_per_second=0.001, allow=(ip_network("203.0.113.0/24"),))
    yard.trusted.add(HOST)
    for host in (HOST, "203.0.113.9"):
        source = flow(host)
        yard.fail(100, source=source)
        assert all(yard.guard.admits(request(), source, 0.0) for _ in range(10))
        yard.guard.admits(request("friendly-scanner"), source, 0.0)
    assert not yard.banned


def test_who_is_denied_is_never_heard() -> None:
    yard = Yard(deny=(ip_network("198.51.100.0/24"), ip_network("2001:db8::/32")))
    assert yard.is_shut()
    assert yard.is_shut(flow("2001:db8::1"))
    assert yard.is_shut(flow("::ffff:198.51.100.1"))
    assert not yard.is_shut(flow("203.0.113.9"))
    assert yard.guard.dropped == {"denied": 3}


def test_a_stranger_has_a_bucket_of_requests() -> None:
    yard = Yard(requests_per_second=10, burst=20)
    assert [yard.guard.admits(request(), flow(), 0.0) for _ in range(21)] == [True] * 20 + [False]
    assert [yard.guard.admits(request(), flow(), 0.1) for _ in range(2)] == [True, False]
    assert [yard.guard.admits(request(), flow(port=1), 1000.0) for _ in range(21)] == [True] * 20 + [False]
    assert yard.guard.admits(request(), flow("198.51.100.67"), 0.0), "others have their own"
    assert not yard.banned, "many requests are no reason for a ban"


def test_whoever_proves_who_he_is_gets_back_what_it_took() -> None:
    yard = Yard(requests_per_second=0.001, burst=4)
    for _ in range(50):  # fifty phones behind one address
        assert yard.guard.admits(request(), flow(), 0.0)
        assert yard.guard.admits(request(), flow(), 0.0)
        yard.guard.judged(flow(), ACCEPTED, 0.0)


def test_an_operator_bans_and_pardons() -> None:
    yard = Yard(ban_seconds=600)
    phone = flow()
    yard.registered.add(phone)
    ban = yard.guard.ban(HOST, 0.0, 30.0)
    assert (ban.reason, ban.until) == ("operator", 30.0)
    assert yard.is_shut(phone), "registered or not"
    assert yard.guard.bans(0.0) == [ban]
    assert yard.guard.pardon(HOST, 1.0)
    assert not yard.guard.pardon(HOST, 1.0)
    assert not yard.is_shut(phone)
    yard.guard.ban(HOST, 1.0)
    assert yard.guard.bans(601.0) == []
    with pytest.raises(ValueError, match="address"):
        yard.guard.ban("nowhere", 0.0)


def test_a_pardon_forgets_what_was_done() -> None:
    yard = Yard()
    yard.fail(10)
    yard.guard.pardon(HOST, 0.0)
    yard.fail(9)
    assert len(yard.banned) == 1


@pytest.mark.parametrize(
    ("host", "source"),
    [
        ("198.51.100.1", "198.51.100.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("fe80::1%eth0", "fe80::"),
        ("::ffff:198.51.100.1", "198.51.100.1"),
        ("no:address", "no:address"),
    ],
)
def test_a_source_is_an_ipv4_address_or_an_ipv6_network_of_one_customer(host: str, source: str) -> None:
    assert source_of(host) == source


def test_memory_is_bounded_and_suspicions_displace_no_ban(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard_module, "MOST_SOURCES", 50)
    monkeypatch.setattr(guard_module, "MOST_BANS", 50)
    yard = Yard()
    for number in range(30):
        yard.fail(10, source=flow(f"192.0.2.{number}"))
    for number in range(250):
        yard.guard.admits(request("friendly-scanner"), flow(f"203.0.113.{number}"), 0.0)
        yard.guard.admits(request(), flow(f"198.51.100.{number}"), 0.0)
    bans = yard.guard.bans(0.0)
    assert len(bans) == 50
    assert sum(ban.proven for ban in bans) == 30
    for number in range(30, 130):
        yard.fail(10, source=flow(f"192.0.2.{number}"))
    bans = yard.guard.bans(0.0)
    assert len(bans) == 50
    assert all(ban.proven for ban in bans), "proof displaces suspicion, then the oldest"
    assert len(yard.guard._sources) <= 50
    assert len(yard.guard._offences) <= 50
    assert len(yard.guard._suspected) == 0


VERDICTS = st.sampled_from([MISSING, STALE, WRONG, ACCEPTED])
AGENTS = st.sampled_from(["a phone", "friendly-scanner"])
SENT = {agent: request(agent) for agent in ("a phone", "friendly-scanner")}


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(st.integers(0, 5), st.sampled_from(["UDP", "TCP"]), st.floats(0, 20), AGENTS, VERDICTS), max_size=120
    )
)
def test_whatever_happens_only_proof_bans(steps: list[tuple[int, str, float, str, Verdict]]) -> None:
    """A ban that shuts out wholly needs ten answers to nonces of ours, or a connection."""
    yard = Yard(wrong_credentials=10, unanswered_challenges=20, ban_seconds=1e9)
    now, wrong, connected = 0.0, dict.fromkeys(range(6), 0), set()
    for number, transport, pause, agent, verdict in steps:
        now += pause
        source = flow(f"192.0.2.{number}", transport=transport)
        if yard.guard.admits(SENT[agent], source, now):
            yard.guard.judged(source, verdict, now)
        wrong[number] += verdict is WRONG
        if transport == "TCP":
            connected.add(number)
    for ban in yard.guard.bans(now):
        number = int(ban.source.rpartition(".")[2])
        assert not ban.proven or wrong[number] >= 10 or number in connected
    assert len(yard.guard._sources) <= 6
