"""Registration of subscribers with implicit sets (TS 24.229 5.4.1)."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from ims_core.flow import Flow
from ims_core.messages.message import Request, Response
from ims_core.messages.uri import parse_uri
from ims_core.profiles.model import Registration
from ims_core.registrar.ims import came_as_registered, says_protected
from ims_core.registrar.location import Binding, Removal
from ims_core.registrar.registrations import ContactEvent
from ims_core.security.digest import Unauthorized
from ims_core.subscribers.identities import public_identity
from ims_core.subscribers.subscriber import Password, Subscriber
from tests.kit import Network
from tests.kit.home import (
    ALICE,
    ALICE_IMSI,
    ALICE_TEL,
    BOB,
    MUTE,
    OFFICE,
    SCSCF_ADDRESS,
    SERVICE_ROUTE,
    SUBSCRIBERS,
    Handset,
    Home,
)

rfc = pytest.mark.rfc

PROTECTED = ("Authorization", 'Digest username="alice@ims.example", realm="ims.example", integrity-protected="yes"')


@pytest.fixture
def home() -> Home:
    return Home(Network())


def by_p_cscf(request: Request, flow: Flow, held: Iterable[Binding]) -> bool:
    return says_protected(request)


# Who registers ------------------------------------------------------------------------------------------------------


@rfc("TS24.229-5.4.1.2.2", "7315-4.1")
def test_a_subscriber_registers_his_whole_set_under_its_default_identity(home: Home) -> None:
    alice = Handset(home)
    response = alice.enrol(ALICE)
    assert response.status == 200
    assert response.whole_values("P-Associated-URI") == [f"<{ALICE}>, <{ALICE_TEL}>"]
    assert response.whole_values("Service-Route") == [SERVICE_ROUTE]
    assert home.contacts(ALICE) == [alice.uri]
    for uri in (
        ALICE,
        ALICE_TEL,
        ALICE_IMSI,
        f"{ALICE};user=phone",
        "tel:+86-138-0000-0001",
        "SIP:+8613800000001@IMS.example",
    ):
        assert home.identities.aor_of(parse_uri(uri)) == ALICE
        assert home.identities.is_registered(parse_uri(uri))
        assert [binding.contact for binding in home.identities.bindings(parse_uri(uri))] == [alice.uri]
    assert not home.identities.is_registered("sip:alice.private@ims.example"), "that is another set"


@rfc("TS23.003-13.4B", "TS29.228-6.1.1")
def test_a_phone_without_isim_registers_by_its_barred_identity(home: Home) -> None:
    response = Handset(home).enrol(ALICE_IMSI)
    assert response.status == 200
    assert response.whole_values("P-Associated-URI") == [f"<{ALICE}>, <{ALICE_TEL}>"]
    assert len(home.contacts(ALICE)) == 1
    assert home.contacts(ALICE_IMSI) == []


@rfc("TS24.229-5.3.1.3", "3261-10.3")
@pytest.mark.parametrize(
    ("identity", "status", "refused"),
    [
        (BOB, 403, {"forbidden": 1}),  # of somebody else
        (OFFICE, 403, {"forbidden": 1}),
        ("sip:desk-7@ims.example", 403, {"forbidden": 1}),
        ("sip:nobody@ims.example", 403, {"unknown": 1}),
        ("tel:+8613800000009", 403, {"unknown": 1}),
        ("sip:+8613800000001@elsewhere.example", 403, {"unknown": 1}),
        ("mailto:alice@ims.example", 400, {}),
    ],
)
def test_an_identity_that_is_not_his_is_refused_without_a_challenge(
    home: Home, identity: str, status: int, refused: dict[str, int]
) -> None:
    alice = Handset(home)
    assert alice.enrol(identity).status == status
    assert alice.challenges == []
    assert len(home.location) == 0
    assert home.endpoint.transactions()["server"] == 0, "nothing is kept of a stranger"
    assert home.enrolment.refused == refused


@rfc("TS29.228-6.1.1")
def test_where_every_identity_is_barred_there_is_nothing_to_register(home: Home) -> None:
    assert Handset(home, "mute").enrol(MUTE).status == 403


def test_a_private_identity_of_nobody_is_refused(home: Home) -> None:
    assert Handset(home, "eve").enrol(ALICE).status == 403


@rfc("TS24.229-5.4.1.1")
def test_without_credentials_the_public_identity_tells_whom_to_challenge(home: Home) -> None:
    alice, bob = Handset(home), Handset(home, "bob")
    assert alice.enrol(ALICE, names_itself=False).status == 200
    assert bob.enrol(BOB, names_itself=False).status == 200, "the private identity is derived from the public one"
    assert "algorithm=AKAv1-MD5" in bob.challenges[0]


@rfc("TS24.229-5.4.1.1")
def test_a_subscriber_gets_the_challenge_that_his_credentials_are_for(home: Home) -> None:
    alice, bob = Handset(home), Handset(home, "bob")
    assert alice.enrol(ALICE).status == bob.enrol(BOB).status == 200
    assert [("AKA" in challenge) for challenge in (*alice.challenges, *bob.challenges)] == [False, True]
    assert home.contacts(BOB) == [bob.uri]


def test_a_password_is_not_taken_of_who_has_a_usim(home: Home) -> None:
    bob = Handset(home, "bob")
    answer = (
        'Digest username="bob@ims.example", realm="ims.example", nonce="0", uri="sip:ims.example", response="0", '
        "algorithm=MD5"
    )
    response = bob.send_register(BOB, ("Authorization", answer))
    assert response.status == 401
    assert all("AKA" in challenge for challenge in response.whole_values("WWW-Authenticate"))


@rfc("TS24.229-5.4.1.2.3")
def test_a_wrong_password_is_challenged_again_and_changes_nothing(home: Home) -> None:
    assert Handset(home).enrol(ALICE, password="wrong").status == 401
    assert home.registrar.wrong_credentials == 1
    assert len(home.location) == 0


def test_nobody_registers_with_credentials_of_his_own_under_the_name_of_another(home: Home) -> None:
    carol = Handset(home, "carol")
    carol.challenges = carol.enrol(OFFICE, answers=False).whole_values("WWW-Authenticate")
    as_alice = ("Authorization", 'Digest username="alice@ims.example", realm="ims.example", nonce="", response=""')
    elsewhere = ("Authorization", 'Digest username="alice@ims.example", realm="elsewhere", nonce="", response=""')
    assert carol.send_register(ALICE, as_alice, ("Authorization", carol.answer())).status == 403
    assert carol.send_register(ALICE, elsewhere, ("Authorization", carol.answer())).status == 403
    assert home.contacts(ALICE) == []


# What is registered -------------------------------------------------------------------------------------------------


@rfc("TS24.229-5.4.1.2.2")
def test_a_registration_through_a_p_cscf_keeps_and_repeats_its_path(home: Home) -> None:
    alice = Handset(home)
    path = "<sip:term@192.0.2.9:5060;lr>"
    response = alice.enrol(ALICE, ("Path", path), ("Require", "path"))
    assert response.whole_values("Path") == [path]
    assert home.location.bindings(ALICE)[0].path == (path,)


@rfc("TS24.229-5.4.1.2.2", "3840-6")
def test_the_200_repeats_what_the_phone_said_of_itself(home: Home) -> None:
    alice = Handset(home)
    icsi = "urn%3Aurn-7%3A3gpp-service.ims.icsi.mmtel"
    features = f'+sip.instance="<urn:gsma:imei:35622410-483840-0>";+g.3gpp.icsi-ref="{icsi}";+g.3gpp.smsip;video'
    response = alice.enrol(ALICE, contact=f"<{alice.uri}>;{features};q=0.5")
    assert response.contact is not None
    assert response.contact.params == {
        "expires": "600", "q": "0.5", "+sip.instance": "<urn:gsma:imei:35622410-483840-0>", "+g.3gpp.icsi-ref": icsi,
        "+g.3gpp.smsip": "", "video": "",
    }  # fmt: skip


@rfc("TS24.229-5.4.1.4", "3261-10.2.2")
def test_a_second_contact_and_each_taken_back(home: Home) -> None:
    alice, tablet = Handset(home), Handset(home, "tablet", private="alice@ims.example")
    alice.enrol(ALICE)
    response = tablet.enrol(ALICE_TEL)
    assert len(response.values("Contact")) == 2, "200 lists all contacts of the set"
    tablet.enrol(ALICE, expires=0)
    assert home.contacts(ALICE) == [alice.uri]
    tablet.enrol(ALICE)
    alice.enrol(ALICE, contact="*", expires=0)
    assert home.contacts(ALICE) == []
    assert [change.kind.name for change in home.changes] == ["INITIAL", "RE", "RE", "RE", "DE"]
    assert home.registrations.counts == {"initial": 1, "re": 3, "de": 1}
    assert home.registrations.contacts == {ContactEvent.REGISTERED: 3, ContactEvent.UNREGISTERED: 3}
    assert len(home.registrations) == 0


@rfc("TS23.228-4.3.3.4")
def test_who_share_an_identity_register_under_it_and_each_takes_back_his_own(home: Home) -> None:
    carol, dave = Handset(home, "carol"), Handset(home, "dave")
    assert carol.enrol(OFFICE).status == dave.enrol("sip:desk-12@ims.example").status == 200
    assert home.contacts(OFFICE) == [carol.uri, dave.uri]
    assert {binding.private for binding in home.location.bindings(OFFICE)} == {"carol@ims.example", "dave@ims.example"}
    assert carol.enrol(OFFICE, contact="*", expires=0).status == 200
    assert home.contacts(OFFICE) == [dave.uri], "what dave registered is not carol's to take back"


@rfc("TS23.228-5.2.1a", "TS24.229-5.4.1.2.2")
def test_who_share_an_identity_do_not_touch_the_contacts_of_each_other(home: Home) -> None:
    carol, dave = Handset(home, "carol"), Handset(home, "dave")
    contact = "<sip:office@192.168.1.10>"  # as phones behind two routers have it
    for phone in (carol, dave):
        assert phone.enrol(OFFICE, contact=contact).status == 200
    assert home.contacts(OFFICE) == [contact[1:-1]] * 2
    assert dave.enrol(OFFICE, contact=contact, expires=0).status == 200
    (left,) = home.location.bindings(OFFICE)
    assert left.private == carol.private
    others = ", ".join(f"<sip:office@192.168.1.{number}>" for number in range(20, 30))
    assert dave.enrol(OFFICE, contact=others).status == 200
    assert carol.enrol(OFFICE).status == 200, "nor take the room for them"
    assert dave.enrol(OFFICE).status == 403


@rfc("TS23.003-13.5", "TS24.229-5.4.1.2.2")
def test_a_wildcarded_identity_is_found_by_whatever_it_stands_for(home: Home) -> None:
    response = Handset(home, "carol").enrol("sip:desk-12@ims.example")
    assert response.whole_values("P-Associated-URI") == [f"<{OFFICE}>"]
    assert home.identities.is_registered("sip:desk-99@ims.example")
    assert home.identities.aor_of("sip:desk-99@ims.example") == OFFICE


def test_a_number_known_as_tel_is_registered_as_sip() -> None:
    lone = Subscriber(
        "lone@ims.example",
        Password("sesame"),
        ((public_identity("tel:+861390000"), public_identity("sip:lone@ims.example")),),
    )
    home = Home(Network(), subscribers=[*SUBSCRIBERS, lone])
    assert Handset(home, "lone").enrol("sip:+861390000@ims.example").status == 200
    assert home.contacts("tel:+861390000") != []


# Protected and unprotected (5.4.1.2.1, 5.4.1.2.2) --------------------------------------------------------------------


@rfc("TS24.229-5.4.1.2.1")
def test_an_unprotected_re_registration_is_challenged_and_what_is_bound_stays(home: Home) -> None:
    alice = Handset(home)
    alice.enrol(ALICE)
    before = home.location.bindings(ALICE)[0].expires_at
    home.network.run(100)
    assert alice.enrol(ALICE, answers=False).status == 401
    assert home.location.bindings(ALICE)[0].expires_at == before
    assert alice.enrol(ALICE, contact="*", expires=0, answers=False).status == 401
    assert home.contacts(ALICE) == [alice.uri]
    assert alice.enrol(ALICE).status == 200
    assert home.location.bindings(ALICE)[0].expires_at > before


@rfc("TS24.229-5.4.1.2.1")
def test_what_a_phone_itself_says_of_protection_counts_for_nothing(home: Home) -> None:
    alice = Handset(home)
    alice.enrol(ALICE)
    assert alice.send_register(ALICE, PROTECTED).status == 401


@rfc("TS24.229-5.4.1.2.2")
def test_a_protected_re_registration_needs_no_challenge() -> None:
    home = Home(Network(), is_protected=by_p_cscf)
    alice = Handset(home)
    assert alice.send_register(ALICE, PROTECTED).status == 401, "nothing is registered yet"
    alice.enrol(ALICE)
    assert alice.send_register(ALICE, PROTECTED).status == 200
    assert alice.send_register(ALICE, PROTECTED, contact="<sip:alice@192.0.2.77>").status == 401, "another contact"
    assert alice.send_register(ALICE, PROTECTED, contact="*", expires=0).status == 200
    assert home.contacts(ALICE) == []


@rfc("TS24.229-5.4.1.2.2")
def test_only_the_own_connection_proves_who_registers_again() -> None:
    home = Home(Network(), is_protected=lambda _, flow, held: came_as_registered(flow, held))
    alice, carol = (Flow("TLS", SCSCF_ADDRESS, ("192.0.2.9", 50000 + number), number) for number in (1, 2))
    for flow, aor, name in ((alice, ALICE, "alice"), (carol, OFFICE, "carol")):
        private = f"{name}@ims.example"
        home.location.add(
            Binding(aor, f"sip:{name}@{name}.example;transport=tls", flow, expires_at=600, private=private)
        )
    home.node.settle()

    def by(flow: Flow, contact: str) -> str:
        request = Request("REGISTER", "sip:ims.example")
        for name, value in [
            ("Via", "SIP/2.0/TLS alice.example;branch=z9hG4bK1"),
            ("From", f"<{ALICE}>;tag=1"),
            ("To", f"<{ALICE}>"),
            ("Call-ID", "1"),
            ("CSeq", "1 REGISTER"),
            ("Contact", contact),
            ("Expires", "0"),
            PROTECTED,
        ]:
            request.add(name, value)
        answer = home.registrar.handle(request, flow, 1.0)
        return "challenged" if isinstance(answer, Unauthorized) else str(answer.status)

    theirs = "<sip:alice@alice.example;transport=tls>"
    assert by(carol, "*") == by(carol, theirs) == "challenged"
    assert by(alice._replace(connection=3), theirs) == "challenged", "another connection from the same place"
    assert home.contacts(ALICE) == [theirs[1:-1]]
    assert by(alice, theirs) == "200"
    assert home.contacts(ALICE) == []


@rfc("TS24.229-5.4.1.2.2")
@pytest.mark.parametrize(
    ("word", "protected"),
    [("yes", True), ("tls-yes", True), ("ip-assoc-yes", False), ("no", False), ("tls-pending", False), ("", False)],
)
def test_what_a_p_cscf_says_of_protection(word: str, protected: bool) -> None:
    request = Request("REGISTER", "sip:ims.example")
    request.add("Authorization", f'Digest username="a", realm="r", integrity-protected="{word}"')
    assert says_protected(request) is protected
    request.add("Authorization", 'Digest username="b", realm="r", integrity-protected="no"')
    assert not says_protected(request), "there is no telling of which credentials it is said"


# By the network (5.4.1.5, 5.4.1.6), by time ---------------------------------------------------------------------------


@rfc("TS24.229-5.4.1.5")
def test_the_network_takes_a_set_off(home: Home) -> None:
    alice = Handset(home)
    alice.enrol(ALICE)
    assert home.deregister(ALICE_TEL, Removal.REJECTED) == 1
    assert home.contacts(ALICE) == []
    change = home.changes[-1]
    assert (change.kind, change.cause, change.contacts[0].story.event) == (Registration.DE, None, ContactEvent.REJECTED)
    assert home.deregister(ALICE) == 0
    assert home.deregister("sip:nobody@ims.example") == 0


@rfc("TS24.229-5.4.1.5")
def test_the_network_takes_off_who_is_no_subscriber_any_more() -> None:
    home = Home(Network(), subscribers=())
    home.location.add(Binding(ALICE, "sip:alice@192.0.2.7", expires_at=600.0, private="alice@ims.example"))
    assert home.deregister(ALICE) == 1
    assert home.contacts(ALICE) == []


@rfc("TS24.229-5.4.1.5")
def test_the_network_takes_one_of_those_who_share_off(home: Home) -> None:
    carol, dave = Handset(home, "carol"), Handset(home, "dave")
    carol.enrol(OFFICE)
    dave.enrol(OFFICE)
    assert home.deregister(OFFICE, private="dave@ims.example") == 1
    assert home.contacts(OFFICE) == [carol.uri]


@rfc("TS24.229-5.4.1.4")
def test_time_ends_a_registration(home: Home) -> None:
    alice = Handset(home)
    alice.enrol(ALICE, expires=60)
    home.network.run(62)
    change = home.changes[-1]
    assert (change.kind, change.cause, change.contacts[0].story.event) == (Registration.DE, None, ContactEvent.EXPIRED)
    assert not home.identities.is_registered(ALICE)


@rfc("TS24.229-5.4.1.6")
def test_the_network_asks_for_a_new_proof() -> None:
    home = Home(Network(), is_protected=by_p_cscf)
    alice = Handset(home)
    alice.enrol(ALICE)
    assert home.registrations.reauthenticate(ALICE, 60) == 1
    home.node.settle()
    assert home.changes[-1].contacts[0].story.event is ContactEvent.SHORTENED
    assert alice.send_register(ALICE, PROTECTED).status == 401, "though it is protected"
    assert alice.enrol(ALICE).status == 200
    assert alice.send_register(ALICE, PROTECTED).status == 200
    home.registrations.reauthenticate(ALICE, 60)
    home.network.run(62)
    assert home.contacts(ALICE) == []
    assert not home.registrations.doubts("alice@ims.example")


def test_what_is_restored_after_a_restart_is_no_news(home: Home) -> None:
    alice = Handset(home)
    alice.enrol(ALICE)
    (binding,) = home.location.bindings(ALICE)
    again = Home(Network())
    again.location.add(binding)
    again.node.settle()
    assert again.changes == []
    assert again.identities.is_registered(ALICE)
    again.deregister(ALICE)
    assert [change.kind for change in again.changes] == [Registration.DE]


def test_contacts_fixed_by_configuration_are_no_registrations(home: Home) -> None:
    fixed = Binding(ALICE, "sip:alice@192.0.2.7")
    home.location.add(fixed)
    home.node.settle()
    assert home.deregister(ALICE) == 0
    home.location.remove(fixed, Removal.DEREGISTERED)
    home.node.settle()
    assert home.changes == []
    Handset(home).enrol(ALICE)
    (registered,) = home.location.bindings(ALICE)
    home.location.remove(registered, Removal.DEACTIVATED)
    home.location.add(fixed)
    home.node.settle()
    assert [change.contacts[-1].story.event for change in home.changes[1:]] == [ContactEvent.DEACTIVATED]


def test_a_query_changes_nothing_and_tells_nobody(home: Home) -> None:
    alice = Handset(home)
    alice.enrol(ALICE)
    response = alice.enrol(ALICE, contact=None)
    assert isinstance(response, Response)
    assert len(response.values("Contact")) == 1
    assert len(home.changes) == 1
