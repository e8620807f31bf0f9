"""Whose connection goes: the rule by itself, and over the loopback interface with peers that mean no good."""

import asyncio
from collections import Counter
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from ims_core.flow import Address, Flow, source_of
from ims_core.messages.message import Response
from ims_core.messages.parser import parse_message
from ims_core.security.digest import answer_challenge
from ims_core.transport import connections
from ims_core.transport.framing import PING, PONG
from ims_core.transport.limits import TransportLimits
from ims_core.transport.stack import Stack
from ims_core.transport.visitors import FULL, PATIENCE, SEARCH_SECONDS, SOURCE, NoRoom, Visitors
from tests.ims_core.transport.lab import at_end, close, message
from tests.ims_core.transport.test_connections import HOST, Bench, element, on_both_loops
from tests.kit import DOMAIN, PASSWORD, Network, Site, request_bytes
from tests.kit.certificates import Authority

ME = ("192.0.2.1", 5060)
WAIT = 5.0


class Node:
    """Knows and needs connections by their numbers."""

    def __init__(self) -> None:
        self.known: set[int] = set()
        self.needed: set[int] = set()
        self.in_calls: set[int] = set()
        self.searches = 0

    def knows(self, flow: Flow) -> bool:
        return flow.connection in self.known or flow.connection in self.needed

    def needs(self, flow: Flow) -> bool:
        return flow.connection in self.needed

    def busy(self) -> set[int]:
        self.searches += 1
        return self.in_calls


class House:
    """Visitors with room for so many."""

    def __init__(self, room: int, *, source: int = 0, seconds: float = 0.0) -> None:
        self.node = Node()
        self.visitors = Visitors(self.node, source=source, seconds=seconds)
        self.room = room
        self.here: dict[int, Flow] = {}
        self.now = 0.0
        self._numbers = count(1)

    def flow(self, host: str) -> Flow:
        number = next(self._numbers)
        return Flow("TCP", ME, (host, 40_000 + number), number)

    def come(self, host: str, *, needed: bool = False) -> tuple[int, int | None]:
        """Connect; return the number and that of who went for it. Raises ``NoRoom``."""
        flow = self.flow(host)
        if needed:
            self.node.needed.add(flow.connection)
        gone = self.visitors.arrive(flow, self.now, is_full=len(self.here) >= self.room)
        if gone is not None:
            del self.here[gone.connection]
        self.here[flow.connection] = flow
        return flow.connection, None if gone is None else gone.connection

    def hear(self, number: int, *, known: bool = False) -> None:
        if known:
            self.node.known.add(number)
        self.visitors.heard(self.here[number])

    def leave(self, number: int) -> None:
        self.visitors.leave(self.here.pop(number))

    def hosts(self) -> Counter[str]:
        return Counter(flow.remote[0] for flow in self.here.values())


# The rule ---------------------------------------------------------------------------------------------------------


def test_the_source_with_most_strangers_gives_way_to_others_at_once() -> None:
    house = House(100)
    flood = [house.come("198.51.100.66")[0] for _ in range(100)]
    for number in flood:
        house.hear(number)
    for guest in range(40):
        _, gone = house.come(f"198.51.100.{100 + guest}")
        assert gone == flood[guest], "in the order of their coming, however lively"
    assert house.hosts()["198.51.100.66"] == 60


def test_a_flood_displaces_only_itself() -> None:
    house = House(50)
    phones = [house.come(f"198.51.100.{n}")[0] for n in range(30)]
    for _ in range(20):
        house.come("203.0.113.66")
    with pytest.raises(NoRoom, match=FULL):
        house.come("203.0.113.66")
    house.now = PATIENCE
    for _ in range(100):
        house.come("203.0.113.66")
        house.now += 1
    assert set(phones) <= house.here.keys()


def test_a_host_of_ipv6_is_its_network() -> None:
    house = House(10)
    for number in range(10):
        house.come(f"2001:db8:0:1::{number:x}")
    _, gone = house.come("2001:db8:0:2::1")
    assert gone == 1
    with pytest.raises(NoRoom):
        house.come("2001:db8:0:1::ffff")


def test_a_source_at_its_bound_exchanges_those_who_had_their_time() -> None:
    house = House(100, source=3)
    first, second, third = (house.come("198.51.100.66")[0] for _ in range(3))
    with pytest.raises(NoRoom, match=SOURCE):
        house.come("198.51.100.66")
    house.come("198.51.100.67")
    house.hear(first, known=True)
    assert house.come("198.51.100.66")[1] is None, "who is known does not count"
    house.now = PATIENCE
    assert house.come("198.51.100.66")[1] == second
    house.leave(third)
    assert house.come("198.51.100.66")[1] is None


