"""Trunks: which servers and trunks a call tries, what pings tell, and from whom a call comes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest
from msgspec.structs import replace

from ims_core.errors import SipError
from ims_core.flow import Flow, format_address
from ims_core.messages.message import Request
from ims_core.security.credentials import Credentials
from ims_core.security.digest import DigestAuthenticator, Outcome
from ims_core.transactions.endpoint import Event, RequestReceived
from ims_core.trunks.exchange import Exchange, Route
from ims_core.trunks.numbers import CHINA
from ims_core.trunks.registration import Account, State
from ims_core.trunks.server import Server, Watched
from ims_core.trunks.trunk import INBOUND, OUTBOUND, Peer, Trunk, domain_of
from ims_core.ua.outgoing import OutgoingCall
from ims_core.ua.session_events import Answered, Reanswered, Rejected
from tests.kit import Network, Party, Phone

BEIJING = replace(CHINA, area="10")


def ignore(*_: object) -> None:
    pass


def uri(party: Party) -> str:
    return f"sip:{format_address(party.address)}"


class Office:
    """An element with trunks."""

    def __init__(self, *peers: Peer, routes: tuple[Route, ...] = (), sources: dict[str, str] | None = None) -> None:
        self.network = Network()
        self.phone = Phone(self.network, "us")
        self.exchange = Exchange((sources or {}).get, self.phone.endpoint.ids.number)
        self.exchange.routes = routes
        self.changes: list[tuple[float, str, bool | None, str]] = []
        self.phone.ua.watchers.append(self.exchange)
        for peer in peers:
            self.add(peer)

    def add(self, peer: Peer) -> Trunk:
        trunk = Trunk(
            self.phone.ua, peer, user="<sip:us>", on_server=self.note, on_registration=ignore, chance=lambda: 0.0
        )
        self.exchange.trunks[peer.id] = trunk
        return trunk

    def note(self, _: Trunk, watched: Watched) -> None:
        self.changes.append((self.network.now // 5 * 5, watched.server.uri, watched.up, watched.reason))


def carrier(network: Network, *statuses: int) -> Party:
    """A carrier's server that answers pings with these statuses, the last of them for ever; 0: not at all."""
    party = Party(network, "carrier")
    left: Iterator[int] = iter(statuses)
    current = 0

    def react(event: Event) -> None:
        nonlocal current
        if isinstance(event, RequestReceived):
            current = next(left, current)
            if current:
                party.endpoint.reply(event.transaction, current)

    party.react = react
    return party


def peer_of(*servers: Server, name: str = "carrier", **more: object) -> Peer:
    return Peer(id=name, servers=servers, domain=domain_of(servers), **more)  # type: ignore[arg-type]


# Pings


@pytest.mark.rfc("3261-11", "3261-11.2")
@pytest.mark.parametrize(("status", "up"), [(200, True), (404, True), (405, True), (500, True), (603, True),
                                            (503, False), (504, False), (408, False), (0, False)])  # fmt: skip
def test_which_answers_are_a_sign_of_life(status: int, up: bool) -> None:
    office = Office()
    party = carrier(office.network, status)
    trunk = office.add(peer_of(Server(uri(party)), ping_seconds=30.0))
    assert trunk.is_up, "nothing is known yet"
    trunk.start()
    office.network.run(40.0)
    assert trunk.servers[0].up is up
    assert trunk.is_up is up
    assert len({p.message.via.branch for p in office.network.packets("OPTIONS")}) == 2


def test_one_lost_ping_is_no_failure_and_one_answer_shows_life() -> None:
    office = Office()
    party = carrier(office.network, 200, 503, 200, 503, 503, 503, 200)
    office.add(peer_of(Server(uri(party)), ping_seconds=10.0)).start()
    office.network.run(65.0)
    where = uri(party)
    assert office.changes == [
        (0, where, True, "200 OK"),
        (40, where, False, "503 Service Unavailable"),
        (60, where, True, "200 OK"),
    ]


def test_nobody_is_pinged_without_an_interval_nor_after_the_end() -> None:
    office = Office()
    party = carrier(office.network, 200)
    trunk = office.add(peer_of(Server(uri(party))))
    trunk.start()
    office.network.run(100.0)
    assert office.network.sent == []
    pinged = office.add(peer_of(Server(uri(party)), ping_seconds=10.0))
    pinged.start()
    office.network.run(5.0)
    pinged.stop()
    office.network.run()
    assert len(office.network.packets("OPTIONS")) == 1


# Which servers


def shares(trunk: Trunk, calls: int = 4000) -> Counter[str]:
    return Counter(trunk.hop(or_else=False).uris[0] for _ in range(calls))


