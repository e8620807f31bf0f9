"""Calls for emergency services: known by URN and number, taken from anybody, sent to a trunk or another network."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from ims_core.errors import AlternativeService
from ims_core.flow import Flow, format_address
from ims_core.locate.courier import Several
from ims_core.messages.message import Request, Response
from ims_core.messages.parser import parse_message
from ims_core.messages.uri import is_sos
from ims_core.proxy.forking import Target
from ims_core.registrar.location import Domains
from ims_core.roles.emergency import IMS_XML, Emergency, Plan, Step, Told, Way, alternative_service
from ims_core.roles.ims import Ims
from ims_core.transactions.endpoint import AckReceived, CancelReceived, ResponseReceived
from tests.kit import NODE_ADDRESS, Network, Party, Site, request_bytes
from tests.kit.edge import PUBLIC, Edge, Handset

DOMAINS = Domains("ims.example", [format_address(NODE_ADDRESS)])
STRANGER = Flow("UDP", NODE_ADDRESS, ("198.51.100.77", 5060))
PLAN = Plan(
    numbers=frozenset(("110", "119", "*99")),
    services={"sos.fire": "119", "sos.police": "110"},
    country="86",
    reason="Dial <112> & wait",
)
SCHEMA = etree.XMLSchema(etree.parse(Path(__file__).with_name("ims-3gpp.xsd")))
TRUNK = Several(("sip:192.0.2.9",))
PIDF = "--b\r\nContent-Type: application/pidf+xml\r\nContent-ID: <here@ue>\r\n\r\n<presence/>\r\n--b--\r\n"


class Role(Emergency):
    """The role with these ``hops`` to trunks, what was asked of them, and the steps that it told of."""

    def __init__(self, *hops: Several, plan: Plan = PLAN, trusted: str = "") -> None:
        self.asked: list[str] = []
        self.told: list[Told] = []
        self.hops = hops
        super().__init__(
            plan=lambda: plan,
            serves=DOMAINS.serves,
            ways=self._find,
            trusts=lambda flow: flow.remote[0] == trusted,
            own_uri=lambda flow: "sip:pcscf.ims.example" if flow.transport == "UDP" else "",
            on_step=self.told.append,
        )

    def _find(self, called: str, flow: Flow) -> list[Way]:
        self.asked.append(called)
        uri = called if is_sos(called) else f"sip:{called}@trunk"
        return [Way(f"trunk{number}", Target(uri, hop)) for number, hop in enumerate(self.hops)]

    @property
    def steps(self) -> list[Step]:
        return [told.step for told in self.told]


def request(uri: str, method: str = "INVITE", **fields: object) -> Request:
    parsed = parse_message(request_bytes(method, uri, **fields))  # type: ignore[arg-type]
    assert isinstance(parsed, Request)
    return parsed


@pytest.mark.rfc("5031-4.2", "TS24.229-5.2.10.2")
@pytest.mark.parametrize(
    ("uri", "is_one"),
    [
        ("urn:service:sos", True),
        ("URN:Service:SOS.Fire", True),
        ("urn:service:sos.country-specific.cn.122", True),
        ("urn:service:sosimilar", False),
        ("urn:service:counseling", False),
        ("urn:service:test.sos", False),
        ("urn:uuid:110", False),
        ("tel:110", True),
        ("tel:1-1.0", True),
        ("tel:110;phone-context=+86", True),
        ("tel:110;phone-context=+86-10", True),
        ("tel:110;phone-context=ims.example", True),
        ("tel:110;phone-context=+1", False),
        ("tel:1100", False),
        ("tel:+86110", False),
        ("sip:110@ims.example", True),
        ("sip:110@IMS.example;user=phone", True),
        ("sip:%31%310@ims.example", True),
        ("sip:1-1-0@ims.example;user=phone", True),
        ("sip:110;phone-context=+86@ims.example;user=phone", True),
        ("sip:110;phone-context=+49@ims.example;user=phone", False),
        (f"sips:110@{format_address(NODE_ADDRESS)}", True),
        ("sip:*99@ims.example", True),
        ("sip:110@elsewhere.example", False),
        ("sip:112@ims.example", False),
        ("sip:ims.example", False),
        ("sip:110@ims.example?Subject=x", False),
        ("http://110", False),
    ],
)
def test_what_is_a_request_for_an_emergency_service(uri: str, is_one: bool) -> None:
    assert Role().concerns(request(uri)) is is_one


@given(st.text(alphabet="urnsevico:tlphx10@.;=+-%*/ imsemple\n\x00é", max_size=40))
def test_nothing_that_may_stand_in_a_request_uri_does_any_harm(uri: str) -> None:
    came = request("sip:bob@ims.example")
    came.uri = uri
    assert Role().concerns(came) in {True, False}


def test_112_is_one_when_it_is_listed_and_without_numbers_only_urns_are() -> None:
    assert Role(plan=Plan(numbers=frozenset(("112",)))).concerns(request("tel:112"))
    bare = Role(plan=Plan())
    assert not bare.concerns(request("tel:110"))
    assert bare.concerns(request("urn:service:sos"))
    assert Role(plan=Plan(numbers=frozenset(("110",)))).concerns(request("tel:110;phone-context=+1")), "no country"


@pytest.mark.rfc("5031-4.2")
@pytest.mark.parametrize(
    ("uri", "called"),
    [
        ("urn:service:sos", "urn:service:sos"),
        ("URN:service:sos.ambulance", "URN:service:sos.ambulance"),
        ("urn:service:sos.FIRE", "119"),
        ("urn:service:sos.fire.forest", "119"),
        ("tel:110", "110"),
        ("sip:110@ims.example", "110"),
    ],
)
def test_a_trunk_is_called_by_the_urn_or_by_the_number_that_stands_for_it(uri: str, called: str) -> None:
    role = Role(TRUNK)
    came = request(uri)
    forward = role.decide(came, STRANGER)
    assert forward is not None
    assert role.asked == [called]
    (target,) = forward.targets
    assert (target.uri, target.flow) == (called if is_sos(called) else f"sip:{called}@trunk", TRUNK)
    service = uri if is_sos(uri) else called
    assert role.told == [Told(Step.CALLED, came, STRANGER, service, "trunk0")]


def test_other_requests_and_registrations_are_not_decided_about() -> None:
    role = Role()
    assert role.decide(request("sip:bob@ims.example"), STRANGER) is None
    assert role.decide(request("sip:110@ims.example", "REGISTER"), STRANGER) is None
    assert role.told == []


@pytest.mark.rfc("3325-5", "TS24.229-5.2.10.2")
@pytest.mark.parametrize("trusted", [True, False])
def test_strangers_assert_nobody_and_what_came_is_not_edited(trusted: bool) -> None:
    role = Role(TRUNK, trusted=STRANGER.remote[0] if trusted else "")
    headers = [("P-Asserted-Identity", "<tel:+8610>"), ("P-Preferred-Identity", "<tel:+8611>"), ("Geolocation", "<x>")]
    came = request("urn:service:sos", headers=headers)
    forward = role.decide(came, STRANGER)
    assert forward is not None
    assert forward.request is not None
    assert ("P-Asserted-Identity" in forward.request) is trusted
    assert forward.request.get("Geolocation") == "<x>"
    assert came.get("P-Asserted-Identity") == "<tel:+8610>"


@pytest.mark.rfc("TS24.229-7.6.2", "3261-21.3.5")
def test_the_body_that_sends_a_handset_to_another_network_is_valid() -> None:
    SCHEMA.assertValid(tree := etree.fromstring(alternative_service("Dial <112> & wait")))
    assert tree.get("version") == "1"
    assert tree.findtext("alternative-service/type") == "emergency"
    assert tree.findtext("alternative-service/reason") == "Dial <112> & wait"
    assert tree.find("alternative-service/action") is None
    assert not SCHEMA.validate(etree.fromstring("<ims-3gpp><alternative-service/></ims-3gpp>"))


@pytest.mark.rfc("TS24.229-5.2.10.5")
@pytest.mark.parametrize(
    ("uri", "contact"),
    [
        ("urn:service:sos.mountain", "<urn:service:sos.mountain>"),
        ("tel:110", "<urn:service:sos.police>"),
        ("tel:*99", "<urn:service:sos>"),
    ],
)
def test_without_a_way_the_handset_is_told_which_service_and_by_whom(uri: str, contact: str) -> None:
    role = Role()
    with pytest.raises(AlternativeService) as caught:
        role.decide(request(uri), STRANGER)
    assert dict(caught.value.headers) == {"Contact": contact, "P-Asserted-Identity": "<sip:pcscf.ims.example>"}
    assert caught.value.content_type == IMS_XML
    with pytest.raises(AlternativeService) as caught:
        role.decide(request(uri), STRANGER._replace(transport="TCP"))
    assert dict(caught.value.headers) == {"Contact": contact}
    assert role.steps == [Step.DIVERTED] * 2


class Scene:
    """A caller whom nobody knows, the node, and so many trunks, each of so many servers."""

    def __init__(self, *servers: int) -> None:
        self.network = Network()
        self.site = Site(self.network)
        self.trunks = [
            [Party(self.network, f"{trunk}.{number}") for number in range(many)] for trunk, many in enumerate(servers)
        ]
        self.role = Role(*map(self.hop, self.trunks))
        router = self.site.node._router
        assert isinstance(router, Ims)
        router.emergency = self.role
        self.site.node.door.is_emergency = self.role.concerns
        self.caller = Party(self.network, "caller")

    @staticmethod
    def hop(trunk: list[Party]) -> Several:
        return Several(tuple(f"sip:{format_address(server.address)}" for server in trunk), or_else=True)

    def send(self, uri: str = "urn:service:sos", method: str = "INVITE", **fields: object) -> None:
        data = request(uri, method, **fields)
        data.remove("Via")
        self.invite = self.caller.endpoint.request(data, self.caller.flow(NODE_ADDRESS), None)
        self.network.run(0.1)

    def caller_says(self, method: str) -> None:
        """Send something within the dialog that the last response made."""
        contact = self.last.contact
        assert contact is not None
        routes = [("Route", route) for route in reversed(self.last.values("Record-Route"))]
        to = self.last.require("To")
        within = request(contact.uri_text, method, to=to, headers=routes, cseq=1 if method == "ACK" else 2)
        within.remove("Via")
        if method == "ACK":
            self.caller.endpoint.send_ack(within, self.caller.flow(NODE_ADDRESS))
        else:
            self.caller.endpoint.request(within, self.caller.flow(NODE_ADDRESS), None)
        self.network.run(0.1)

    def heard(self, trunk: int = 0, server: int = 0) -> list[Request]:
        return [event.request for event in self.trunks[trunk][server].requests]

    def reply(self, status: int, trunk: int = 0, server: int = 0, headers: tuple[tuple[str, str], ...] = ()) -> None:
        party = self.trunks[trunk][server]
        asked = party.requests[-1]
        if status == 200:
            routes = [("Record-Route", route) for route in asked.request.values("Record-Route")]
            headers = (("Contact", f"<sip:psap@{format_address(party.address)}>"), *routes)
        party.endpoint.reply(asked.transaction, status, headers=headers, to_tag=f"t{trunk}{server}")
        self.network.run(0.1)

    @property
    def finals(self) -> list[int | str]:
        return [status for status in self.caller.statuses if isinstance(status, str) or status >= 200]

    @property
    def last(self) -> Response:
        return [event.response for event in self.caller.events if isinstance(event, ResponseReceived)][-1]

    def finish(self) -> None:
        self.network.run()
        self.site.assert_idle()


@pytest.mark.rfc("3261-16.5", "TS24.229-5.2.10.2")
def test_a_stranger_is_forwarded_as_he_calls_with_his_location() -> None:
    scene = Scene(1)
    headers = [
        ("Geolocation", "<cid:here@ue>"), ("Geolocation-Routing", "yes"), ("Supported", "geolocation"),
        ("Route", "<sip:203.0.113.1;lr>"), ("Content-Type", "multipart/mixed;boundary=b"),
    ]  # fmt: skip
    scene.send("URN:service:sos.Mountain", headers=headers, body=PIDF.encode())
    (heard,) = scene.heard()
    assert heard.uri == "URN:service:sos.Mountain"
    assert (heard.get("Geolocation"), heard.get("Geolocation-Routing")) == ("<cid:here@ue>", "yes")
    assert (heard.get("Content-Type"), heard.body) == ("multipart/mixed;boundary=b", PIDF.encode())
    assert "Route" not in heard
    scene.reply(180)
    scene.reply(200)
    assert scene.caller.statuses == [100, 180, 200]
    assert scene.role.steps == [Step.CALLED, Step.ANSWERED]
    scene.caller_says("ACK")
    (ack,) = [event for event in scene.trunks[0][0].events if isinstance(event, AckReceived)]
    psap = f"sip:psap@{format_address(scene.trunks[0][0].address)}"
    assert ack.request.uri == psap
    scene.caller_says("BYE")
    assert (scene.heard()[-1].method, scene.heard()[-1].uri) == ("BYE", psap)
    scene.reply(200)
    scene.finish()


@pytest.mark.rfc("3263-4.3")
def test_the_next_server_and_the_next_trunk_are_tried_until_one_serves() -> None:
    scene = Scene(2, 1, 1)
    scene.send("tel:110")
    scene.reply(503)
    assert [heard.uri for heard in scene.heard(0, 1)] == ["sip:110@trunk"]
    scene.network.run(5.0)  # silent: not even a 100
    assert [heard.uri for heard in scene.heard(1)] == ["sip:110@trunk"]
    scene.reply(404, 1)
    scene.reply(200, 2)
    assert scene.finals == [200]
    assert [(told.step, told.way, told.status, told.onto) for told in scene.role.told] == [
        (Step.CALLED, "trunk0", 0, ""),
        (Step.FAILED_OVER, "trunk0", 408, "trunk1"),
        (Step.FAILED_OVER, "trunk1", 404, "trunk2"),
        (Step.ANSWERED, "trunk2", 0, ""),
    ]


@pytest.mark.rfc("TS24.229-5.2.10.5", "3261-16.7")
@pytest.mark.parametrize("status", [0, 403, 407, 408, 480, 500, 503, 600])
def test_when_no_trunk_serves_the_handset_is_sent_to_the_other_network(status: int) -> None:
    scene = Scene(1, 1)
    scene.send("urn:service:sos.fire.forest")
    for trunk in (0, 1):
        if status:
            scene.reply(status, trunk, headers=(("Retry-After", "30"),))
        else:
            scene.network.run(5.0)
    assert scene.finals == [380]
    SCHEMA.assertValid(etree.fromstring(scene.last.body))
    assert scene.last.get("Content-Type") == IMS_XML
    assert scene.last.get("Contact") == "<urn:service:sos.fire.forest>"
    assert scene.last.get("P-Asserted-Identity") == "<sip:pcscf.ims.example>"
    assert "Retry-After" not in scene.last
    assert scene.role.steps == [Step.CALLED, Step.FAILED_OVER, Step.DIVERTED]
    scene.finish()


@pytest.mark.parametrize("status", [302, 380, 486])
def test_what_the_service_itself_says_is_passed_back(status: int) -> None:
    scene = Scene(1)
    scene.send()
    scene.reply(status, headers=(("Contact", "<sip:other@192.0.2.99>"),))
    assert scene.finals == [status]
    assert scene.role.steps == [Step.CALLED, Step.REFUSED]
    scene.finish()


def test_once_it_rang_no_other_way_is_tried() -> None:
    scene = Scene(1, 1)
    scene.send()
    scene.reply(180)
    scene.reply(480)
    assert scene.finals == [480]
    assert scene.role.told[-1].status == 480
    assert scene.heard(1) == []
    scene.finish()


@pytest.mark.rfc("3261-9.1")
def test_a_caller_who_hangs_up_cancels_and_that_is_told() -> None:
    scene = Scene(1, 1)
    scene.send()
    scene.reply(180)
    scene.caller.endpoint.cancel(scene.invite)
    scene.network.run(0.1)
    assert any(isinstance(event, CancelReceived) for event in scene.trunks[0][0].events)
    scene.reply(487)
    assert scene.finals == [487]
    assert scene.role.steps == [Step.CALLED, Step.CANCELLED]
    scene.finish()


@pytest.mark.parametrize(("method", "status"), [("MESSAGE", 202), ("OPTIONS", 200), ("FROB", 501)])
def test_other_requests_go_there_as_well(method: str, status: int) -> None:
    scene = Scene(1)
    scene.send(method=method)
    (heard,) = scene.heard()
    assert (heard.method, heard.uri) == (method, "urn:service:sos")
    scene.reply(status)
    assert scene.finals == [status]
    scene.finish()


@pytest.mark.parametrize("register", [True, False])
def test_without_a_trunk_a_380_leaves_nothing_behind_and_nobody_is_asked_for_a_password(register: bool) -> None:
    scene = Scene()
    if register:
        alice = scene.site.phone("alice")
        leg = alice.call("tel:110", sdp=b"offer")
        scene.network.run(1.0)
        assert leg is not None
        assert alice.statuses[-1] == 380
    else:
        scene.send()
        assert scene.finals == [380]
        SCHEMA.assertValid(etree.fromstring(scene.last.body))
        assert scene.site.endpoint.transactions()["server"] == 0
    scene.finish()


# At a P-CSCF before a core


@pytest.mark.rfc("TS24.229-5.2.10.5", "TS24.229-5.1.6.8")
def test_the_380_is_by_the_p_cscf_that_the_path_of_the_registration_named() -> None:
    edge = Edge(emergency=Role())
    handset = Handset(edge.network, "ue1")
    edge.register(handset)
    (path,) = edge.at_core().values("Path")
    handset.ask("INVITE", "urn:service:sos")
    assert handset.last.status == 380
    assert handset.last.get("P-Asserted-Identity") == path
    SCHEMA.assertValid(etree.fromstring(handset.last.body))


@pytest.mark.rfc("TS24.229-5.2.10.2", "TS24.229-5.2.10.3")
def test_a_p_cscf_forwards_for_anybody_and_says_who_it_is_where_that_is_known() -> None:
    edge = Edge(emergency=(role := Role()))
    psap = Party(edge.network, "psap")
    role.hops = (Scene.hop([psap]),)
    handset, stranger = edge.handset("ue1"), Handset(edge.network, "stranger")
    headers = [("P-Asserted-Identity", "<tel:110>"), ("P-Access-Network-Info", "3GPP-E-UTRAN-FDD")]
    for caller in (handset, stranger):
        caller.ask("INVITE", "urn:service:sos.fire", headers=headers, call_id=caller.name)
    known, unknown = [event.request for event in psap.requests]
    assert known.values("P-Asserted-Identity") == [f"<{PUBLIC}>"]
    assert "P-Asserted-Identity" not in unknown
    assert known.get("P-Access-Network-Info") == unknown.get("P-Access-Network-Info") == "3GPP-E-UTRAN-FDD"
    stranger.ask("INVITE", "sip:bob@home.example", call_id="ordinary")
    assert stranger.last.status == 403
