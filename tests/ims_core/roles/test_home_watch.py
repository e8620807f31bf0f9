"""The P-CSCF watches the registrations of its handsets at home, and takes off whom the home takes off."""

from __future__ import annotations

import pytest

from ims_core.flow import format_address
from ims_core.messages.message import Request
from ims_core.registrar.location import Removal
from ims_core.roles.home_watch import REST_SECONDS, HomeWatch
from ims_core.transactions.endpoint import RequestReceived
from ims_core.ua.reg_info import REGINFO, ContactState, RegistrationState, write_reg_info
from ims_core.ua.session_events import Ended
from tests.kit.edge import PCSCF as EDGE
from tests.kit.edge import PUBLIC, Edge, Handset
from tests.kit.hops import PCSCF, SCSCF, Hops
from tests.kit.phone import DOMAIN

rfc = pytest.mark.rfc
ALICE = f"sip:alice@{DOMAIN}"


def watching(hops: Hops) -> int:
    assert hops.pcscf.watch is not None
    return len(hops.pcscf.watch)


def take_off(hops: Hops, reason: Removal = Removal.DEACTIVATED) -> None:
    """Have an operator take alice off the network."""
    assert hops.registrations.deregister(ALICE, reason) == 1
    hops.nodes[SCSCF].settle()
    hops.network.run(0.2)


def subscribes(hops: Hops) -> list[Request]:
    return [request for request in hops.received(SCSCF, of=PCSCF) if request.method == "SUBSCRIBE"]


@rfc("TS24.229-5.2.3", "3680-4.4")
def test_a_registered_set_is_subscribed_to_once_as_the_p_cscf() -> None:
    hops = Hops(watches=True)
    phone = hops.handset("alice")
    hops.register(phone)
    hops.register(phone)
    (request,) = subscribes(hops)
    assert request.uri == ALICE, "the default public identity"
    assert request.from_.uri_text == f"sip:{PCSCF[0]}:{PCSCF[1]}"
    assert request.values("P-Asserted-Identity") == [f"<sip:{PCSCF[0]}:{PCSCF[1]}>"]
    assert request.values("Route") == [f"<sip:{SCSCF[0]}:{SCSCF[1]};lr>"]
    assert request.require("Event") == "reg"
    assert request.require("Accept") == "application/reginfo+xml"
    assert int(request.require("Expires")) > 3600, "longer than the registration"
    assert "icid-value=" in request.require("P-Charging-Vector")
    assert watching(hops) == len(hops.notifier) == 1


@rfc("TS24.229-5.2.3", "TS24.229-5.2.5.2", "3680-5.1")
@pytest.mark.parametrize("reason", [Removal.DEACTIVATED, Removal.REJECTED, Removal.PROBATION, Removal.EXPIRED])
def test_whom_the_home_takes_off_is_refused_at_the_first_hop(reason: Removal) -> None:
    hops = Hops(watches=True)
    alice, bob = hops.handset("alice"), hops.handset("bob")
    take_off(hops, reason)
    before = len(hops.received(SCSCF, of=PCSCF))
    assert [binding.aor for binding in hops.bindings[PCSCF]] == [f"sip:bob@{DOMAIN}"]
    alice.call(f"sip:bob@{DOMAIN}")
    hops.network.run(0.5)
    assert alice.statuses[-1] == 403
    assert len(hops.received(SCSCF, of=PCSCF)) == before, "the S-CSCF hears nothing of it"
    assert not bob.events
    hops.register(alice)
    assert watching(hops) == 2, "who registers anew is watched anew"


@rfc("TS24.229-5.2.3")
def test_a_call_under_way_outlives_its_handsets_registration() -> None:
    hops = Hops(watches=True)
    alice, bob = hops.handset("alice"), hops.handset("bob")
    call = alice.call(f"sip:bob@{DOMAIN}")
    hops.network.run(0.5)
    call.acknowledge(b"offer of alice")
    hops.network.run(0.5)
    take_off(hops)
    assert len(hops.bindings[PCSCF]) == 1
    (incoming,) = bob.incoming
    incoming.hang_up()
    hops.network.run(0.5)
    assert isinstance(alice.told_by(call)[-1], Ended)
    assert 200 in bob.statuses