@pytest.mark.rfc("2782-3")
def test_servers_share_by_weight_within_the_best_priority() -> None:
    servers = [Server("sip:192.0.2.1", 0, 3), Server("sip:192.0.2.2", 0, 1), Server("sip:192.0.2.3", 1, 100)]
    trunk = Office().add(peer_of(*servers))
    assert shares(trunk) == {"sip:192.0.2.1": 2988, "sip:192.0.2.2": 1012}  # as the seed has it; three of four wanted
    assert {trunk.hop(or_else=False).uris[2] for _ in range(20)} == {"sip:192.0.2.3"}
    trunk.servers[0].up = False
    assert set(shares(trunk, 20)) == {"sip:192.0.2.2"}
    trunk.servers[1].up = False
    assert set(shares(trunk, 20)) == {"sip:192.0.2.3"}
    trunk.servers[2].up = False
    assert not trunk.is_up
    assert len(trunk.hop(or_else=False).uris) == 3, "all are tried when none is known to live"


def test_the_server_that_we_are_registered_with_comes_first() -> None:
    servers = [Server("sip:192.0.2.1", 0, 100), Server("sip:192.0.2.2", 1, 1)]
    account = Account("sip:us@c", "c", tuple(server.uri for server in servers), Credentials("us", "p"), "tx")
    trunk = Office().add(peer_of(*servers, account=account))
    assert set(shares(trunk, 20)) == {"sip:192.0.2.1"}
    assert trunk.registration is not None
    trunk.registration._server = 1
    assert set(shares(trunk, 20)) == {"sip:192.0.2.2"}
    trunk.servers[1].up = False
    assert set(shares(trunk, 20)) == {"sip:192.0.2.1"}


@pytest.mark.rfc("3263-4.3")
@pytest.mark.parametrize("first", [503, 0])
def test_a_call_goes_on_to_the_next_server(first: int) -> None:
    office = Office()
    dead = carrier(office.network, first)
    alive = Phone(office.network, "alive")
    trunk = office.add(peer_of(Server(uri(dead)), Server(uri(alive), 1)))
    call = placed(office, trunk)
    office.network.run(10.0)
    assert isinstance(office.phone.told_by(call)[-1], Answered)
    assert (call.dialog is not None, len(alive.incoming)) == (True, 1)
    assert alive.incoming[0].request.uri == f"sip:+8610@{format_address(dead.address)};user=phone"
    office.network.run(20.0)
    second = placed(office, trunk)  # the courier remembers who did not serve
    office.network.run(0.5)
    assert isinstance(office.phone.told_by(second)[-1], Answered)


@pytest.mark.parametrize(("or_else", "seconds"), [(True, 4), (False, 32)])
def test_a_silent_trunk_is_left_soon_when_there_is_another(or_else: bool, seconds: int) -> None:
    office = Office()
    trunk = office.add(peer_of(Server(uri(carrier(office.network, 0)))))
    call = placed(office, trunk, or_else=or_else)
    office.network.run(seconds - 0.1)
    assert office.phone.told_by(call) == []
    office.network.run(0.3)
    assert office.phone.told_by(call) == [Rejected(408, "No answer")]
    office.network.run()
    office.phone.assert_idle()


def placed(office: Office, trunk: Trunk, *, or_else: bool = False) -> OutgoingCall:
    hop = trunk.hop(or_else=or_else)
    call = office.phone.ua.outgoing(hop, ignore, credentials=trunk.peer.credentials)
    call.on_event = office.phone.listen(call)
    target = trunk.target("+8610")
    call.start(target, caller=trunk.shown("+861065550000"), callee=f"<{target}>", sdp=b"offer")
    return call


# Credentials