def test_who_is_registered_or_trusted_is_not_counted_and_never_goes() -> None:
    house = House(20, source=2)
    staying = [house.come("198.51.100.1", needed=True)[0] for _ in range(18)]
    house.come("198.51.100.66")
    house.come("198.51.100.67")
    house.now = 3600.0
    assert house.come("198.51.100.1", needed=True)[1] == 19
    house.now += 1
    assert house.come("198.51.100.1", needed=True)[1] == 20
    for host in ("198.51.100.1", "203.0.113.66"):
        house.now += 1
        with pytest.raises(NoRoom, match=FULL):
            house.come(host)
    assert house.visitors.give_way(house.now + 1) is None
    assert set(staying) <= house.here.keys()


def test_of_those_who_are_known_the_idlest_goes_that_nobody_needs() -> None:
    house = House(6)
    numbers = [house.come(f"198.51.100.{host}")[0] for host in (1, 2, 2, 2, 2, 3)]
    for number in numbers:
        house.hear(number, known=True)
    alone, registered, calling, idle, lively, last = numbers
    house.node.needed.add(registered)
    house.node.in_calls.add(calling)
    house.hear(idle)
    house.hear(lively)
    assert house.come("203.0.113.1")[1] == idle, "of the source that has most"
    house.hear(alone)
    house.now += SEARCH_SECONDS
    assert house.come("203.0.113.1")[1] == last, "the idlest, where all have as many"
    house.now += SEARCH_SECONDS / 2
    with pytest.raises(NoRoom, match=FULL):
        house.come("203.0.113.1")
    assert {alone, registered, calling, lively} <= house.here.keys()


def test_who_has_become_known_without_a_word_stays() -> None:
    house = House(4)
    known, stranger, *_ = (house.come("198.51.100.1")[0] for _ in range(4))
    house.node.needed.add(known)
    assert house.come("203.0.113.1")[1] == stranger


def test_those_who_are_known_are_not_searched_all_the_time() -> None:
    house = House(10)
    for _ in range(10):
        house.come("198.51.100.1", needed=True)
    for _ in range(1000):
        house.now += SEARCH_SECONDS / 100
        with pytest.raises(NoRoom):
            house.come("203.0.113.66")
    assert house.node.searches <= 11


def test_strangers_have_their_time_whatever_they_say() -> None:
    house = House(10, seconds=120.0)
    assert house.visitors.next_deadline() is None
    silent, lively, registered = (house.come("198.51.100.1")[0] for _ in range(3))
    house.now = 30.0
    late, _ = house.come("198.51.100.1")
    for second in range(31, 120):
        house.now = float(second)
        house.hear(lively)
    assert house.visitors.next_deadline() == 120.0
    assert house.visitors.overstayed(119.9) == []
    house.node.needed.add(registered)  # without a word since
    assert [flow.connection for flow in house.visitors.overstayed(120.0)] == [silent, lively]
    assert house.visitors.next_deadline() == 150.0
    house.leave(late)
    assert house.visitors.next_deadline() is None
    assert house.visitors.overstayed(1e9) == []


def test_without_limits_nobody_is_turned_out() -> None:
    house = House(1000)
    for _ in range(1000):
        house.come("198.51.100.66")
    assert house.visitors.next_deadline() is None
    assert house.visitors.overstayed(1e9) == []


steps = st.one_of(
    st.tuples(st.just("come"), st.integers(0, 4), st.sampled_from(["stranger", "needed"])),
    st.tuples(st.just("hear"), st.integers(0, 40), st.sampled_from(["", "known"])),
    st.tuples(st.just("leave"), st.integers(0, 40), st.just("")),
    st.tuples(st.just("wait"), st.integers(0, 40), st.just("")),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(steps, max_size=80))
def test_whatever_happens_the_rule_holds(script: list[tuple[str, int, str]]) -> None:
    house = House(8, source=3, seconds=60.0)
    came: dict[int, float] = {}
    for step, number, how in script:
        if step == "come":
            before = {n: f for n, f in house.here.items() if not house.node.knows(f)}
            try:
                new, gone = house.come(f"198.51.100.{number}", needed=how == "needed")
            except NoRoom:
                continue
            came[new] = house.now
            assert gone not in house.node.needed
            if gone in before:
                crowd = Counter(source_of(flow.remote[0]) for flow in before.values())
                source = before[gone].remote[0]
                same = [n for n, flow in before.items() if flow.remote[0] == source]
                assert gone == min(same), "the first of its source"
                if came[gone] > house.now - PATIENCE:
                    assert crowd[source] == max(crowd.values())
                    assert crowd[source] > crowd[f"198.51.100.{number}"]
        elif step == "hear" and number in house.here:
            house.hear(number, known=how == "known")
        elif step == "leave" and number in house.here:
            house.leave(number)
        elif step == "wait":
            house.now += number
            for flow in house.visitors.overstayed(house.now):
                assert house.now - came[flow.connection] >= 60
                assert not house.node.knows(flow)
                del house.here[flow.connection]
        assert len(house.here) <= 8
        strangers = Counter(flow.remote[0] for flow in house.here.values() if not house.node.knows(flow))
        assert max(strangers.values(), default=0) <= 3
    for number in list(house.here):
        house.leave(number)
    assert house.visitors.next_deadline() is None


