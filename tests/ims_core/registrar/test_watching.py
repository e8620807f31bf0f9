"""The reg event package of an S-CSCF (TS 24.229 5.4.2.1, RFC 3680): who is told what, and when."""

from __future__ import annotations

import pytest
from lxml import etree

from ims_core.profiles.model import Criterion, Server, ServiceProfile
from ims_core.registrar.location import Removal
from ims_core.ua.event_headers import Event
from ims_core.ua.reg_info import REGINFO
from ims_core.ua.subscriber import Notified, Subscriber, SubscriberEvent, Unsubscribed, Wish
from tests.ims_core.ua.test_reg_info import read, tag
from tests.kit import Network, Phone
from tests.kit.home import ALICE, ALICE_IMSI, ALICE_TEL, BOB, DESKS, OFFICE, SCSCF_ADDRESS, Handset, Home

rfc = pytest.mark.rfc
PATH = "<sip:term@192.0.2.9:5060;lr>"
P_CSCF = "sip:192.0.2.9"
SERVER = "sip:as.example:5064"
PROFILES = (ServiceProfile("voice", (Criterion(0, Server("sip:mmtel@as.example:5064;lr")),)),)


class Watcher:
    """Somebody who watches, as ``identity``; ``documents`` are the bodies that came, each of which must be valid."""

    def __init__(
        self, home: Home, phone: Phone, identity: str, target: str = ALICE, *, expires: int = 3600, wait: float = 0.3
    ) -> None:
        self.home = home
        self.told: list[SubscriberEvent] = []
        wish = Wish(target, Event("reg", "", {}), (REGINFO,), f"<{identity}>", expires)
        assert phone.proxy is not None
        self.subscriber = Subscriber(phone.ua, phone.proxy, wish, self.told.append)
        self.subscriber.start()
        home.network.run(wait)

    @property
    def notified(self) -> list[Notified]:
        return [event for event in self.told if isinstance(event, Notified)]

    @property
    def documents(self) -> list[etree._Element]:
        return [read(event.body) for event in self.notified]

    @property
    def states(self) -> list[str]:
        """Of each document what it is, and of each registration the states and the events of its contacts."""
        return [f"{each.get('version')} {each.get('state')}: {'; '.join(map(said, each))}" for each in self.documents]

    @property
    def end(self) -> str:
        return str(self.notified[-1].state)


def said(registration: etree._Element) -> str:
    events = [f"{contact.get('state')} {contact.get('event')}" for contact in registration.iter(tag("contact"))]
    return f"{registration.get('aor')} {registration.get('state')} [{', '.join(events)}]"


@pytest.fixture
def home() -> Home:
    return Home(Network(), profiles=PROFILES)


def watched(home: Home) -> tuple[Handset, Watcher]:
    alice = Handset(home)
    alice.enrol(ALICE)
    return alice, Watcher(home, alice, ALICE)


# What is told -------------------------------------------------------------------------------------------------------


@rfc("TS24.229-5.4.2.1.1", "6665-4.2.1.2")
def test_the_first_notify_follows_the_200_and_tells_all(home: Home) -> None:
    _, watcher = watched(home)
    assert home.network.wire(by=SCSCF_ADDRESS)[-2:] == ["200 SUBSCRIBE", "NOTIFY"]
    assert watcher.states == [f"0 full: {ALICE} active [active registered]; {ALICE_TEL} active [active created]"]
    assert watcher.notified[0].content_type == REGINFO
    assert watcher.notified[0].state.expires == 3600


@rfc("TS24.229-5.4.2.1.1")
@pytest.mark.parametrize("transport", ["UDP", "TCP"])
@pytest.mark.parametrize("change_at", [0.0, 0.0005, 0.001, 0.0011, 0.0015, 0.002, 0.003])
def test_no_notify_is_ever_sent_before_the_200(transport: str, change_at: float) -> None:
    """Not even when the registration changes at the very time."""
    home = Home(Network())
    alice = Handset(home, transport=transport)
    tablet = Handset(home, "tablet", private="alice@ims.example", transport=transport)
    alice.enrol(ALICE)
    tablet.enrol(ALICE)
    home.network.call_later(change_at, lambda: home.registrations.reauthenticate(ALICE, 60))
    home.network.call_later(change_at, home.node.settle)
    home.network.call_later(change_at + 0.0001, lambda: home.deregister(ALICE))
    watchers = [Watcher(home, phone, ALICE, wait=0.0) for phone in (alice, tablet)]
    home.network.run(40)
    statuses: dict[str, str] = {}
    for packet in home.network.sent:
        if packet.flow.local == SCSCF_ADDRESS and packet.summary.endswith(" SUBSCRIBE"):
            statuses[packet.message.call_id] = packet.summary
        elif packet.summary == "NOTIFY":
            assert statuses[packet.message.call_id] == "200 SUBSCRIBE"
    in_time = change_at >= 0.001
    assert set(statuses.values()) == {"200 SUBSCRIBE" if in_time else "480 SUBSCRIBE"}
    assert all(watcher.end == "terminated;reason=noresource" for watcher in watchers if in_time)