@pytest.mark.rfc("3261-22.2", "3261-22.3", "3261-8.1.3.5", "3261-13.2.2.4")
@pytest.mark.parametrize(("status", "password", "answered"), [(407, "p", True), (401, "p", True), (407, "x", False)])
def test_a_carrier_that_challenges_calls_is_answered(status: int, password: str, answered: bool) -> None:
    office = Office()
    party = Phone(office.network, "carrier")
    realms = [DigestAuthenticator("carrier", {"us": "p"}.get, b"0123456789abcdef")]
    take = party.react
    name = "Proxy-Auth" if status == 407 else "WWW-Auth"

    def react(event: Event) -> None:
        if isinstance(event, RequestReceived):
            header = "Proxy-Authorization" if status == 407 else "Authorization"
            verdict = realms[-1].verify(
                event.request.method, event.request.uri, event.request.whole_values(header), 0.0
            )
            if verdict.outcome is not Outcome.ACCEPTED:
                (challenge,) = realms[-1].challenges(0.0)
                party.endpoint.reply(event.transaction, status, headers=((f"{name}enticate", challenge),))
                return
        take(event)

    party.react = react
    trunk = office.add(peer_of(Server(uri(party)), credentials=Credentials("us", password)))
    call = placed(office, trunk)
    office.network.run(1.0)
    told = office.phone.told_by(call)
    assert isinstance(told[-1], Answered if answered else Rejected)
    invites = [packet.message for packet in office.network.packets("INVITE")]
    assert [message.cseq.number for message in invites] == [1, 2]
    assert len({message.call_id for message in invites}) == len({message.from_tag for message in invites}) == 1
    assert len({message.via.branch for message in invites}) == 2
    if answered:
        header = "Proxy-Authorization" if status == 407 else "Authorization"
        (ack,) = [packet.message for packet in office.network.packets("ACK")][1:]
        assert ack.get(header) == invites[-1].get(header), "the same credentials"
        call.reinvite(b"offer two")
        office.network.run(0.5)
        party.incoming[0].accept_offer(b"answer two")
        office.network.run(1.0)
        assert isinstance(office.phone.told_by(call)[-1], Reanswered)
        realms.append(DigestAuthenticator("carrier", {"us": "p"}.get, b"another secret"))  # that knows no nonce yet
        call.update()
        office.network.run(1.0)
        assert [packet.summary for packet in office.network.sent if "UPDATE" in packet.summary] == [
            "UPDATE",
            f"{status} UPDATE",
            "UPDATE",
            "200 UPDATE",
        ]
    call.hang_up()
    office.network.run()
    office.phone.assert_idle()
    assert len(party.ua) == 0


def test_a_call_without_credentials_ends_with_the_challenge() -> None:
    office = Office()
    party = carrier(office.network, 407)
    call = placed(office, office.add(peer_of(Server(uri(party)))))
    office.network.run(1.0)
    assert office.phone.told_by(call) == [Rejected(407, "Proxy Authentication Required")]


# Routes and limits


def test_the_first_route_that_fits_counts_and_trunks_that_are_down_come_last() -> None:
    one, two = (peer_of(Server(f"sip:192.0.2.{n}"), name=f"t{n}") for n in (1, 2))
    routes = (Route(("+861.", "110"), ("t2", "t1")), Route(("+86.",), ("t1", "t2", "none")))
    office = Office(one, two, routes=routes)
    exchange = office.exchange

    def names(number: str) -> list[str]:
        return [trunk.peer.id for trunk in exchange.ways(number)]

    assert names("+8613800138000") == names("110") == ["t2", "t1"]
    assert names("+862165551234") == ["t1", "t2"]
    assert names("+12125550100") == names("1001") == []
    assert (exchange.leads_out("110"), exchange.leads_out("1001")) == (True, False)
    exchange.trunks["t2"].servers[0].up = False
    assert names("110") == ["t1"]
    exchange.trunks["t1"].servers[0].up = False
    assert names("110") == ["t2", "t1"], "better than nothing"


def test_trunks_share_by_weight() -> None:
    peers = [peer_of(Server(f"sip:192.0.2.{n}"), name=f"t{n}", weight=n) for n in (1, 3)]
    exchange = Office(*peers, routes=(Route(("+86.",), ("t1", "t3"), "weight"),)).exchange
    first = Counter(exchange.ways("+8610")[0].peer.id for _ in range(4000))
    assert first == {"t1": 994, "t3": 3006}


def test_a_trunk_carries_no_more_calls_than_it_may() -> None:
    office = Office()
    party = Phone(office.network, "carrier")
    trunk = office.add(peer_of(Server(uri(party)), most_calls=1))
    office.exchange.routes = (Route(("+.",), ("carrier",)),)
    call = placed(office, trunk)
    trunk.took(call, OUTBOUND)
    office.network.run(1.0)
    assert office.exchange.ways("+8610") == []
    assert (trunk.counted, trunk.limited) == ({INBOUND: 0, OUTBOUND: 1}, {INBOUND: 0, OUTBOUND: 1})
    call.hang_up()
    office.network.run(1.0)
    assert office.exchange.ways("+8610") == [trunk]


# How numbers are sent


@pytest.mark.parametrize(
    ("more", "target", "shown"),
    [
        ({}, "sip:+861065551234@192.0.2.1;user=phone", "<sip:+861065550000@192.0.2.1>"),
        (
            {"form": "national", "caller": "+861065559999"},
            "sip:01065551234@192.0.2.1;user=phone",
            "<sip:01065559999@192.0.2.1>",
        ),
        ({"prefixes": {"+8610": ""}}, "sip:65551234@192.0.2.1;user=phone", "<sip:+861065550000@192.0.2.1>"),
        ({"plan": None, "form": "plain"}, "sip:+861065551234@192.0.2.1;user=phone", "<sip:+861065550000@192.0.2.1>"),
    ],
)  # fmt: skip
def test_numbers_as_the_trunk_wants_them(more: dict[str, object], target: str, shown: str) -> None:
    peer = replace(peer_of(Server("sip:192.0.2.1;transport=tcp"), plan=BEIJING), **more)
    trunk = Office().add(peer)
    assert trunk.target("+861065551234") == target
    assert trunk.shown("+861065550000") == shown


