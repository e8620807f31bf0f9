"""Calls by trunks, in and out, through the whole server on virtual time: carriers beside it that ping and register."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from acd import facts
from acd.cdr import Cdr, Outcome
from acd.config import ConfigError, loads
from acd.trunkapi import trunk_routes
from acd.trunks import peer_of
from acd.trunkview import TrunkView
from ims_core.flow import Flow
from ims_core.messages.message import Request
from ims_core.registrar.location import Binding
from ims_core.security import digest
from ims_core.security.digest import DigestAuthenticator
from ims_core.transactions.endpoint import RequestReceived
from ims_core.trunks.server import Server
from ims_core.ua.session_events import Ringing
from tests.acd.house import SDP, SERVER, House, Phone

BASE = """
[server]
domain = "ims.example"
[dialling]
country = "86"
area = "10"
[queues.sales]
name = "Sales"
wrap_up_seconds = 0
announce_agent = false
{overflow}
[agents.a1]
queues = ["sales"]
{agent}
[numbers.100]
queue = "sales"
[numbers."+861065550000"]
queue = "sales"
[callers.known.13800138000]
vip = true
[[callers.rules]]
when = {{ vip = true }}
priority = 7
[trunks.one]
sources = ["127.0.1.1"]
servers = ["sip:127.0.1.1:5060"]
caller = "+861065550000"
{one}
[trunks.two]
servers = ["sip:127.0.1.2:5060", "sip:127.0.1.3:5060"]
numbers = "national"
{two}
[[outbound]]
match = ["+86.", "110"]
trunks = ["one", "two"]
[emergency]
numbers = []
"""
OUTSIDE = 'overflow = [{ when = "waited", above = 3, to = "external:+8613900139000" }]'


class Carrier(Phone):
    """A carrier's server. It answers pings with ``alive``, calls with ``status`` unless that is 0, and registers."""

    def __init__(self, house: House, host: str, *, status: int = 0, alive: int = 200, password: str = "") -> None:
        super().__init__(house, "carrier", 5060)
        self.address = (host, 5060)
        listeners = {("UDP", self.address): f"{host}:5060"}
        self.endpoint._sent_by = listeners
        self.ua._advertised = listeners
        self.server = self.server._replace(local=self.address)
        house.parties[self.address] = self
        self.status, self.alive = status, alive
        self.heard: list[Request] = []
        self.contact = ""
        self.realm = DigestAuthenticator("carrier", {"us": password}.get, b"0123456789abcdef")
        self.challenges = bool(password)
        self.guards_dialogs = False

    def _react(self) -> None:
        taken = []
        while (event := self.endpoint.next_event()) is not None:
            if isinstance(event, RequestReceived) and self.guards(event.request) and self.answers(event):
                continue
            taken.append(event)
        self.endpoint.events.extend(taken)
        super()._react()

    def guards(self, request: Request) -> bool:
        return not request.to.tag or self.guards_dialogs

    def answers(self, event: RequestReceived) -> bool:
        """Answer what is no call to be taken."""
        request, method = event.request, event.request.method
        self.heard.append(request)
        if method == "OPTIONS":
            self.endpoint.reply(event.transaction, self.alive)
        elif self.challenges and not self.knows(request):
            (challenge,) = self.realm.challenges(0.0)
            name, status = ("WWW", 401) if method == "REGISTER" else ("Proxy", 407)
            self.endpoint.reply(event.transaction, status, headers=((f"{name}-Authenticate", challenge),))
        elif method == "REGISTER":
            expires = request.require("Expires")
            self.contact = request.require("Contact").strip("<>") if expires != "0" else ""
            self.endpoint.reply(event.transaction, 200, headers=(("Expires", expires),))
        elif self.status:
            self.endpoint.reply(event.transaction, self.status)
        else:
            return False
        return True

    def knows(self, request: Request) -> bool:
        given = [*request.whole_values("Authorization"), *request.whole_values("Proxy-Authorization")]
        return self.realm.verify(request.method, request.uri, given, 0.0).outcome is digest.Outcome.ACCEPTED

    def place(self, uri: str, caller: str, to: str = "") -> None:
        """Call the server under test."""
        self.call = self.ua.outgoing(self.server, self._note)
        self.call.start(uri, caller=caller, callee=to or f"<{uri}>", sdp=SDP)
        self.flush()

    def asked(self, method: str) -> list[Request]:
        return [request for request in self.heard if request.method == method]


