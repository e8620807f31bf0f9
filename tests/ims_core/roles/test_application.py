"""An application server as a hop: whom it believes, what it serves, what it passes on, whom it knows to be there."""

from __future__ import annotations

import pytest

from ims_core.errors import Forbidden, NotFound
from ims_core.flow import Flow
from ims_core.messages.message import Request, Response
from ims_core.messages.parser import parse_message
from ims_core.messages.uri import parse_uri
from ims_core.proxy.forward import Forward
from ims_core.registrar.location import BindingRemoved, Domains, Location, Removal
from ims_core.roles.application import ApplicationServer
from ims_core.roles.ims import Border
from ims_core.roles.neighbours import Neighbours
from ims_core.roles.routing import HERE, Decision, ToService
from tests.kit.messages import request_bytes
from tests.kit.network import seeded_ids

HERE_AT = ("192.0.2.3", 5064)
SCSCF = ("192.0.2.2", 5062)
AGENT = "sip:1001@ims.example"


class Setting:
    """The application server of ims.example, whose only number is 10000."""

    def __init__(self, border: Border | None = None) -> None:
        self.location = Location()
        self.server = ApplicationServer(
            Domains("as.ims.example", ["192.0.2.3:5064"]),
            self.location,
            seeded_ids("application server"),
            home=Domains("ims.example"),
            is_trusted=Neighbours([SCSCF]).knows,
            is_service="10000".__eq__,
            service="acd",
            scscf="sip:192.0.2.2:5062",
            border=border,
        )

    def route(
        self,
        method: str,
        uri: str,
        *headers: tuple[str, str],
        came_from: tuple[str, int] = SCSCF,
        to: str = AGENT,
        from_: str = "sip:alice@ims.example",
    ) -> Decision:
        written = request_bytes(method, uri, to=f"<{to}>", from_=f"<{from_}>;tag=1", headers=headers)
        request = parse_message(written)
        assert isinstance(request, Request)
        return self.server.route(request, Flow("UDP", HERE_AT, came_from), 100.0)

    def register(self, expires: str, to: str = AGENT) -> Response:
        response = self.route("REGISTER", "sip:192.0.2.3:5064", ("Expires", expires), to=to)
        assert isinstance(response, Response)
        assert response.status == 200
        return response


@pytest.fixture
def setting() -> Setting:
    return Setting()


@pytest.mark.rfc("TS24.229-5.7.1.1", "3325-5")
def test_a_call_for_a_number_is_served_for_whom_the_s_cscf_names(setting: Setting) -> None:
    asserted = ("P-Asserted-Identity", '"A" <sip:+8613800000001@ims.example>, <tel:+8613800000001>')
    for uri in ("sip:10000@ims.example", "sip:10000@192.0.2.3:5064", "tel:10000"):
        assert setting.route("INVITE", uri, asserted) == ToService("acd", "+8613800000001")
    assert setting.route("INVITE", "sip:10000@ims.example") == ToService("acd", ""), "our users are asserted"
    assert setting.route("INVITE", "sip:10000@ims.example", from_="sip:carol@elsewhere.example") == ToService(
        "acd", "carol@elsewhere.example"
    )


@pytest.mark.rfc("TS24.229-5.7.1.1")
def test_nobody_else_is_served(setting: Setting) -> None:
    for method in ("INVITE", "REGISTER"):
        with pytest.raises(Forbidden):
            setting.route(method, "sip:10000@ims.example", came_from=("203.0.113.9", 5060))
    assert not len(setting.location)


@pytest.mark.rfc("TS24.229-5.7.3")
def test_what_is_for_somebody_else_goes_back_where_the_route_says(setting: Setting) -> None:
    route = "<sip:192.0.2.3:5064;lr>, <sip:token@192.0.2.2:5062;lr>"
    decision = setting.route("INVITE", "sip:bob@ims.example", ("Route", route))
    assert isinstance(decision, Forward)
    (target,) = decision.targets
    assert target.uri == "sip:bob@ims.example"
    assert list(target.route) == ["<sip:token@192.0.2.2:5062;lr>"]
    with pytest.raises(NotFound):
        setting.route("INVITE", "sip:bob@ims.example")


@pytest.mark.rfc("3261-11.2")
def test_it_answers_a_ping_of_anybody_itself(setting: Setting) -> None:
    assert setting.route("OPTIONS", "sip:192.0.2.3:5064", came_from=("203.0.113.9", 5060)) == ToService(HERE)


@pytest.mark.rfc("TS24.229-5.4.1.7")
def test_a_third_party_registration_says_who_is_there_and_how_he_is_called(setting: Setting) -> None:
    assert setting.register("600").get("Expires") == "600"
    (binding,) = setting.location.bindings(AGENT)
    assert (binding.contact, binding.path, binding.expires_at) == (AGENT, ("<sip:192.0.2.2:5062;lr>",), 700.0)
    setting.register("900")
    (binding,) = setting.location.bindings(AGENT)
    assert binding.expires_at == 1000.0
    assert setting.register("0").get("Expires") is None
    assert not setting.location.bindings(AGENT)
    removed = [event for event in setting.location.events if isinstance(event, BindingRemoved)]
    assert [event.reason for event in removed] == [Removal.DEREGISTERED]
    setting.register("0")


def test_a_registration_of_somebody_of_elsewhere_is_refused(setting: Setting) -> None:
    with pytest.raises(NotFound):
        setting.register("600", to="sip:1001@elsewhere.example")