@rfc("3680-5.2", "3680-4.8")
def test_each_change_is_told_with_the_next_version(home: Home) -> None:
    alice, watcher = watched(home)
    home.network.run(10)
    alice.enrol(ALICE)
    home.network.run(10)
    tablet = Handset(home, "tablet", private="alice@ims.example")
    tablet.enrol(ALICE_TEL)
    home.network.run(10)
    tablet.enrol(ALICE, expires=0)
    home.network.run(10)
    assert watcher.states[1:] == [
        f"1 partial: {ALICE} active [active refreshed]; {ALICE_TEL} active [active refreshed]",
        f"2 partial: {ALICE} active [active created]; {ALICE_TEL} active [active registered]",
        f"3 partial: {ALICE} active [terminated unregistered]; {ALICE_TEL} active [terminated unregistered]",
    ]
    ids = [[element.get("id") for element in document.iter() if element.get("id")] for document in watcher.documents]
    assert ids[0] == ids[1], "who was told of before has the same name"
    assert ids[2] == ids[3]
    assert all(len(set(names)) == 4 for names in ids), "and nobody else has it"


@rfc("3680-5.1")
def test_a_contact_is_described_as_it_was_registered(home: Home) -> None:
    alice = Handset(home)
    instance = '"<urn:gsma:imei:35622410-483840-0>"'
    alice.enrol(ALICE, contact=f'"Alice" <{alice.uri}>;+sip.instance={instance};+g.3gpp.smsip;q=0.5')
    home.network.run(7.5)
    watcher = Watcher(home, alice, ALICE)
    contact = watcher.documents[0][0][0]
    said = dict(contact.attrib)
    assert said.pop("id")
    (binding,) = home.location.bindings(ALICE)
    assert said == {
        "state": "active", "event": "registered", "duration-registered": "7", "expires": "593", "q": "0.5",
        "callid": binding.call_id, "cseq": str(binding.cseq),
    }  # fmt: skip
    assert [(child.get("name"), child.text) for child in contact] == [
        (None, alice.uri), (None, "Alice"), ("+sip.instance", instance), ("+g.3gpp.smsip", None)
    ]  # fmt: skip


@rfc("3680-4.10")
def test_what_changes_within_five_seconds_is_told_together(home: Home) -> None:
    alice, watcher = watched(home)
    tablet = Handset(home, "tablet", private="alice@ims.example")
    tablet.enrol(ALICE)
    alice.enrol(ALICE)
    tablet.enrol(ALICE, expires=0)
    home.network.run(10)
    both = "[terminated unregistered, active refreshed]"
    assert watcher.states[1:] == [f"1 partial: {ALICE} active {both}; {ALICE_TEL} active {both}"]


@rfc("TS24.229-5.4.2.1.2", "TS24.229-7.10.2")
def test_a_wildcarded_identity_is_told_by_one_that_it_stands_for(home: Home) -> None:
    carol = Handset(home, "carol")
    carol.enrol(OFFICE)
    watcher = Watcher(home, carol, "sip:desk-3@ims.example", OFFICE)
    office, desks = watcher.documents[0]
    assert (office.get("aor"), len(office)) == (OFFICE, 1)
    assert desks.get("aor") == "sip:desk-@ims.example"
    assert desks[-1].text == DESKS


@rfc("TS23.228-5.2.1a")
def test_who_share_a_set_see_all_of_its_contacts(home: Home) -> None:
    carol, dave = Handset(home, "carol"), Handset(home, "dave")
    carol.enrol(OFFICE)
    watcher = Watcher(home, carol, OFFICE, OFFICE)
    home.network.run(10)
    dave.enrol(OFFICE)
    home.network.run(10)
    assert watcher.states[1].startswith(f"1 partial: {OFFICE} active [active registered];")


# How it ends --------------------------------------------------------------------------------------------------------


def ended(aor: str, word: str) -> str:
    return f"{aor} terminated [terminated {word}]"


@rfc("TS24.229-5.4.2.1.2", "6665-4.1.3")
def test_the_last_de_registration_ends_the_subscription(home: Home) -> None:
    alice, watcher = watched(home)
    alice.enrol(ALICE, contact="*", expires=0)
    assert home.network.wire(by=SCSCF_ADDRESS)[-2:] == ["200 REGISTER", "NOTIFY"], "at once, however lately it was told"
    assert watcher.states[1:] == [f"1 full: {ended(ALICE, 'unregistered')}; {ended(ALICE_TEL, 'unregistered')}"]
    assert watcher.end == "terminated;reason=noresource"
    assert watcher.told[-1] == Unsubscribed("noresource", None)
    home.network.run()
    home.assert_idle()
    alice.assert_idle()