MakeHouse = Callable[..., House]


@pytest.fixture
def make_house(tmp_path: Path) -> MakeHouse:
    def make(*overrides: str, **parts: str) -> House:
        file = tmp_path / "acd.toml"
        empty = dict.fromkeys(("overflow", "agent", "one", "two"), "")
        file.write_text(BASE.format(**{**empty, **parts}), encoding="utf-8")
        return House(*overrides, config=file)

    return make


def waiting_caller(house: House, seconds: float) -> Phone:
    caller = house.phone("ann")
    caller.dial("100")
    house.run(seconds)
    return caller


def finish(house: House, *phones: Phone) -> Cdr:
    for phone in phones:
        phone.hang_up()
    house.settle()
    for phone in (phone for phone in house.parties.values() if isinstance(phone, Carrier)):
        assert len(phone.ua) == 0
    assert house.engine.calls == {}
    assert len(house.server.node.ua) == 0
    assert all(trunk.calls == {} for trunk in house.engine.trunks.all.values())
    return house.records.cdrs[-1]


# In


@pytest.mark.parametrize(
    ("uri", "caller", "known"),
    [
        ("sip:100@127.0.0.1:5060", "<sip:013800138000@c>", "+8613800138000"),
        ("sip:+861065550000@127.0.0.1:5060;user=phone", "<sip:+8613800138000@c>", "+8613800138000"),
        ("sip:01065550000@127.0.0.1:5060", "<sip:008613800138000@c>", "+8613800138000"),
        ("sip:65550000@ims.example", "<sip:13800138000@c>", "+8613800138000"),
        ("tel:+86-10-6555-0000", "<tel:+86-138-0013-8000>", "+8613800138000"),
    ],
)
def test_a_call_from_a_trunk_is_known_by_its_numbers(make_house: MakeHouse, uri: str, caller: str, known: str) -> None:
    with make_house() as house:
        agent, carrier = house.agent("a1"), Carrier(house, "127.0.1.1")
        carrier.place(uri, caller)
        house.run(3.0)
        assert house.agent_states["a1"] == "talking"
        (profile,) = [entry.fact for entry in house.journal.entries if isinstance(entry.fact, facts.CallerKnown)]
        assert profile.vip
        assert Counter(house.engine.trunks.all["one"].calls.values()) == {"in": 1}
        cdr = finish(house, carrier)
        assert (cdr.trunk, cdr.trunk_out, cdr.caller, cdr.outcome) == ("one", None, known, Outcome.ANSWERED)
        assert cdr.dialled in {"100", "+861065550000"}
        assert agent.incoming


def test_a_caller_from_elsewhere_and_a_number_that_is_not_ours_are_refused(make_house: MakeHouse) -> None:
    with make_house("sip.authentication=digest", agent='contact="sip:a1@127.0.0.1:6900"') as house:
        stranger, carrier = Carrier(house, "127.0.1.9"), Carrier(house, "127.0.1.1")
        stranger.place("sip:01065550000@127.0.0.1:5060", "<sip:13800138000@c>")
        carrier.place("sip:02165550000@127.0.0.1:5060", "<sip:13800138000@c>")
        house.run(1.0)
        assert (stranger.outcome, carrier.outcome) == ("Rejected", "Rejected")
        assert stranger.events[-1].status == 407  # type: ignore[union-attr]
        assert carrier.events[-1].status == 404  # type: ignore[union-attr]
        house.settle()
        assert house.records.cdrs == []