# On sockets -------------------------------------------------------------------------------------------------------


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ims_core.transport.visitors.PATIENCE", 0.0)


async def connect(bench: Bench, host: str, transport: str = "TCP") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection(*bench.at[transport], local_addr=(host, 0))


def port_of(writer: asyncio.StreamWriter) -> int:
    port: int = writer.get_extra_info("sockname")[1]
    return port


@on_both_loops
async def test_one_host_cannot_keep_others_out_and_a_registered_phone_stays() -> None:
    async with element("TCP", connections=8) as one:
        phone = await connect(one, "127.0.0.2")
        one.node.door.needed.add(port_of(phone[1]))
        phone[1].write(message(0))
        await one.received()
        flood = [await connect(one, "127.0.0.66") for _ in range(7)]
        for number, (_, writer) in enumerate(flood):
            writer.write(message(number))
            await one.received(number + 2)
        caller = await connect(one, "127.0.0.3")
        caller[1].write(message(99))
        data, _ = await one.received(9)
        assert data == message(99)
        assert await at_end(flood[0][0]) == b"", "the first of the flood went for him"
        assert one.stack.streams.turned_away == {"displaced": 1}
        late = await connect(one, "127.0.0.66")
        assert await at_end(late[0]) == b"", "and none of the flood goes for its own"
        assert one.stack.streams.turned_away == {"displaced": 1, "full": 1}
        assert len(one.stack.streams) == 8
        phone[1].write(message(100))
        assert (await one.received(10))[0] == message(100)
        for _, writer in (phone, caller, late, *flood):
            await close(writer)


@pytest.mark.usefixtures("impatient")
@on_both_loops
async def test_a_connection_of_our_own_displaces_a_stranger() -> None:
    async with element("TCP", connections=2) as one, element("TCP") as two:
        strangers = [await connect(one, "127.0.0.66") for _ in range(2)]
        one.send(one.flow("TCP", two.at["TCP"]), message(1))
        assert (await two.received())[0] == message(1)
        assert await at_end(strangers[0][0]) == b""
        assert one.stack.streams.turned_away == {"displaced": 1}
        for _, writer in strangers:
            await close(writer)


@pytest.mark.usefixtures("impatient")
@on_both_loops
async def test_who_is_displaced_in_a_handshake_did_not_fail_in_it(authority: Authority) -> None:
    async with element("TLS", tls=authority.tls("one.example"), connections=1) as one:
        first, second = await connect(one, "127.0.0.66", "TLS"), await connect(one, "127.0.0.67", "TLS")
        assert await at_end(first[0]) == b""
        assert one.stack.streams.turned_away == {"displaced": 1}
        assert not one.stack.streams.handshakes_failed
        for _, writer in (first, second):
            await close(writer)


@pytest.mark.parametrize("transport", ["TCP", "TLS", "WS"])
@on_both_loops
async def test_a_source_has_so_many_strangers_those_in_handshakes_too(authority: Authority, transport: str) -> None:
    async with element(transport, tls=authority.tls("one.example"), connections_per_source=2) as one:
        held = [await connect(one, "127.0.0.66", transport) for _ in range(2)]
        reader, writer = await connect(one, "127.0.0.66", transport)
        assert await at_end(reader) == b""
        other = await connect(one, "127.0.0.67", transport)
        await one.node.until(lambda: len(one.stack.streams) == 3)
        assert one.stack.streams.turned_away == {"source": 1}
        for _, each in (*held, other, (reader, writer)):
            await close(each)


def expire_soon(one: Bench) -> None:
    """Let the time that strangers have be nearly over, however long it took to hear them."""
    streams = one.stack.streams
    assert streams._turning_out is not None
    streams._turning_out.cancel()
    streams._turning_out = None
    streams._visitors._seconds = 0.05
    streams._watch_strangers()


