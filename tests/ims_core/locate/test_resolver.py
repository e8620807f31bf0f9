"""From a URI to servers: what is asked, what follows from the answers (RFC 3263 section 4)."""

import random
from collections import Counter
from collections.abc import Iterable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ims_core.locate.cache import FAILED_SECONDS, MOST, Cache
from ims_core.locate.ordering import MOST_SERVERS, in_order, usable
from ims_core.locate.records import Answer, Naptr, Question, Record, Server, Srv
from ims_core.locate.resolver import MOST_OPEN, Resolver
from ims_core.messages.uri import parse_uri
from tests.kit import Clock

Zone = dict[str, Sequence[Record]]

EVERYWHERE = [("UDP", ("192.0.2.1", 5060)), ("TCP", ("192.0.2.1", 5060)), ("TLS", ("192.0.2.1", 5061))]
LAB: Zone = {
    "NAPTR lab.example": [
        Naptr(50, 50, "s", "SIPS+D2T", "_sips._tcp.lab.example"),
        Naptr(90, 50, "s", "SIP+D2T", "_sip._tcp.lab.example"),
        Naptr(100, 50, "s", "SIP+D2U", "_sip._udp.lab.example"),
    ],
    "SRV _sips._tcp.lab.example": [Srv(1, 1, 5071, "s1.lab.example")],
    "SRV _sip._tcp.lab.example": [Srv(1, 1, 5070, "s1.lab.example"), Srv(2, 1, 5072, "s2.lab.example")],
    "SRV _sip._udp.lab.example": [Srv(1, 1, 5060, "s2.lab.example")],
    "A s1.lab.example": ["192.0.2.11"],
    "AAAA s1.lab.example": ["2001:db8::11"],
    "A s2.lab.example": ["192.0.2.12", "192.0.2.13"],
    "A lab.example": ["192.0.2.10"],
    "SRV _sip._tcp.old.example": [Srv(0, 0, 5080, "s1.lab.example")],
    "A old.example": ["192.0.2.20"],
    "A bare.example": ["192.0.2.30"],
    "AAAA bare.example": ["2001:db8::30"],
    "SRV _sip._udp.closed.example": [Srv(0, 0, 5060, "")],
    "A closed.example": ["192.0.2.40"],
}


class Bench:
    """A resolver whose questions a zone answers, at once or when the test says so."""

    def __init__(self, zone: Zone, listeners: Iterable[tuple[str, tuple[str, int]]] = EVERYWHERE) -> None:
        self.zone = zone
        self.clock = Clock()
        self.resolver = Resolver(listeners, clock=self.clock, number=lambda _: 0)
        self.resolver.ask = self.asked_now
        self.asked: list[str] = []
        self.ttl = 300.0

    def asked_now(self, question: Question) -> None:
        self.asked_later(question)
        self.answer(question)

    def asked_later(self, question: Question) -> None:
        self.asked.append(f"{question.kind} {question.name}")

    def answer(self, question: Question) -> None:
        records = tuple(self.zone.get(f"{question.kind} {question.name}", ()))
        self.resolver.answer(question, Answer(records, self.ttl))

    def find(self, uri: str) -> list[str]:
        """The servers, as ``UDP 192.0.2.1 5060``, with the name a TLS peer must prove."""
        found: list[Sequence[Server]] = []
        self.resolver.resolve(parse_uri(uri), found.append)
        (servers,) = found
        return [" ".join(map(str, server)).strip() for server in servers]