def test_a_full_trunk_takes_no_more(make_house: MakeHouse) -> None:
    with make_house(one="max_calls = 1") as house:
        house.agent("a1")
        carrier = Carrier(house, "127.0.1.1")
        carrier.place("sip:100@127.0.0.1:5060", "<sip:1@c>")
        house.run(2.0)
        first = carrier.call
        carrier.place("sip:100@127.0.0.1:5060", "<sip:2@c>")
        house.run(1.0)
        assert carrier.events[-1].status == 503  # type: ignore[union-attr]
        assert house.engine.trunks.all["one"].limited == {"in": 1, "out": 0}
        assert first is not None
        first.hang_up()
        carrier.flush()
        finish(house)


# Out


def test_an_overflow_goes_out_by_the_first_trunk(make_house: MakeHouse) -> None:
    with make_house(overflow=OUTSIDE) as house:
        busy, one = house.agent("a1"), Carrier(house, "127.0.1.1")
        house.phone("first").dial("100")
        house.run(3.0)
        caller = waiting_caller(house, 6.0)
        (invite,) = one.asked("INVITE")
        assert invite.uri == "sip:+8613900139000@127.0.1.1:5060;user=phone"
        assert invite.from_.uri_text == "sip:+861065550000@127.0.1.1:5060"
        assert (invite.get("Diversion") or "").startswith("<sip:100@ims.example>;reason=no-answer")
        assert "History-Info" in invite
        assert one.incoming[0].state == "confirmed"
        one.hang_up()
        house.run(1.0)
        assert caller.outcome == "Ended"
        outside = house.records.cdrs[-1]
        assert (outside.outcome, outside.trunk_out, outside.trunk) == (Outcome.EXTERNAL, "one", None)
        assert ("call.went_out", "one +8613900139000") in [(step.event, step.detail) for step in outside.timeline]
        finish(house, busy)


@pytest.mark.parametrize("how", ["503", "silent", "down"])
def test_the_next_trunk_and_the_next_server_are_tried(make_house: MakeHouse, how: str) -> None:
    with make_house(overflow=OUTSIDE) as house:
        busy = house.agent("a1")
        one = Carrier(house, "127.0.1.1", status=503, alive=503 if how == "down" else 200)
        two, three = Carrier(house, "127.0.1.2", status=503), Carrier(house, "127.0.1.3")
        if how == "silent":
            house.dead |= {one.address, two.address}
        house.phone("first").dial("100")
        house.run(40.0)  # so many pings tell that a server is down
        views = {trunk.peer.id: TrunkView.of(trunk) for trunk in house.engine.trunks.all.values()}
        up = {"503": (True, [True, True]), "silent": (False, [False, True]), "down": (False, [True, True])}[how]
        assert (views["one"].up, [server.up for server in views["two"].servers]) == up
        caller = waiting_caller(house, 6.0)
        assert three.incoming[0].request.uri == "sip:13900139000@127.0.1.2:5060;user=phone"
        assert len(one.asked("INVITE")) == (1 if how == "503" else 0)
        assert house.engine.trunks.all["one"].left == (1 if how == "503" else 0)
        house.run(2.0)
        caller.hang_up()
        house.run(1.0)
        assert house.records.cdrs[-1].trunk_out == "two"
        finish(house, busy)


def test_who_is_called_decides_and_not_the_next_trunk(make_house: MakeHouse) -> None:
    with make_house(overflow=OUTSIDE) as house:
        busy = house.agent("a1")
        one, two = Carrier(house, "127.0.1.1", status=486), Carrier(house, "127.0.1.2")
        house.phone("first").dial("100")
        house.run(3.0)
        waiting_caller(house, 8.0)
        assert len(one.asked("INVITE")) == 1
        assert two.asked("INVITE") == []
        cdr = house.records.cdrs[-1]
        assert (cdr.outcome, cdr.trunk_out) == (Outcome.REJECTED, "one")
        assert "486" in cdr.reason
        finish(house, busy)