@rfc("TS24.229-5.2.3")
def test_nothing_is_left_of_the_watch_when_the_last_contact_has_gone() -> None:
    hops = Hops(watches=True)
    phone = hops.handset("alice")
    phone.register(expires=0)
    hops.network.run(40.0)
    assert watching(hops) == len(hops.notifier) == 0
    assert all(len(node.ua.usages) == 0 for node in hops.nodes.values())
    hops.assert_idle()


class Told(Edge):
    """A P-CSCF that watches, with a home written by hand, which answers its SUBSCRIBEs with ``status``."""

    def __init__(self, status: int = 200) -> None:
        super().__init__()
        self.status = status
        self.troubles: list[tuple[str, str, float | None]] = []
        self.complaints: list[str] = []
        home = f"sip:{format_address(self.core.address)}"
        self.watch = self.hop.watch = HomeWatch(
            self.node.ua, self.handsets, uri="sip:192.0.2.1:5060", home=home, vector=self.first_hop.icids.fresh
        )
        self.watch.on_trouble = lambda *trouble: self.troubles.append(trouble)
        self.watch.on_malformed = lambda aor, reason: self.complaints.append(reason)
        self.node.on_location = self.hop.changed
        self.core.react = self._react
        self.subscribes: list[Request] = []
        self._numbers = 0

    def _react(self, event: object) -> None:
        if isinstance(event, RequestReceived) and event.request.method == "SUBSCRIBE":
            self.subscribes.append(event.request)
            self.core.endpoint.reply(event.transaction, self.status, to_tag="home", headers=(("Expires", "7200"),))

    def notify(
        self,
        *contacts: ContactState,
        body: bytes | None = None,
        state: str = "active",
        terms: str = "active;expires=7200",
    ) -> int:
        """Tell of contacts; returns the status of the response."""
        asked = self.subscribes[-1]
        document = write_reg_info(0, [RegistrationState("r", PUBLIC, state, contacts)], full=True)
        self._numbers += 1
        request = Request("NOTIFY", "sip:192.0.2.1:5060")
        request.add("Max-Forwards", "70")
        request.add("From", f"{asked.require('To')};tag=home")
        request.add("To", asked.require("From"))
        request.add("Call-ID", asked.call_id)
        request.add("CSeq", f"{self._numbers} NOTIFY")
        request.add("Contact", f"<sip:{format_address(self.core.address)}>")
        request.add("Event", "reg")
        request.add("Subscription-State", terms)
        request.set_body(document if body is None else body, REGINFO)
        self.core.endpoint.request(request, self.core.flow(EDGE), None)
        self.network.run(0.2)
        return self.told_core().status

    def contact(self, handset: Handset, event: str, /, **changes: object) -> ContactState:
        """What the home says of the contact of a handset."""
        state = "active" if event in {"registered", "created", "refreshed", "shortened"} else "terminated"
        told = ContactState(
            "c", handset.contact[1:-1], state, event, call_id=f"register-{handset.name}", cseq=handset.cseq
        )
        return told._replace(**changes)  # type: ignore[arg-type]


@rfc("3680-5.1", "TS24.229-5.2.5.2")
@pytest.mark.parametrize("event", ["deactivated", "probation", "rejected", "expired", "unregistered"])
def test_only_the_contact_that_is_told_of_is_taken_off(event: str) -> None:
    edge = Told()
    first, second = edge.handset("ue1"), edge.handset("ue2")
    assert edge.notify(edge.contact(first, "registered"), edge.contact(second, "created")) == 200
    assert len(edge.handsets) == 2
    assert len(edge.subscribes) == 1, "for the set, not for each contact"
    assert edge.notify(edge.contact(first, event), edge.contact(second, "refreshed")) == 200
    assert [binding.uri.user for binding in edge.location] == ["ue2"]
    assert edge.watch.counts["taken_off"] == 1
    edge.notify(edge.contact(second, event), state="terminated", terms="terminated;reason=noresource")
    assert len(edge.handsets) == len(edge.watch) == 0
    assert len(edge.node.ua.usages) == 0
    assert len(edge.subscribes) == 1, "the home knows that it is over"