@pytest.mark.rfc("3261-20.10")
@pytest.mark.parametrize("written", ["soon", "-1", "", "9" * 30])
def test_nonsense_of_a_lifetime_is_an_hour_and_none_is_for_ever(setting: Setting, written: str) -> None:
    setting.register(written)
    (binding,) = setting.location.bindings(AGENT)
    assert 100.0 + 3600 <= binding.expires_at <= 100.0 + 7 * 24 * 3600


class Connected:
    """A request that came by a connection."""

    def __init__(self, via: str) -> None:
        message = parse_message(request_bytes(via=via))
        assert isinstance(message, Request)
        self.request = message


@pytest.mark.rfc("3325-3")
def test_a_neighbour_is_known_by_where_it_listens() -> None:
    known = Neighbours([SCSCF], hosts="198.51.100.1".__eq__)
    via = "SIP/2.0/TCP {};branch=z9hG4bK1"
    ours, other = Connected(via.format("192.0.2.2:5062")).request, Connected(via.format("192.0.2.2:5070")).request
    broken = Connected(via.format("192.0.2.2:5062")).request
    broken.set("Via", "nonsense")
    datagram = Flow("UDP", HERE_AT, SCSCF)
    assert known.knows(other, datagram)
    assert not known.knows(ours, datagram._replace(remote=("192.0.2.2", 5070))), "a datagram has its own port"
    connection = Flow("TCP", HERE_AT, ("192.0.2.2", 40001), 7)
    assert known.knows(ours, connection)
    assert not known.knows(other, connection)
    assert not known.knows(broken, connection)
    assert not known.knows(ours, connection._replace(remote=("192.0.2.99", 40001))), "another host says so"
    assert known.knows(broken, datagram._replace(remote=("198.51.100.1", 9)))
    assert known.has(parse_uri("sip:scscf@192.0.2.2:5062"))
    assert known.has(parse_uri("sip:198.51.100.1"))
    assert not known.has(parse_uri("sip:192.0.2.2"))


class Carrier:
    """A border that takes calls outside; ``users`` are those for whom."""

    def __init__(self) -> None:
        self.users: list[str] = []

    def arriving(self, request: Request, flow: Flow) -> Decision | None:
        return None

    def comes_from(self, request: Request, flow: Flow) -> bool:
        return flow.remote[0] == "198.51.100.9"

    def leaving(self, request: Request, user: str) -> Decision | None:
        self.users.append(user)
        return ToService("acd", user)


@pytest.mark.rfc("8498-4", "3325-5")
def test_who_diverts_a_call_outside_pays_and_nobody_by_what_he_says_of_himself() -> None:
    carrier = Carrier()
    setting = Setting(carrier)
    asserted = ("P-Asserted-Identity", "<sip:alice@ims.example>")
    diverted = ("P-Served-User", "<sip:bob@ims.example>;orig-cdiv")
    assert setting.route("INVITE", "tel:+4912345", asserted) == ToService("acd", "alice")
    assert setting.route("INVITE", "tel:+4912345", asserted, diverted) == ToService("acd", "bob")
    with pytest.raises(NotFound):
        setting.route("INVITE", "tel:+4912345", from_="sip:1001@ims.example")
    assert carrier.users == ["alice", "bob"]


@pytest.mark.rfc("TS24.229-5.3.2.1")
def test_what_another_network_sends_to_a_user_goes_to_the_s_cscf() -> None:
    setting = Setting(Carrier())
    decision = setting.route("INVITE", "sip:bob@ims.example", came_from=("198.51.100.9", 5060))
    assert isinstance(decision, Forward)
    (target,) = decision.targets
    assert (target.uri, tuple(target.route)) == ("sip:bob@ims.example", ("<sip:192.0.2.2:5062;lr>",))


@pytest.mark.rfc("3325-5", "TS24.229-5.10.3")
def test_another_network_asserts_its_own_users_only() -> None:
    said = (
        ("P-Asserted-Identity", '"Boss" <sip:1001@ims.example>, <tel:+4912345>, <sip:x@carrier.example>, <'),
        ("P-Served-User", "<sip:1001@ims.example>;orig-cdiv"),
        ("P-Charging-Vector", "icid-value=1"),
        ("Subject", "hello"),
    )
    setting = Setting(Carrier())
    decision = setting.route("INVITE", "sip:bob@ims.example", *said, came_from=("198.51.100.9", 5060))
    assert isinstance(decision, Forward)
    assert decision.request is not None
    assert decision.request.values("P-Asserted-Identity") == ["<tel:+4912345>", "<sip:x@carrier.example>"]
    assert "p-served-user" not in decision.request.keys
    assert "p-charging-vector" not in decision.request.keys
    assert decision.request.get("Subject") == "hello"


@pytest.mark.rfc("3325-7")
def test_another_network_is_not_told_who_answers_and_does_not_want_to_be_known() -> None:
    decision = Setting(Carrier()).route("INVITE", "sip:bob@ims.example", came_from=("198.51.100.9", 5060))
    assert isinstance(decision, Forward)
    assert decision.companion is not None
    told = ("P-Asserted-Identity", "<sip:bob@ims.example>"), ("P-Charging-Function-Addresses", "ccf=x")
    for wish, left in (("none", ["<sip:bob@ims.example>"]), ("id", [])):
        response = Response(200, "OK")
        for name, value in (*told, ("Privacy", wish)):
            response.add(name, value)
        decision.companion.returned(response)
        assert response.values("P-Asserted-Identity") == left
        assert "p-charging-function-addresses" not in response.keys