def test_a_full_trunk_is_left_out(make_house: MakeHouse) -> None:
    with make_house(overflow=OUTSIDE, one="max_calls = 1", two="max_calls = 1") as house:
        busy, _one, _two = house.agent("a1"), Carrier(house, "127.0.1.1"), Carrier(house, "127.0.1.2")
        house.phone("first").dial("100")
        house.run(3.0)
        callers = [waiting_caller(house, 6.0) for _ in range(3)]
        assert [caller.outcome for caller in callers] == ["Answered", "Answered", "Ended"]
        assert house.records.cdrs[-1].reason.endswith("No trunk to there")
        finish(house, busy, *callers)


def test_an_agent_may_be_outside(make_house: MakeHouse) -> None:
    with make_house(agent='contact = "tel:13900139000"\nalways_ready = true') as house:
        one = Carrier(house, "127.0.1.1", status=503)
        two = Carrier(house, "127.0.1.2")
        caller = waiting_caller(house, 3.0)
        assert house.agent_states["a1"] == "talking"
        assert [len(one.asked("INVITE")), len(two.incoming)] == [1, 1]
        assert two.incoming[0].request.from_.display == "Sales"
        cdr = finish(house, caller)
        assert (cdr.agent, cdr.trunk_out, cdr.outcome) == ("a1", "two", Outcome.ANSWERED)


def test_nobody_gets_outside_by_calling_an_agent_who_is_there(make_house: MakeHouse) -> None:
    with make_house(agent='contact = "tel:13900139000"\nalways_ready = true') as house:
        one, two = Carrier(house, "127.0.1.1"), Carrier(house, "127.0.1.2")
        ann = house.phone("ann")
        ann.dial("a1")
        one.place("sip:a1@127.0.0.1:5060", "<sip:013800138000@c>")
        two.place("sip:13900139000@127.0.0.1:5060", "<sip:013800138000@c>")
        house.run(40.0)
        assert (ann.outcome, one.outcome, two.outcome) == ("Rejected", "Rejected", "Rejected")
        assert [each.asked("INVITE") for each in (one, two)] == [[], []]
        house.settle()


def test_nobody_is_an_agent_by_saying_so_from_another_network(make_house: MakeHouse) -> None:
    with make_house() as house:
        house.agent("a1")
        one = Carrier(house, "127.0.1.1")
        border, flow = house.engine.trunks.border, Flow("UDP", SERVER, one.address)
        assert border.comes_from(Request("MESSAGE", "sip:a1@ims.example"), flow)
        assert not border.comes_from(Request("REGISTER", "sip:ims.example"), flow), "no agent is there by that, either"
        one.place("sip:*13@127.0.0.1:5060", "<sip:a1@c>")  # which would be a pause
        house.run(1.0)
        assert (one.outcome, house.agent_states["a1"]) == ("Rejected", "ready")
        one.place("sip:+861065550000@127.0.0.1:5060", "<sip:a1@c>")
        house.run(5.0)
        assert house.agent_states["a1"] == "talking", "with who says that he is the agent"
        one.hang_up()
        house.settle()


@pytest.mark.parametrize(
    ("may", "number", "taken"),
    [
        (True, "13900139000", True),
        (True, "110", True),
        (False, "13900139000", False),
        (True, "0012125550100", False),
    ],
)
def test_only_who_may_calls_outside(make_house: MakeHouse, may: bool, number: str, taken: bool) -> None:
    accounts = f'[[accounts]]\nuser = "ann"\npassword = "p"\nmay_call_outside = {str(may).lower()}\n'
    with make_house("sip.authentication=digest", agent='contact="sip:a1@127.0.0.1:6900"', two="\n" + accounts) as house:
        one, ann = Carrier(house, "127.0.1.1"), house.phone("ann")
        bind_flow(house, ann)
        ann.dial(number)
        house.run(2.0)
        assert bool(one.asked("INVITE")) is taken
        assert ann.outcome == ("Answered" if taken else "Rejected")
        if taken:
            cdr = finish(house, ann)
            assert (cdr.outcome, cdr.trunk_out, cdr.caller, cdr.dialled) == (Outcome.EXTERNAL, "one", "ann", number)
            assert "Diversion" not in one.asked("INVITE")[0]