@on_both_loops
async def test_a_stranger_is_turned_out_however_lively_and_who_is_known_stays() -> None:
    async with element("TCP", stranger_seconds=3600.0) as one:
        one.node.door.hosts.add("127.0.0.67")
        stranger, guest = await connect(one, "127.0.0.66"), await connect(one, "127.0.0.67")
        for _, writer in (stranger, guest):
            writer.write(message(1))
        await one.received(2)
        expire_soon(one)
        turned_out = asyncio.ensure_future(at_end(stranger[0]))
        while not turned_out.done():
            stranger[1].write(b"\r\n\r\n")
            await asyncio.wait([turned_out], timeout=0.005)
        assert set(turned_out.result()) <= set(b"\r\n")
        assert one.stack.streams.turned_away == {"stranger": 1}
        guest[1].write(message(2))
        assert (await one.received(3))[0] == message(2)
        for _, writer in (stranger, guest):
            await close(writer)


@on_both_loops
async def test_who_proved_a_name_by_a_certificate_is_no_stranger(authority: Authority) -> None:
    async with (
        element("TLS", tls=authority.tls("one.example", client_certificates="optional")) as one,
        element("TLS", tls=authority.tls("two.example")) as two,
    ):
        _, stranger = await connect(one, HOST, "TLS")
        two.send(two.flow("TLS", one.at["TLS"], server_name="one.example"), message(1))
        _, flow = await one.received()
        visitors = one.stack.streams._visitors
        assert list(visitors._known) == [flow.connection]
        assert len(visitors._strangers) == 1
        await close(stranger)


@on_both_loops
async def test_the_log_is_not_filled_by_those_who_are_turned_away() -> None:
    async with element("TCP", connections=1) as one:
        held = await connect(one, HOST)
        with capture_logs() as lines:
            for _ in range(3 * connections.LOGGED_LINES):
                reader, writer = await connect(one, HOST)
                assert await at_end(reader) == b""
                await close(writer)
        assert one.stack.streams.turned_away == {"full": 3 * connections.LOGGED_LINES}
        told = [(line["event"], line["transport"], line["reason"]) for line in lines]
        assert told == [("connection.turned_away", "TCP", "full")] * connections.LOGGED_LINES
        await close(held[1])


async def register(bench_at: Address, host: str, user: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Register a contact over a connection from ``host``, with the password."""
    reader, writer = await asyncio.open_connection(*bench_at, local_addr=(host, 0))
    address = f"{host}:{writer.get_extra_info('sockname')[1]}"
    to = f"<sip:{user}@{DOMAIN}>"
    headers: list[tuple[str, str]] = []
    for cseq in (1, 2):
        via, contact = f"SIP/2.0/TCP {address};branch=z9hG4bK{user}{cseq}", f"<sip:{user}@{address};transport=tcp>"
        writer.write(
            request_bytes(
                "REGISTER", f"sip:{DOMAIN}", via=via, from_=f"{to};tag=1", to=to, call_id=user, cseq=cseq,
                contact=contact, headers=headers,
            )
        )  # fmt: skip
        answer = parse_message(await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), WAIT))
        if challenge := answer.get("WWW-Authenticate"):
            signed = answer_challenge(challenge, "REGISTER", f"sip:{DOMAIN}", user, PASSWORD, cnonce="c0ffee")
            headers = [("Authorization", signed)]
    assert isinstance(answer, Response)
    assert answer.status == 200
    return reader, writer


@pytest.mark.rfc("5626-4.4.1")
@on_both_loops
async def test_a_registrar_under_a_flood_of_lively_strangers() -> None:
    """Phones register and stay registered; of the flood only its share and its time are left."""
    loop = asyncio.get_running_loop()
    stack = Stack(TransportLimits(connections=20, connections_per_source=15))
    at = await stack.bind("TCP", HOST, 0)
    site = Site(Network(), listeners={("TCP", at): f"{HOST}:{at[1]}"}, clock=loop.time)
    stack.attach(site.node)
    early = await register(at, "127.0.0.2", "alice")
    flood = [await asyncio.open_connection(*at, local_addr=("127.0.0.66", 0)) for _ in range(30)]
    asked = request_bytes("OPTIONS", f"sip:{DOMAIN}", via="SIP/2.0/TCP 127.0.0.66;branch=z9hG4bK1")
    for _, writer in flood:
        writer.write(asked)
    late = await register(at, "127.0.0.3", "bob")
    assert stack.streams.turned_away["source"] == 15
    assert len(site.location) == 2
    stack.streams._visitors._seconds = 1e-6  # their time is over
    stack.streams._turn_out()
    for reader, writer in flood:
        await at_end(reader)
        await close(writer)
    assert stack.streams.turned_away == {"source": 15, "stranger": 15}
    for reader, writer in (early, late):
        writer.write(PING)
        assert await asyncio.wait_for(reader.readexactly(2), WAIT) == PONG
        await close(writer)
    await stack.close()
