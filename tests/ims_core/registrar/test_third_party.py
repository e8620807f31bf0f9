"""Third-party registration with application servers (TS 24.229 5.4.1.7)."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from lxml import etree

from ims_core.messages.message import Request
from ims_core.messages.multipart import Enclosed, Part, join_multipart, split_multipart
from ims_core.messages.parser import parse_message
from ims_core.profiles.model import (
    Criterion,
    DefaultHandling,
    Form,
    Method,
    Registration,
    Server,
    ServicePointTrigger,
    ServiceProfile,
    Trigger,
)
from ims_core.registrar.third_party import Told
from ims_core.transactions.endpoint import Event, RequestReceived
from tests.kit import Network, Party
from tests.kit.home import ALICE, ALICE_TEL, DESKS, OFFICE, SCSCF, Handset, Home

rfc = pytest.mark.rfc
DE, RE, INITIAL = Registration.DE, Registration.RE, Registration.INITIAL


def register(*kinds: Registration, method: str = "REGISTER") -> Trigger:
    return Trigger(Form.DISJUNCTIVE, ((ServicePointTrigger(Method(method, frozenset(kinds))),),))


class Scene:
    """Alice's home network with an application server for each criterion of her profile."""

    def __init__(self, *criteria: Callable[[str], Criterion], profile: str = "voice") -> None:
        self.network = Network()
        self.servers = [Party(self.network, f"as{number}", answers=(200,)) for number in range(len(criteria))]
        made = tuple(make(f"sip:{server.address[0]}") for make, server in zip(criteria, self.servers, strict=True))
        self.home = Home(self.network, profiles=[ServiceProfile(profile, made)])
        self.told: list[Told] = []
        self.home.third_parties.on_told = self.told.append
        self.alice = Handset(self.home)

    def requests(self, server: int = 0) -> list[Request]:
        return [event.request for event in self.servers[server].requests]


def always(uri: str) -> Criterion:
    return Criterion(0, Server(uri))


def for_registration(*kinds: Registration, priority: int = 0, **options: object) -> Callable[[str], Criterion]:
    return lambda uri: Criterion(priority, Server(uri, **options), register(*kinds))  # type: ignore[arg-type]


@rfc("TS24.229-5.4.1.7")
def test_a_server_hears_of_the_first_the_next_and_the_last_registration() -> None:
    scene = Scene(for_registration())
    scene.alice.enrol(ALICE, ("P-Access-Network-Info", "3GPP-E-UTRAN-FDD"), ("P-Visited-Network-ID", "ims.example"))
    scene.network.run(100)
    scene.alice.enrol(ALICE, expires=300)
    scene.alice.enrol(ALICE, expires=0)
    first, second, last = scene.requests()
    assert first.uri == f"sip:{scene.servers[0].address[0]}"
    assert first.from_.uri_text == SCSCF
    assert first.contact is not None
    assert first.contact.uri_text == SCSCF
    assert [request.to.uri_text for request in scene.requests()] == [ALICE] * 3
    assert [request.get("Expires") for request in scene.requests()] == ["600", "300", "0"]
    assert first.get("P-Access-Network-Info") == "3GPP-E-UTRAN-FDD"
    assert first.get("P-Visited-Network-ID") == "ims.example"
    assert len({(request.call_id, request.from_tag) for request in scene.requests()}) == 1
    assert [request.cseq.number for request in (first, second, last)] == [1, 2, 3]
    assert [(told.identity, told.kind, told.status) for told in scene.told] == [
        (ALICE, kind, 200) for kind in (INITIAL, RE, DE)
    ]
    assert scene.home.third_parties.counts == {"accepted": 3}
    scene.alice.enrol(ALICE)
    assert scene.requests()[-1].call_id != first.call_id, "this is another registration"


@rfc("3261-10.3", "TS24.229-5.4.1.7")
def test_no_late_copy_of_the_last_word_undoes_a_registration_that_follows() -> None:
    scene = Scene(for_registration())
    scene.alice.enrol(ALICE)
    refusing(None)(scene.servers[0])
    scene.alice.enrol(ALICE, expires=0)
    scene.alice.enrol(ALICE)
    scene.network.run(40)
    first, last, again = scene.requests()
    assert len({request.call_id for request in (first, last, again)}) == 1
    assert [request.cseq.number for request in (first, last, again)] == [1, 2, 3]
    assert scene.home.third_parties._lines.keys() == {ALICE}
    scene.alice.enrol(ALICE, expires=0)
    scene.network.run(40)
    assert scene.home.third_parties._lines == {}


def test_nothing_is_kept_for_servers_that_do_not_hear_of_the_end() -> None:
    scene = Scene(for_registration(INITIAL))
    scene.alice.enrol(ALICE)
    scene.alice.enrol(ALICE, expires=0)
    assert scene.home.third_parties._lines == {}