@pytest.mark.rfc("3263-4.1", "3263-4.2")
@pytest.mark.parametrize(
    ("uri", "asked", "servers"),
    [
        # an address: nothing is asked
        ("sip:u@192.0.2.9", [], ["UDP 192.0.2.9 5060"]),
        ("sips:u@192.0.2.9", [], ["TLS 192.0.2.9 5061"]),
        ("sip:u@lab.example;maddr=192.0.2.9", [], ["UDP 192.0.2.9 5060"]),
        # a port: the address only
        ("sip:u@bare.example:5099", ["A bare.example"], ["UDP 192.0.2.30 5099"]),
        ("sip:u@bare.example:5099;transport=tcp", ["A bare.example"], ["TCP 192.0.2.30 5099"]),
        ("sips:u@bare.example:5099", ["A bare.example"], ["TLS 192.0.2.30 5099 bare.example"]),
        # a transport: SRV of that one
        (
            "sip:u@lab.example;transport=tcp",
            ["SRV _sip._tcp.lab.example", "A s1.lab.example", "A s2.lab.example"],
            ["TCP 192.0.2.11 5070", "TCP 192.0.2.12 5072", "TCP 192.0.2.13 5072"],
        ),
        (
            "sip:u@bare.example;transport=tls",
            ["SRV _sips._tcp.bare.example", "A bare.example"],
            ["TLS 192.0.2.30 5061 bare.example"],
        ),
        # neither: NAPTR, in its order, those for TLS only when the URI is sips
        (
            "sips:u@lab.example",
            ["NAPTR lab.example", "SRV _sips._tcp.lab.example", "A s1.lab.example"],
            ["TLS 192.0.2.11 5071 lab.example"],
        ),
        # no NAPTR: the first of our transports that has SRV records
        (
            "sip:u@old.example",
            [
                "NAPTR old.example", "SRV _sip._udp.old.example", "SRV _sip._tcp.old.example",
                "SRV _sips._tcp.old.example", "A s1.lab.example",
            ],
            ["TCP 192.0.2.11 5080"],
        ),
        # no SRV either: UDP to the address, TLS for sips
        (
            "sip:u@bare.example",
            [
                "NAPTR bare.example", "SRV _sip._udp.bare.example", "SRV _sip._tcp.bare.example",
                "SRV _sips._tcp.bare.example", "A bare.example",
            ],
            ["UDP 192.0.2.30 5060"],
        ),
        (
            "sips:u@bare.example",
            ["NAPTR bare.example", "SRV _sips._tcp.bare.example", "A bare.example"],
            ["TLS 192.0.2.30 5061 bare.example"],
        ),
        # RFC 2782: the root as target says that the service is not to be had
        ("sip:u@closed.example;transport=udp", ["SRV _sip._udp.closed.example"], []),
        ("sip:u@nobody.example:5060", ["A nobody.example"], []),
    ],
)  # fmt: skip
def test_from_uri_to_servers(uri: str, asked: list[str], servers: list[str]) -> None:
    bench = Bench(LAB)
    assert bench.find(uri) == servers
    assert bench.asked == asked


@pytest.mark.rfc("3263-4.1")
def test_naptr_services_are_taken_in_their_order() -> None:
    assert Bench(LAB).find("sip:u@lab.example") == [
        "TLS 192.0.2.11 5071 lab.example",
        "TCP 192.0.2.11 5070",
        "TCP 192.0.2.12 5072",
        "TCP 192.0.2.13 5072",
        "UDP 192.0.2.12 5060",
        "UDP 192.0.2.13 5060",
    ]


@pytest.mark.rfc("3263-4.1")
def test_services_that_we_do_not_speak_are_left_out() -> None:
    bench = Bench(LAB, [("UDP", ("192.0.2.1", 5060))])
    assert bench.find("sip:u@lab.example") == ["UDP 192.0.2.12 5060", "UDP 192.0.2.13 5060"]
    assert "SRV _sip._tcp.lab.example" not in bench.asked


@pytest.mark.rfc("3263-4.1")
@pytest.mark.parametrize(
    "record",
    [
        Naptr(1, 1, "u", "SIP+D2U", "_sip._udp.lab.example"),  # another application's rule
        Naptr(1, 1, "s", "E2U+sip", "_sip._udp.lab.example"),
        Naptr(1, 1, "s", "SIP+D2S", "_sip._sctp.lab.example"),
        Naptr(1, 1, "s", "SIP+D2W", "_sip._ws.lab.example"),  # browsers open these, not servers
    ],
)
def test_naptr_of_other_kinds_do_not_count(record: Naptr) -> None:
    assert usable([record], ["UDP", "TCP"], secure=False) == []