@rfc("TS24.229-5.4.1.5", "3680-5.2")
@pytest.mark.parametrize(
    ("reason", "word", "retry_after"),
    [
        (Removal.DEACTIVATED, "deactivated", None),
        (Removal.REJECTED, "rejected", None),
        (Removal.PROBATION, "probation", 90),
    ],
)
def test_the_network_says_what_the_phone_is_to_do(
    home: Home, reason: Removal, word: str, retry_after: int | None
) -> None:
    _, watcher = watched(home)
    home.deregister(ALICE, reason, retry_after=retry_after)
    home.network.run(0.1)
    assert watcher.states[1:] == [f"1 full: {ended(ALICE, word)}; {ended(ALICE_TEL, word)}"]
    assert watcher.end == "terminated;reason=noresource"
    contacts = list(watcher.documents[1].iter(tag("contact")))
    assert {contact.get("expires") for contact in contacts} == {"0"}, "else Kamailio's P-CSCF passes over a contact"
    assert {contact.get("retry-after") for contact in contacts} == {None if retry_after is None else str(retry_after)}


@rfc("TS24.229-5.4.2.1.2")
def test_time_ends_it_too(home: Home) -> None:
    alice = Handset(home)
    alice.enrol(ALICE, expires=60)
    watcher = Watcher(home, alice, ALICE)
    home.network.run(65)
    assert watcher.states[1:] == [f"1 full: {ended(ALICE, 'expired')}; {ended(ALICE_TEL, 'expired')}"]
    assert watcher.end == "terminated;reason=noresource"


@rfc("TS24.229-5.4.1.6")
def test_a_registration_that_is_shortened_says_by_how_much(home: Home) -> None:
    _, watcher = watched(home)
    home.network.run(10)
    home.registrations.reauthenticate(ALICE, 60)
    home.node.settle()
    home.network.run(0.1)
    assert "active shortened" in watcher.states[1]
    assert [contact.get("expires") for contact in watcher.documents[1].iter(tag("contact"))] == ["60", "60"]


@rfc("TS24.229-5.4.2.1.2")
def test_what_was_not_told_yet_is_told_at_the_end(home: Home) -> None:
    alice, watcher = watched(home)
    tablet = Handset(home, "tablet", private="alice@ims.example")
    tablet.enrol(ALICE)
    tablet.enrol(ALICE, expires=0)
    alice.enrol(ALICE, expires=0)
    home.network.run(1)
    both = "[terminated unregistered, terminated unregistered]"
    assert watcher.states[1:] == [f"1 full: {ALICE} terminated {both}; {ALICE_TEL} terminated {both}"]


@rfc("6665-4.4.3")
def test_a_poll_is_told_once(home: Home) -> None:
    alice, watcher = watched(home)
    poll = Watcher(home, alice, ALICE, expires=0)
    assert len(poll.documents) == 1
    assert poll.end == "terminated;reason=timeout"
    assert len(watcher.documents) == 1


@rfc("TS24.229-5.1.1.3")
def test_a_subscription_may_last_as_long_as_phones_ask_for(home: Home) -> None:
    alice = Handset(home)
    alice.enrol(ALICE)
    assert Watcher(home, alice, ALICE, expires=600_000).notified[0].state.expires == 600_000


# Who may watch ------------------------------------------------------------------------------------------------------


@rfc("TS24.229-5.4.2.1.1")
@pytest.mark.parametrize("watcher", [ALICE, ALICE_TEL, P_CSCF, "sip:192.0.2.9:5060", SERVER, "sip:mmtel@as.example"])
@pytest.mark.parametrize("target", [ALICE, ALICE_TEL, f"{ALICE};user=phone"])
def test_the_user_his_p_cscf_and_his_servers_may_watch(home: Home, watcher: str, target: str) -> None:
    alice = Handset(home)
    alice.enrol(ALICE, ("Path", PATH), ("Require", "path"))
    assert len(Watcher(home, alice, watcher, target).documents) == 1


@rfc("TS24.229-5.4.2.1.1")
@pytest.mark.parametrize(
    "watcher", [BOB, ALICE_IMSI, "sip:alice.private@ims.example", "sip:eve@as.example:5064", "sip:192.0.2.9:5070"]
)
def test_nobody_else_may(home: Home, watcher: str) -> None:
    alice = Handset(home)
    alice.enrol(ALICE, ("Path", PATH), ("Require", "path"))
    told = Watcher(home, alice, watcher).told
    assert [event.reason for event in told if isinstance(event, Unsubscribed)] == ["403"]
    home.network.run(70)
    assert len(home.notifier) == 0


@rfc("TS24.229-5.4.2.1.1")
@pytest.mark.parametrize("target", [ALICE, "sip:nobody@ims.example", "sip:alice.private@ims.example"])
def test_where_nothing_is_bound_there_is_nothing_to_watch(home: Home, target: str) -> None:
    alice = Handset(home)
    if target != ALICE:
        alice.enrol(ALICE)
    told = Watcher(home, alice, ALICE, target).told
    assert [event.reason for event in told if isinstance(event, Unsubscribed)] == ["480"]