@rfc("TS24.229-5.4.1.7")
def test_it_is_told_after_the_200_and_not_of_challenges() -> None:
    scene = Scene(for_registration())
    scene.alice.enrol(ALICE)
    wire = scene.network.wire()
    assert wire == ["REGISTER", "401 REGISTER", "REGISTER", "200 REGISTER", "REGISTER", "200 REGISTER"]


@rfc("TS24.229-5.4.1.7", "TS29.228-B.2.3")
@pytest.mark.parametrize(
    ("kinds", "heard"),
    [((INITIAL,), ["600"]), ((RE,), ["600"]), ((DE,), ["0"]), ((INITIAL, DE), ["600", "0"]), ((), ["600", "600", "0"])],
)
def test_a_criterion_may_be_for_some_registrations_only(kinds: tuple[Registration, ...], heard: list[str]) -> None:
    scene = Scene(for_registration(*kinds))
    scene.alice.enrol(ALICE)
    scene.alice.enrol(ALICE)
    scene.alice.enrol(ALICE, expires=0)
    assert [request.get("Expires") for request in scene.requests()] == heard


@rfc("TS24.229-5.4.1.7")
def test_all_criteria_that_match_are_served_in_the_order_of_their_priorities() -> None:
    scene = Scene(
        for_registration(priority=1), lambda uri: Criterion(2, Server(uri), register(method="INVITE")), always_at(3)
    )
    scene.alice.enrol(ALICE)
    assert [len(scene.requests(number)) for number in range(3)] == [1, 0, 1]
    assert [told.server.uri for told in scene.told] == [f"sip:{scene.servers[n].address[0]}" for n in (0, 2)]


def always_at(priority: int) -> Callable[[str], Criterion]:
    return lambda uri: Criterion(priority, Server(uri))


@rfc("TS24.229-5.4.1.7")
def test_to_names_an_identity_that_has_the_profile() -> None:
    scene = Scene(always)
    scene.alice.enrol(ALICE_TEL)
    assert [request.to.uri_text for request in scene.requests()] == [ALICE_TEL], "the one that was registered"
    office = Scene(always, profile="office")
    Handset(office.home, "carol").enrol("sip:desk-1@ims.example")
    assert [request.to.uri_text for request in office.requests()] == [OFFICE], "that one has another profile"
    desks = Scene(always, profile="desks")
    Handset(desks.home, "carol").enrol(OFFICE)
    assert desks.requests() == [], f"{DESKS} is nobody's To"
    Handset(desks.home, "carol").enrol("sip:desk-1@ims.example")
    desks.home.deregister(OFFICE)
    desks.network.run(0.1)
    assert [request.to.uri_text for request in desks.requests()] == ["sip:desk-1@ims.example"] * 2


@rfc("TS24.229-5.4.1.7")
def test_to_stays_the_same_whichever_identity_is_registered_next() -> None:
    scene = Scene(always)
    scene.alice.enrol(ALICE_TEL)
    scene.alice.enrol(ALICE)
    scene.alice.enrol(ALICE, expires=0)
    assert [request.to.uri_text for request in scene.requests()] == [ALICE_TEL] * 3


@rfc("TS24.229-5.4.1.7", "TS24.229-7.6")
def test_service_information_goes_along_but_not_with_the_last_word() -> None:
    scene = Scene(for_registration(service_info="<pbx>7</pbx>"))
    scene.alice.enrol(ALICE)
    scene.alice.enrol(ALICE, expires=0)
    first, last = scene.requests()
    assert first.get("Content-Type") == "application/3gpp-ims+xml"
    root = etree.fromstring(first.body)
    assert (root.tag, root.get("version"), [(child.tag, child.text) for child in root]) == (
        "ims-3gpp", "1", [("service-info", "<pbx>7</pbx>")]
    )  # fmt: skip
    assert (last.get("Content-Type"), last.body) == (None, b"")


@rfc("TS24.229-5.4.1.7", "5621-3.1")
def test_a_server_may_see_the_registration_itself() -> None:
    scene = Scene(
        for_registration(service_info="x", include_register_request=True, include_register_response=True),
        for_registration(priority=1, include_register_request=True),
    )
    scene.alice.enrol(ALICE)
    content_type = scene.requests()[0].require("Content-Type")
    assert content_type.startswith("multipart/mixed;boundary=")
    parts = split_multipart(content_type, scene.requests()[0].body)
    assert [part.headers["content-type"] for part in parts] == [
        "application/3gpp-ims+xml",
        "message/sip",
        "message/sip",
    ]
    request, response = (parse_message(part.body, datagram=False) for part in parts[1:])
    assert isinstance(request, Request)
    assert (request.to.uri_text, response.status) == (ALICE, 200)  # type: ignore[union-attr]
    assert response.contact is not None
    assert response.contact.uri_text == scene.alice.uri
    (alone,) = scene.requests(1)
    assert alone.get("Content-Type") == "message/sip"
    assert alone.body == request.encode()