@pytest.mark.rfc("3263-4.1")
def test_a_sips_uri_takes_secure_services_only() -> None:
    records = [Naptr(1, 1, "s", "SIP+D2T", "a"), Naptr(2, 1, "S", "sips+d2t", "b")]
    assert usable(records, ["TCP", "TLS"], secure=True) == [("TLS", "b")]


@pytest.mark.rfc("3263-4.2")
def test_both_versions_of_ip_in_the_order_of_the_listeners() -> None:
    listeners = [("UDP", ("2001:db8::1", 5060)), ("UDP", ("192.0.2.1", 5060))]
    assert Bench(LAB, listeners).find("sip:u@bare.example:5060") == ["UDP 2001:db8::30 5060", "UDP 192.0.2.30 5060"]


@pytest.mark.rfc("3263-4.2")
@pytest.mark.parametrize(
    ("versions", "servers"),
    [
        (("192.0.2.1", "2001:db8::1"), ["192.0.2.11 5070", "2001:db8::11 5070", "192.0.2.12 5072", "192.0.2.13 5072"]),
        (("2001:db8::1", "192.0.2.1"), ["2001:db8::11 5070", "192.0.2.11 5070", "192.0.2.12 5072", "192.0.2.13 5072"]),
        (("2001:db8::1",), ["2001:db8::11 5070"]),
    ],
    ids=["4 and 6", "6 and 4", "6"],
)
def test_a_server_of_a_service_is_tried_by_both_versions_before_the_next(
    versions: tuple[str, ...], servers: list[str]
) -> None:
    bench = Bench(LAB, [("TCP", (host, 5060)) for host in versions])
    assert bench.find("sip:u@lab.example;transport=tcp") == [f"TCP {server}" for server in servers]
    kinds = ["AAAA" if ":" in host else "A" for host in versions]
    assert bench.asked[1:] == [f"{kind} {name}.lab.example" for name in ("s1", "s2") for kind in kinds]


def srv(priority: int, weight: int, name: str = "x") -> Srv:
    return Srv(priority, weight, 5060, name)


@pytest.mark.rfc("2782")
@given(st.lists(st.builds(srv, st.integers(0, 3), st.integers(0, 65535), st.sampled_from("abcdef")), max_size=12),
       st.integers(0, 2**32))  # fmt: skip
def test_priorities_come_first_whatever_the_weights(records: list[Srv], seed: int) -> None:
    ordered = in_order(records, random.Random(seed).randrange)
    assert [record.priority for record in ordered] == sorted(record.priority for record in set(records))
    assert set(ordered) == set(records)


@pytest.mark.rfc("2782")
@given(st.lists(st.integers(0, 65535), min_size=1, max_size=6), st.integers(0, 2**32))
def test_the_first_drawn_is_where_the_running_sum_reaches_the_number(weights: list[int], number: int) -> None:
    records = [srv(0, weight, str(index)) for index, weight in enumerate(weights)]
    mark = number % (sum(weights) + 1)
    first = in_order(records, lambda limit: min(mark, limit - 1))[0]
    before = sum(record.weight for record in sorted(records) if record < first)
    assert before + first.weight >= mark
    assert before < mark or before == mark == 0 or first == min(records)


@pytest.mark.rfc("2782")
def test_the_load_is_shared_by_weight() -> None:
    chance = random.Random("weights")
    records = [srv(0, 10, "a"), srv(0, 30, "b"), srv(0, 60, "c"), srv(0, 0, "d")]
    firsts = Counter(in_order(records, chance.randrange)[0].target for _ in range(10_000))
    assert {name: round(count / 1000) for name, count in firsts.items() if name != "d"} == {"a": 1, "b": 3, "c": 6}
    assert 0 < firsts["d"] < 300  # RFC 2782: a very small chance


@pytest.mark.rfc("2782")
def test_an_endless_record_set_is_bounded() -> None:
    zone: Zone = {
        "SRV _sip._udp.big.example": [Srv(0, 1, port, f"h{port}.example") for port in range(1, 2000)],
        **{f"A h{port}.example": [f"192.0.2.{n}" for n in range(250)] for port in range(1, 2000)},
    }
    bench = Bench(zone)
    assert len(bench.find("sip:u@big.example;transport=udp")) == MOST_SERVERS
    assert len(bench.asked) <= 1 + MOST_SERVERS


