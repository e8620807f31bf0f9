"""Whatever becomes of registrations in whatever order: who puts the documents together knows who is registered."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ims_core.registrar.location import Removal
from ims_core.ua.event_headers import Event
from ims_core.ua.reg_info import REGINFO
from ims_core.ua.subscriber import Notified, Subscriber, SubscriberEvent, Unsubscribed, Wish
from tests.ims_core.ua.test_reg_info import read, tag
from tests.kit import Network, Packet
from tests.kit.home import ALICE, ALICE_TEL, Handset, Home

IDENTITIES = (ALICE, ALICE_TEL)
PHONES = st.integers(0, 2)
STEPS = st.one_of(
    st.tuples(st.just("enrol"), PHONES, st.sampled_from(IDENTITIES), st.sampled_from([60, 600])),
    st.tuples(st.just("leave"), PHONES, st.sampled_from(IDENTITIES)),
    st.tuples(st.just("all leave"), PHONES),
    st.tuples(st.just("taken off"), st.sampled_from([Removal.DEACTIVATED, Removal.PROBATION, Removal.REJECTED])),
    st.tuples(st.just("shorten"), st.sampled_from([30, 60])),
    st.tuples(st.just("refresh"), st.just("")),
    st.tuples(st.just("wait"), st.sampled_from([0.0, 1.0, 6.0, 40.0, 70.0])),
)


class View:
    """What somebody makes of the documents of one subscription (RFC 3680 section 5.1)."""

    def __init__(self) -> None:
        self.contacts: dict[str, dict[str, str]] = {}
        self.names: dict[str, str] = {}
        self.next_version = 0
        self.is_over = False

    def told(self, event: SubscriberEvent) -> None:
        if isinstance(event, Unsubscribed):
            assert event == Unsubscribed("noresource", None)
            self.is_over = True
            return
        assert isinstance(event, Notified)
        root = read(event.body)
        assert int(root.get("version") or "") == self.next_version
        self.next_version += 1
        if root.get("state") == "full":
            self.contacts.clear()
        for registration in root:
            aor, name = registration.get("aor") or "", registration.get("id") or ""
            assert self.names.setdefault(aor, name) == name
            held = self.contacts.setdefault(aor, {})
            for contact in registration.iter(tag("contact")):
                number = contact.get("id") or ""
                if contact.get("state") == "active":
                    held[number] = contact[0].text or ""
                else:
                    held.pop(number, None)
            assert registration.get("state") == ("terminated" if event.state.state == "terminated" else "active")

    @property
    def uris(self) -> dict[str, set[str]]:
        return {aor: set(held.values()) for aor, held in self.contacts.items()}


class Scene:
    """Alice's three phones, of which the first watches whenever she is registered; ``views`` are what it makes of it.

    The first ``lost`` copies of each NOTIFY never arrive, where they would be sent again.
    """

    def __init__(self, lost: int) -> None:
        self.network = Network()
        self.home = Home(self.network)
        self.phones = [Handset(self.home, name, private="alice@ims.example") for name in ("one", "two", "three")]
        self.views: list[View] = []
        self._lost = lost
        self._copies: Counter[str] = Counter()
        self.network.drop = self._is_lost

    def do(self, step: tuple[object, ...]) -> None:
        match step:
            case ("enrol", int(number), str(identity), int(expires)):
                assert self.phones[number].enrol(identity, expires=expires).status == 200
            case ("leave", int(number), str(identity)):
                assert self.phones[number].enrol(identity, expires=0).status == 200
            case ("all leave", int(number)):
                assert self.phones[number].enrol(ALICE, contact="*", expires=0).status == 200
            case ("taken off", Removal() as reason):
                self.home.deregister(ALICE_TEL, reason)
            case ("shorten", int(seconds)):
                self.home.registrations.reauthenticate(ALICE, seconds)
                self.home.node.settle()
            case ("refresh", _):
                for subscription in self.home.notifier.subscriptions("reg", ALICE):
                    subscription.notify()
            case ("wait", float(seconds)):
                self.network.run(seconds)

    def watch(self) -> None:
        """Subscribe, if that is possible and not done yet."""
        if self.home.identities.is_registered(ALICE) and (not self.views or self.views[-1].is_over):
            self.views.append(View())
            wish = Wish(ALICE, Event("reg", "", {}), (REGINFO,), f"<{ALICE}>", 600_000)
            phone = self.phones[0]
            assert phone.proxy is not None
            Subscriber(phone.ua, phone.proxy, wish, self.views[-1].told).start()
            self.network.run(0.05)

    def _is_lost(self, packet: Packet) -> bool:
        if packet.flow.reliable or packet.summary != "NOTIFY":
            return False
        branch = packet.message.via.branch
        self._copies[branch] += 1
        return self._copies[branch] <= self._lost


@pytest.mark.rfc("3680-5.1", "TS24.229-5.4.2.1.2")
@settings(max_examples=80, deadline=None)
@given(steps=st.lists(STEPS, max_size=25), lost=st.integers(0, 3))
def test_the_documents_add_up_to_what_is_registered(steps: list[tuple[object, ...]], lost: int) -> None:
    scene = Scene(lost)
    home, network = scene.home, scene.network
    for step in [("enrol", 0, ALICE, 600), *steps]:
        scene.do(step)
        scene.watch()
    network.run(45)  # all that was lost has been sent again
    registered = set(home.contacts(ALICE))
    if registered and not scene.views[-1].is_over:
        assert scene.views[-1].uris == {ALICE: registered, ALICE_TEL: registered}
    home.deregister(ALICE)
    network.run(45)
    assert all(view.uris == {ALICE: set(), ALICE_TEL: set()} for view in scene.views)
    network.run()
    home.assert_idle()
    assert len(home.location) == len(home.registrations) == 0