def test_a_caller_without_number_is_anonymous_or_the_account() -> None:
    trunk = Office().add(peer_of(Server("sip:192.0.2.1")))
    assert trunk.shown("alice") == "<sip:anonymous@192.0.2.1>"
    account = Account("sip:us@carrier.example", "carrier.example", ("sip:192.0.2.1",), Credentials("us", "p"), "tx")
    assert Office().add(peer_of(Server("sip:192.0.2.1"), account=account)).shown("alice") == "<sip:us@carrier.example>"


# Arrivals


def invite(to: str, *headers: tuple[str, str], target: str = "sip:10000@192.0.2.1") -> Request:
    request = Request("INVITE", target)
    for name, value in (("From", "<sip:013800138000@carrier.example>;tag=1"), ("To", to), *headers):
        request.add(name, value)
    return request


FROM_CARRIER = Flow("UDP", ("192.0.2.1", 5060), ("198.51.100.9", 5060))
FROM_NOWHERE = Flow("UDP", ("192.0.2.1", 5060), ("203.0.113.7", 5060))


@pytest.mark.rfc("3325-9.1", "7315-4.2")
@pytest.mark.parametrize(
    ("headers", "target", "expected"),
    [
        ((), "sip:01065551234@192.0.2.1;user=phone", ("+861065551234", "+8613800138000")),
        ((), "tel:+86-10-6555-1234", ("+861065551234", "+8613800138000")),
        ((("P-Asserted-Identity", "<tel:+861065550000>"),), "sip:10000@192.0.2.1", ("10000", "+861065550000")),
        ((("P-Asserted-Identity", "<mailto:x@y>"),), "sip:10000@192.0.2.1", ("10000", "+8613800138000")),
        ((), "sip:tsecret@192.0.2.1", ("+861065551234", "+8613800138000")),
        ((("P-Called-Party-ID", "<sip:95588@carrier.example>"),), "sip:tsecret@192.0.2.1", ("95588", "+8613800138000")),
    ],
)  # fmt: skip
def test_who_calls_whom(headers: tuple[tuple[str, str], ...], target: str, expected: tuple[str, str]) -> None:
    account = Account("sip:us@c", "c", ("sip:198.51.100.9",), Credentials("us", "p"), "tsecret")
    peer = peer_of(Server("sip:198.51.100.9"), plan=BEIJING, account=account)
    office = Office(peer, sources={"198.51.100.9": "carrier"})
    arrival = office.exchange.arrival(
        invite("<sip:01065551234@carrier.example>", *headers, target=target), FROM_CARRIER
    )
    assert arrival is not None
    assert (arrival.number, arrival.caller) == expected


def test_from_whom_a_call_comes() -> None:
    account = Account("sip:us@c", "c", ("sip:198.51.100.9",), Credentials("us", "p"), "tsecret")
    office = Office(peer_of(Server("sip:198.51.100.9"), account=account), sources={"192.0.2.77": "carrier"})
    exchange, trunk = office.exchange, office.exchange.trunks["carrier"]
    source = Flow("UDP", ("192.0.2.1", 5060), ("192.0.2.77", 5060))
    plain, secret = invite("<sip:x@y>"), invite("<sip:x@y>", target="sip:tsecret@192.0.2.1")
    assert exchange.trunk_of(plain, source) is trunk
    assert exchange.trunk_of(plain, FROM_CARRIER) is None, "a server is not a source"
    assert exchange.trunk_of(secret, FROM_NOWHERE) is trunk, "nobody else knows the contact"
    assert exchange.trunk_of(invite("<sip:x@y>", target="sip:tsecre@192.0.2.1"), FROM_NOWHERE) is None
    assert trunk.registration is not None
    trunk.registration.flow = FROM_CARRIER
    assert exchange.trunk_of(plain, FROM_CARRIER) is None
    trunk.registration.state = State.REGISTERED
    assert exchange.trunk_of(plain, FROM_CARRIER) is trunk
    assert [exchange.trusts(host) for host in ("192.0.2.77", "198.51.100.9", "203.0.113.7")] == [True, True, False]
    with pytest.raises(SipError):
        exchange.trunk_of(Request("INVITE", "x:y"), FROM_NOWHERE)