@pytest.mark.rfc("3312-6", "TS24.229-6.1.3")
def test_who_reserves_a_bearer_first_is_called_for_afterwards_and_the_trunk_knows_nothing_of_it(
    make_house: MakeHouse,
) -> None:
    accounts = '[[accounts]]\nuser = "ann"\npassword = "p"\nmay_call_outside = true\n'
    required = (("Require", "precondition"),)
    with make_house("sip.authentication=digest", agent='contact="sip:a1@127.0.0.1:6900"', two="\n" + accounts) as house:
        one, ann = Carrier(house, "127.0.1.1"), house.phone("ann")
        bind_flow(house, ann)
        ann.dial("13900139000", sdp=SDP + b"a=des:qos mandatory local sendrecv\r\n", headers=required)
        house.run(3.0)
        assert one.asked("INVITE") == []
        assert ann.call is not None
        ann.call.update(SDP + b"a=curr:qos local sendrecv\r\na=des:qos mandatory local sendrecv\r\n", required)
        ann.flush()
        house.run(2.0)
        (invite,) = one.asked("INVITE")
        assert b"qos" not in invite.body
        assert "precondition" not in [*invite.values("Supported"), *invite.values("Require")]
        assert [event.status for event in ann.events if isinstance(event, Ringing)] == [183, 180]
        assert ann.outcome == "Answered"
        assert finish(house, ann).outcome is Outcome.EXTERNAL


def bind_flow(house: House, phone: Phone) -> None:
    """Have the phone's address stand for its user, as after a REGISTER with the right password."""
    flow = Flow("UDP", SERVER, phone.address)
    contact = f"sip:{phone.user}@127.0.0.1:{phone.address[1]}"
    house.location.add(Binding(f"sip:{phone.user}@ims.example", contact, flow=flow))


# Registrations


REGISTERED = 'user = "us"\npassword = "secret"\nregister = true\ndomain = "carrier.example"'


def test_a_trunk_that_is_registered_calls_and_is_called(make_house: MakeHouse) -> None:
    with make_house(one=REGISTERED, overflow=OUTSIDE) as house:
        one = Carrier(house, "127.0.1.1", password="secret")
        agent = house.agent("a1")
        house.run(1.0)
        assert house.engine.trunks.all["one"].is_up
        assert one.contact.startswith("sip:t")
        other = Carrier(house, "127.0.1.77")  # of the same carrier, at another address
        other.place(one.contact, "<sip:013800138000@c>", "<sip:01065550000@carrier.example>")
        house.run(3.0)
        assert house.agent_states["a1"] == "talking"
        caller = waiting_caller(house, 7.0)
        first, second = one.asked("INVITE")
        assert first.uri == second.uri == "sip:+8613900139000@carrier.example;user=phone"
        assert (first.get("Proxy-Authorization"), second.get("Proxy-Authorization") is None) == (None, False)
        finish(house, caller, other, agent)
        assert {(cdr.trunk, cdr.trunk_out) for cdr in house.records.cdrs} == {("one", None), (None, "one")}


@pytest.mark.rfc("3261-22.2")
def test_a_carrier_that_challenges_our_bye_to_its_call_is_answered(make_house: MakeHouse) -> None:
    with make_house(one=REGISTERED) as house:
        one, agent = Carrier(house, "127.0.1.1", password="secret"), house.agent("a1")
        house.run(1.0)
        one.place("sip:100@127.0.0.1:5060", "<sip:1@c>")
        house.run(2.0)
        one.guards_dialogs = True
        agent.hang_up()
        house.run(1.0)
        first, second = one.asked("BYE")
        assert (first.get("Proxy-Authorization") is None, one.knows(second)) == (True, False), "a nonce serves once"
        assert second.get("Proxy-Authorization")
        assert one.outcome == "Ended"
        finish(house, one)