def test_a_registration_that_ended_without_a_word_of_contacts_is_over() -> None:
    edge = Told()
    edge.handset("ue1")
    edge.notify(state="terminated")
    assert len(edge.handsets) == 0


@pytest.mark.parametrize(
    "changes", [{"call_id": "another"}, {"cseq": 0}, {"uri": "sip:ue1@198.51.100.9"}, {"uri": "?"}, {"event": "?"}]
)
def test_what_is_told_of_another_registration_takes_off_nobody(changes: dict[str, object]) -> None:
    edge = Told()
    handset = edge.handset("ue1")
    edge.notify(edge.contact(handset, "deactivated", **changes))
    assert len(edge.handsets) == 1


def test_a_contact_is_known_however_its_uri_is_escaped() -> None:
    edge = Told()
    handset = edge.handset("ue1")
    edge.notify(edge.contact(handset, "unregistered", uri=handset.contact[1:-1].replace("ue1", "u%651")))
    assert len(edge.handsets) == 0


def test_a_contact_that_has_come_back_in_the_same_document_stays() -> None:
    edge = Told()
    handset = edge.handset("ue1")
    gone, back = edge.contact(handset, "deactivated", call_id=""), edge.contact(handset, "registered", id="d")
    edge.notify(gone, back)
    assert len(edge.handsets) == 1


@rfc("5626-6")
def test_of_two_flows_with_one_contact_only_the_one_told_of_goes() -> None:
    edge = Told()
    handset = edge.handset("ue1")
    for number in (1, 2):
        contact = f'{handset.contact};+sip.instance="<urn:uuid:1>";reg-id={number};expires=3600'
        edge.register(handset, contact=contact)
    params = (("+sip.instance", '"<urn:uuid:1>"'), ("reg-id", "1"))
    edge.notify(edge.contact(handset, "unregistered", params=params, call_id=""))
    assert sorted(binding.reg_id for binding in edge.location) == [0, 2]


@rfc("TS24.229-5.4.1.6", "3680-5.1")
def test_a_registration_that_is_shortened_ends_sooner() -> None:
    edge = Told()
    handset = edge.handset("ue1")
    (binding,) = edge.location
    before = binding.expires_at
    edge.notify(edge.contact(handset, "shortened", expires=60))
    assert binding.expires_at == pytest.approx(edge.network.now + 60 + 32, abs=1)
    assert binding.expires_at < before
    edge.notify(edge.contact(handset, "shortened", expires=6000))
    assert edge.watch.counts["shortened"] == 1, "what is longer shortens nothing"
    edge.network.run(100)
    assert len(edge.handsets) == 0


@pytest.mark.parametrize("body", [b"<reginfo", b"<!DOCTYPE a><reginfo/>", b"<presence/>", b"\0"])
def test_what_cannot_be_read_is_counted_and_changes_nothing(body: bytes) -> None:
    edge = Told()
    edge.handset("ue1")
    assert edge.notify(body=body) == 200
    assert edge.watch.counts["malformed"] == len(edge.complaints) == 1
    assert len(edge.handsets) == len(edge.watch) == 1


@rfc("6665-4.1.2.4")
def test_a_stranger_takes_nobody_off() -> None:
    edge = Told()
    handset = edge.handset("ue1")
    asked = edge.subscribes[-1]
    asked.set("Call-ID", "guessed")
    assert edge.notify(edge.contact(handset, "deactivated")) == 481
    assert len(edge.handsets) == 1


@rfc("6665-4.1.2.1")
@pytest.mark.parametrize("status", [405, 489, 501])
def test_a_home_that_knows_no_such_package_is_left_alone(status: int) -> None:
    edge = Told(status)
    for name in ("ue1", "ue2"):
        edge.handset(name, identities=[f"<sip:{name}@home.example>"])
    edge.network.run(3000)
    assert len(edge.subscribes) == 1
    assert edge.troubles == [("sip:ue1@home.example", str(status), None)]
    assert len(edge.node.ua.usages) == len(edge.watch) == 0
    edge.network.run(REST_SECONDS)
    edge.handset("ue3", identities=["<sip:ue3@home.example>"])
    assert len(edge.subscribes) == 2