def test_what_is_known_is_not_asked_again_until_its_time_is_over() -> None:
    bench = Bench(LAB)
    bench.find("sip:u@bare.example:5060")
    bench.clock.now = 299.0
    bench.find("sip:other@bare.example:5080")
    assert bench.asked == ["A bare.example"]
    bench.clock.now = 300.0
    bench.find("sip:u@bare.example:5060")
    assert bench.asked == ["A bare.example"] * 2


@pytest.mark.rfc("2308-5")
def test_that_there_is_none_is_known_as_well() -> None:
    bench = Bench(LAB)
    for _ in range(3):
        assert bench.find("sip:u@nobody.example:5060") == []
    assert bench.asked == ["A nobody.example"]


@pytest.mark.rfc("2308-7")
def test_a_failure_is_remembered_for_a_short_while_only() -> None:
    bench = Bench(LAB)
    bench.resolver.ask = lambda question: bench.resolver.answer(question, Answer(failed=True, ttl=10_000))
    assert bench.find("sip:u@bare.example:5060") == []
    bench.resolver.ask = bench.asked_now
    assert bench.find("sip:u@bare.example:5060") == []
    bench.clock.now = FAILED_SECONDS
    assert bench.find("sip:u@bare.example:5060") == ["UDP 192.0.2.30 5060"]
    assert bench.resolver.outcomes == {("A", "failed"): 1, ("A", "found"): 1}


def test_an_answer_that_must_not_be_kept_is_still_an_answer() -> None:
    bench = Bench(LAB)
    bench.ttl = 0
    assert bench.find("sip:u@lab.example;transport=udp") == ["UDP 192.0.2.12 5060", "UDP 192.0.2.13 5060"]
    assert not len(bench.resolver.cache)


def test_equal_questions_are_asked_once() -> None:
    bench = Bench(LAB)
    bench.resolver.ask = bench.asked_later
    found: list[Sequence[Server]] = []
    for user in ("one", "two", "three"):
        bench.resolver.resolve(parse_uri(f"sip:{user}@bare.example:5060"), found.append)
    assert (bench.asked, found) == (["A bare.example"], [])
    assert bench.resolver.open_questions == 1
    bench.answer(Question("A", "bare.example"))
    assert [len(servers) for servers in found] == [1, 1, 1]
    assert bench.resolver.open_questions == 0


def test_answers_may_come_in_any_order() -> None:
    listeners = [("UDP", ("192.0.2.1", 5060)), ("UDP", ("2001:db8::1", 5060))]
    bench = Bench(LAB, listeners)
    bench.resolver.ask = bench.asked_later
    found: list[Sequence[Server]] = []
    bench.resolver.resolve(parse_uri("sip:u@bare.example:5060"), found.append)
    bench.answer(Question("AAAA", "bare.example"))
    assert not found
    bench.answer(Question("A", "bare.example"))
    assert [server.host for server in found[0]] == ["192.0.2.30", "2001:db8::30"]


def test_open_questions_are_bounded() -> None:
    bench = Bench(LAB)
    bench.resolver.ask = bench.asked_later
    found: list[Sequence[Server]] = []
    for number in range(MOST_OPEN + 10):
        bench.resolver.resolve(parse_uri(f"sip:u@n{number}.example:5060"), found.append)
    assert len(bench.asked) == bench.resolver.open_questions == MOST_OPEN
    assert found == [[]] * 10


def test_the_cache_is_bounded() -> None:
    cache = Cache()
    for number in range(MOST + 10):
        cache.put(Question("A", f"n{number}.example"), Answer(("192.0.2.1",), 60), 0)
    assert len(cache) == MOST
    assert cache.get(Question("A", "n9.example"), 0) is None
    assert cache.get(Question("A", f"n{MOST}.example"), 0) is not None


def test_without_a_nameserver_no_name_has_a_way() -> None:
    resolver = Resolver(EVERYWHERE, clock=Clock(), number=lambda _: 0)
    assert not resolver.can_find(parse_uri("sip:u@lab.example"))
    assert resolver.can_find(parse_uri("sip:u@lab.example;maddr=192.0.2.9"))