def test_a_call_to_the_contact_for_no_number_of_ours_is_refused(make_house: MakeHouse) -> None:
    with make_house(one=REGISTERED) as house:
        one = Carrier(house, "127.0.1.1", password="secret")
        house.run(1.0)
        one.place(one.contact, "<sip:013800138000@c>", "<sip:nobody@carrier.example>")
        house.run(1.0)
        assert one.events[-1].status == 404  # type: ignore[union-attr]


def test_without_registration_calls_go_by_the_next_trunk(make_house: MakeHouse) -> None:
    with make_house(one=REGISTERED, overflow=OUTSIDE) as house:
        busy, one, two = house.agent("a1"), Carrier(house, "127.0.1.1", password="other"), Carrier(house, "127.0.1.2")
        house.phone("first").dial("100")
        house.run(3.0)
        waiting_caller(house, 6.0)
        assert one.asked("INVITE") == []
        assert len(two.incoming) == 1
        view = TrunkView.of(house.engine.trunks.all["one"])
        assert view.registration is not None
        assert (view.up, view.registration.state, view.registration.reason) == (False, "refused", "401 Unauthorized")
        finish(house, busy, two)


def test_a_reload_changes_trunks_and_keeps_the_others_and_their_calls(make_house: MakeHouse, tmp_path: Path) -> None:
    with make_house(one=REGISTERED) as house:
        one, agent = Carrier(house, "127.0.1.1", password="secret"), house.agent("a1")
        house.run(1.0)
        one.place("sip:100@127.0.0.1:5060", "<sip:1@c>")
        house.run(2.0)
        before = dict(house.engine.trunks.all)
        file = tmp_path / "acd.toml"
        file.write_text(file.read_text().replace('caller = "+861065550000"', "max_calls = 5"))
        house.loop.run_until_complete(house.control.reload("test"))
        house.run(1.0)
        after = house.engine.trunks.all
        assert after["two"] is before["two"]
        assert after["one"] is not before["one"]
        assert Counter(after["one"].calls.values()) == {"in": 1}
        assert "0" not in [request.get("Expires") for request in one.asked("REGISTER")]
        assert one.contact
        file.write_text(file.read_text().replace("register = true", "register = false"))
        house.loop.run_until_complete(house.control.reload("test"))
        house.run(1.0)
        assert one.contact == "", "taken back"
        finish(house, one, agent)


def test_registrations_are_taken_back_at_the_end(make_house: MakeHouse) -> None:
    with make_house(one=REGISTERED) as house:
        one = Carrier(house, "127.0.1.1", password="secret")
        house.run(1.0)
        assert one.contact
        house.loop.run_until_complete(house.engine.drain())
        assert one.contact == ""
        assert house.engine.trunks.is_settled


def test_what_http_tells_of_trunks(make_house: MakeHouse) -> None:
    with make_house(one=REGISTERED) as house:
        Carrier(house, "127.0.1.1", password="secret")
        house.run(12.0)
        with TestClient(Litestar(list(trunk_routes(lambda: house.engine.trunks.all)))) as client:
            one, two = client.get("/api/v1/trunks").json()["items"]
    assert (one["id"], one["up"], one["registration"]["state"]) == ("one", True, "registered")
    assert 3500 < one["registration"]["expires_in_seconds"] <= 3600
    assert [(server["uri"], server["up"]) for server in one["servers"]] == [("sip:127.0.1.1:5060", True)]
    assert [server["priority"] for server in two["servers"]] == [0, 1]
    assert two["registration"] is None
    assert one["calls"] == one["calls_under_way"] == one["limited"] == {"in": 0, "out": 0}