@rfc("2046-5.1.1")
def test_bodies_of_several_parts_are_taken_apart_again() -> None:
    parts = [
        Enclosed("text/plain", b"one\r\n"),
        Enclosed("message/sip", b"", "render"),
        Enclosed("text/plain", b"--two"),
    ]
    content_type, body = join_multipart(parts, "b0undary")
    assert split_multipart(content_type, body) == [
        Part({"content-type": "text/plain"}, b"one\r\n"),
        Part({"content-type": "message/sip", "content-disposition": "render"}, b""),
        Part({"content-type": "text/plain"}, b"--two"),
    ]


# When a server fails --------------------------------------------------------------------------------------------------


def refusing(status: int | None) -> Callable[[Party], None]:
    def prepare(server: Party) -> None:
        server.answers = () if status is None else (status,)

    return prepare


@rfc("TS24.229-5.4.1.7")
@pytest.mark.parametrize("handling", DefaultHandling)
@pytest.mark.parametrize(
    ("status", "fails"), [(None, True), (408, True), (500, True), (503, True), (403, False), (423, False), (603, False)]
)
def test_a_user_is_taken_off_where_he_is_not_to_be_served_without_his_server(
    handling: DefaultHandling, status: int | None, fails: bool
) -> None:
    scene = Scene(for_registration(default_handling=handling))
    refusing(status)(scene.servers[0])
    scene.alice.enrol(ALICE)
    scene.network.run(40)
    terminates = fails and handling is DefaultHandling.SESSION_TERMINATED
    assert scene.home.contacts(ALICE) == ([] if terminates else [scene.alice.uri])
    assert [change.kind for change in scene.home.changes] == [INITIAL, *([DE] if terminates else [])]
    assert scene.told[0].status == (status or 408)
    assert scene.told[0].has_failed is fails
    assert set(scene.home.third_parties.counts) == {"failed" if fails else "refused"}
    scene.network.run(100)
    scene.home.assert_idle()


@rfc("TS24.229-5.4.1.7")
def test_a_server_that_nobody_can_reach_has_failed() -> None:
    network = Network()
    server = Server("sip:as@server.invalid", DefaultHandling.SESSION_TERMINATED)
    home = Home(network, profiles=[ServiceProfile("voice", (Criterion(0, server, register(INITIAL)),))])
    Handset(home).enrol(ALICE)
    network.run(40)
    assert home.contacts(ALICE) == []


@rfc("TS24.229-5.4.1.7")
def test_the_last_word_to_a_server_that_fails_has_no_consequence() -> None:
    scene = Scene(for_registration(DE, default_handling=DefaultHandling.SESSION_TERMINATED))
    refusing(500)(scene.servers[0])
    scene.alice.enrol(ALICE)
    scene.alice.enrol(ALICE, expires=0)
    scene.alice.enrol(ALICE)
    scene.network.run(40)
    assert scene.home.contacts(ALICE) == [scene.alice.uri]


# Without a REGISTER ---------------------------------------------------------------------------------------------------


@rfc("TS24.229-5.4.1.5", "TS24.229-5.4.1.7")
@pytest.mark.parametrize("by", ["time", "network"])
def test_a_server_hears_of_a_registration_that_ends_by_itself(by: str) -> None:
    scene = Scene(for_registration(include_register_request=True))
    scene.alice.enrol(ALICE, expires=60)
    if by == "network":
        scene.home.deregister(ALICE)
    scene.network.run(62)
    last = scene.requests()[-1]
    assert (len(scene.requests()), last.get("Expires"), last.to.uri_text, last.body) == (2, "0", ALICE, b"")


def test_one_contact_of_two_that_goes_by_itself_is_no_news_to_servers() -> None:
    scene = Scene(for_registration())
    scene.alice.enrol(ALICE, expires=600)
    Handset(scene.home, "tablet", private="alice@ims.example").enrol(ALICE, expires=60)
    scene.network.run(70)
    assert [request.get("Expires") for request in scene.requests()] == ["600", "600"]


def test_services_of_the_same_process_need_not_be_told() -> None:
    network = Network()
    heard: list[Event] = []
    server = Party(network, "as")
    server.react = heard.append
    profile = ServiceProfile("voice", (Criterion(0, Server(f"sip:{server.address[0]}")),))
    home = Home(network, profiles=[profile], is_here=lambda uri: uri == profile.criteria[0].server.uri)
    Handset(home).enrol(ALICE)
    assert not any(isinstance(event, RequestReceived) for event in heard)