def test_a_set_that_may_not_be_watched_is_asked_for_once() -> None:
    edge = Told(403)
    handset = edge.handset("ue1")
    edge.register(handset)
    edge.status = 200
    edge.handset("ue2", identities=["<sip:ue2@home.example>"])
    edge.network.run(3600)
    assert [request.uri for request in edge.subscribes].count(PUBLIC) == 1
    assert edge.troubles[0] == (PUBLIC, "403", None)


def test_a_home_that_does_not_answer_is_asked_again_ever_more_seldom() -> None:
    edge = Told(503)
    edge.handset("ue1")
    edge.network.run(1000)
    assert 3 <= len(edge.subscribes) <= 5
    assert len(edge.troubles) == 1, "one line"
    edge.network.run(3000)
    count = len(edge.subscribes)
    assert len(edge.handsets) == 0, "it has expired"
    edge.network.run(10000)
    assert len(edge.subscribes) == count
    assert len(edge.node.ua.usages) == 0


def test_a_subscribe_that_the_home_sends_on_to_the_handset_is_refused() -> None:
    """As a plain registrar does, for which it is a request for a user as any other."""
    edge = Told(100)
    handset = edge.handset("ue1")
    asked = edge.subscribes[-1]
    (binding,) = edge.location
    assert binding.flow is not None
    path = f"<sip:{edge.tokens.make(binding.flow)}@{format_address(EDGE)};lr>"
    told = {"from_": asked.require("From"), "call_id": asked.call_id, "to": asked.require("To")}
    edge.send("SUBSCRIBE", binding.contact, headers=[("Route", path), ("Event", "reg")], **told)
    assert edge.told_core().status == 482
    assert not handset.events


def test_the_home_lets_a_p_cscf_watch_however_many_handsets() -> None:
    hops = Hops(watches=True)
    hops.notifier._per_subscriber = 1
    hops.handset("alice")
    hops.handset("bob")
    assert watching(hops) == len(hops.notifier) == 2


@rfc("6665-4.1.3")
@pytest.mark.parametrize("reason", ["deactivated", "rejected", "noresource", "timeout"])
def test_an_end_of_the_registration_ends_the_watch_whatever_the_home_calls_it(reason: str) -> None:
    edge = Told()
    handset = edge.handset("ue1")
    edge.notify(edge.contact(handset, "rejected"), state="terminated", terms=f"terminated;reason={reason}")
    edge.network.run(200)
    assert len(edge.subscribes) == 1
    assert edge.troubles == []
    assert len(edge.node.ua.usages) == len(edge.watch) == 0
    edge.handset("ue1")
    assert len(edge.subscribes) == 2, "who registers anew is watched anew"


@rfc("6665-4.1.2.2")
def test_an_s_cscf_that_has_forgotten_the_watch_is_asked_again() -> None:
    """For twice a registration at most nobody tells."""
    hops = Hops(watches=True)
    phone = hops.handset("alice")
    hops.stop(SCSCF)
    hops.start_scscf()
    for _ in range(3):
        hops.network.run(3000)
        hops.register(phone)
    assert watching(hops) == len(hops.notifier) == 1
    take_off(hops)
    assert not len(hops.handsets)


def test_a_p_cscf_that_has_forgotten_all_watches_anew() -> None:
    hops = Hops(watches=True)
    phone = hops.handset("alice")
    hops.stop(PCSCF)
    hops.start_pcscf()
    hops.register(phone)
    hops.network.run(40)
    assert watching(hops) == len(hops.notifier) == 1, "the old subscription ends by its next NOTIFY"
    take_off(hops)
    assert not len(hops.handsets)


def test_who_is_a_number_by_default_is_watched_as_that() -> None:
    edge = Told()
    handset = edge.handset("ue1", identities=["<tel:+8613800000001>", f"<{PUBLIC}>"])
    assert edge.subscribes[-1].uri == "tel:+8613800000001"
    edge.notify(edge.contact(handset, "deactivated"))
    assert len(edge.handsets) == 0