def test_what_the_configuration_means_to_the_node() -> None:
    config = loads(
        """
[server]
domain = "ims.example"
[dialling]
country = "86"
[trunks.shared.servers.first]
uri = "sip:192.0.2.1:5070;transport=tcp"
weight = 3
[trunks.shared.servers.second]
uri = "sip:192.0.2.2"
priority = 1
[trunks.abroad]
servers = ["sip:carrier.example", "sips:[2001:db8::1]"]
country = "49"
area = "30"
numbers = "national"
prefixes = { "+4930" = "" }
[sip]
listen = ["udp:127.0.0.1:5060", "tcp:127.0.0.1:5060", "tls:[::1]:5061"]
[sip.tls]
certificate = "x.pem"
"""
    )
    shared, abroad = (peer_of(config, trunk) for trunk in config.trunks.values())
    assert shared.servers == (Server("sip:192.0.2.1:5070;transport=tcp", 0, 3), Server("sip:192.0.2.2", 1, 1))
    assert shared.domain == "192.0.2.1:5070"
    assert shared.plan is not None
    assert shared.plan.e164("13800138000") == "+8613800138000"
    assert [(server.uri, server.priority) for server in abroad.servers] == [
        ("sip:carrier.example", 0),
        ("sips:[2001:db8::1]", 1),
    ]
    assert abroad.plan is not None
    assert (abroad.domain, abroad.plan.e164("03012345"), abroad.plan.area) == ("carrier.example", "+493012345", "30")
    assert (shared.account, abroad.credentials) == (None, None)


# Mistakes

SOURCE, SERVED = 'sources = "127.0.0.1"', 'servers = "sip:127.0.0.1"'


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("", "trunks.x: expected sources, from which it calls, or servers, by which it is called"),
        ('servers = "127.0.0.1"', "trunks.x.servers[0]: expected a SIP URI of a proxy"),
        ('servers = "sip:127.0.0.1;transport=tls"', "trunks.x.servers[0]: expected a transport"),
        ("[trunks.x.servers.a]\npriority = 1", "trunks.x.servers.a.uri: expected a SIP URI of a proxy"),
        (f'{SERVED}\nuser = "u"', "trunks.x.password: expected a value, because"),
        (f"{SERVED}\nregister = true", "trunks.x.user: expected the user who is registered"),
        (f'{SOURCE}\nuser = "u"\npassword = "p"\nregister = true', "trunks.x.servers: expected the registrar"),
        (f'{SOURCE}\narea = "10"', "trunks.x.country: expected a country code, because"),
        (f'{SOURCE}\nnumbers = "x"', 'trunks.x.numbers: expected "e164" or'),
        (f'{SOURCE}\n[dialling]\ncountry = "+86"', "dialling.country: expected a country code without +"),
        (f'{SOURCE}\n[dialling]\ndirect = ["1["]', "dialling.direct[0]: expected a pattern of numbers"),
        (
            f'{SOURCE}\n[[outbound]]\nmatch = "+."\ntrunks = "x"',
            "outbound[0].trunks[0]: expected a trunk with servers (none is defined)",
        ),
        (f'{SERVED}\n[[outbound]]\nmatch = []\ntrunks = "x"', "outbound[0].match: expected at least one"),
        (
            f'{SOURCE}\n[[accounts]]\nuser="a"\npassword="p"\nmay_call_outside=true\n[sip]\nauthentication="off"',
            "accounts: expected no may_call_outside",
        ),
        (
            f'{SOURCE}\n[queues.q]\nname = "Q"\noverflow = [{{ when = "length", to = "external:+861" }}]',
            "queues.q.overflow[0].to: expected a number that some [[outbound]] route takes; none takes +861",
        ),
    ],
)
def test_each_mistake_is_told_in_one_sentence(text: str, mistake: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loads(f'[server]\ndomain = "ims.example"\n[trunks.x]\n{text}\n', file="x.toml")
    (line,) = caught.value.mistakes
    assert line.startswith(f"x.toml: {mistake}")
