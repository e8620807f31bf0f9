"""Watching the calls of a phone (RFC 4235): what a watcher is told, whole and by changes."""

from __future__ import annotations

import pytest

from ims_core.errors import Forbidden
from ims_core.messages.message import Request, response_to
from ims_core.ua.dialog_info import DIALOG_INFO, DialogInfo, DialogState, parse_dialog_info
from ims_core.ua.dialog_package import DialogPackage, single_user
from ims_core.ua.event_headers import Event
from ims_core.ua.incoming import IncomingCall
from ims_core.ua.notifier import serve_events
from ims_core.ua.packages import Admission
from ims_core.ua.subscriber import Notified, Subscriber, SubscriberEvent, Wish
from tests.ims_core.ua.test_dialog_info import assert_valid
from tests.kit import Network, Phone

BOB = "sip:bob@ims.example"


def admit(request: Request, identity: str) -> Admission:
    if identity != "watcher":
        raise Forbidden
    return Admission(BOB, identity)


class Scene:
    """Bob's phone, watched; alice calls and is called."""

    def __init__(self) -> None:
        self.network = Network()
        self.alice, self.bob = Phone(self.network, "alice"), Phone(self.network, "bob")
        self.watcher = Phone(self.network, "watcher")
        package = DialogPackage(self.network.clock, user_of=single_user(BOB), admit_watcher=admit)
        package.notifier = serve_events(self.bob.ua, [package])
        self.bob.ua.watchers.append(package)
        self.package = package
        self.told: list[SubscriberEvent] = []
        self.subscriber = self.watch(self.watcher)

    def watch(self, who: Phone) -> Subscriber:
        wish = Wish(self.bob.uri, Event("dialog", "", {}), (DIALOG_INFO,), f"<sip:{who.name}@ims.example>")
        subscriber = Subscriber(who.ua, self.bob.uri, wish, self.told.append)
        subscriber.start()
        self.network.run(2)
        return subscriber

    @property
    def documents(self) -> list[DialogInfo]:
        bodies = [event.body for event in self.told if isinstance(event, Notified)]
        for body in bodies:
            assert_valid(body)
        return [parse_dialog_info(body) for body in bodies]

    def states(self) -> list[str]:
        """The state in each document since the first."""
        return [" ".join(dialog.state for dialog in document.dialogs) for document in self.documents[1:]]

    def finish(self) -> None:
        self.subscriber.unsubscribe()
        self.network.run()
        for phone in (self.alice, self.bob, self.watcher):
            phone.assert_idle()


@pytest.mark.rfc("4235-3.7.2")
@pytest.mark.rfc("4235-4.3")
def test_a_call_is_told_of_from_the_invite_to_the_bye() -> None:
    scene = Scene()
    assert scene.documents == [DialogInfo(BOB, 0, True, ())]
    scene.bob.on_call = lambda call: None
    leg = scene.alice.call(scene.bob.uri, sdp=b"offer")
    scene.network.run(2)
    (call,) = scene.bob.incoming
    call.progress()
    scene.network.run(2)
    call.answer(b"answer")
    scene.network.run(2)
    leg.hang_up()
    scene.network.run(2)
    assert [document.version for document in scene.documents] == [0, 1, 2, 3, 4]
    assert [document.full for document in scene.documents] == [True, False, False, False, False]
    assert scene.states() == ["trying", "early", "confirmed", "terminated"]
    dialogs = [document.dialogs[0] for document in scene.documents[1:]]
    assert len({dialog.id for dialog in dialogs}) == 1
    confirmed = dialogs[2]
    assert (confirmed.direction, confirmed.call_id) == ("recipient", call.dialog_id[0])
    assert call.dialog is not None
    assert (confirmed.local_tag, confirmed.remote_tag) == (call.dialog.local_tag, call.dialog.remote_tag)
    assert (confirmed.remote.identity, confirmed.remote.target) == ("sip:alice@ims.example", scene.alice.uri)
    assert confirmed.local.target == scene.bob.uri
    assert dialogs[3].event == "remote-bye"
    scene.finish()


@pytest.mark.rfc("4235-3.7.1")
@pytest.mark.rfc("4235-4.1.2")
@pytest.mark.parametrize(
    ("how", "event", "code"),
    [
        ("rejected", "rejected", 486),
        ("cancelled", "cancelled", None),
        ("hung up", "local-bye", None),
        ("lost", "timeout", None),
    ],
)
def test_how_a_call_ended(how: str, event: str, code: int | None) -> None:
    scene = Scene()
    scene.bob.on_call = lambda call: call.progress() if how in {"rejected", "cancelled"} else call.answer(b"answer")
    if how == "lost":
        scene.network.drop = lambda packet: packet.summary == "ACK"
    leg = scene.alice.call(scene.bob.uri, sdp=b"offer")
    scene.network.run(1)
    if how == "rejected":
        scene.bob.incoming[0].reject(486)
    elif how == "cancelled":
        leg.hang_up()
    elif how == "hung up":
        scene.bob.incoming[0].hang_up()
    scene.network.run(40)
    last = scene.documents[-1].dialogs[0]
    assert (last.state, last.event, last.code) == ("terminated", event, code)
    scene.network.drop = lambda _: False
    scene.finish()


@pytest.mark.rfc("4235-3.7.1")
@pytest.mark.parametrize(("tagged", "phase"), [(True, "early"), (False, "proceeding")])
def test_a_call_that_the_phone_makes(tagged: bool, phase: str) -> None:
    scene = Scene()
    scene.alice.on_call = lambda call: call.progress() if tagged else ring_without_tag(scene.alice, call)
    leg = scene.bob.call(scene.alice.uri, sdp=b"offer")
    scene.network.run(3)
    assert scene.documents[-1].dialogs[0].state == phase
    assert scene.documents[-1].dialogs[0].direction == "initiator"
    scene.alice.incoming[0].answer(b"answer")
    scene.network.run(3)
    confirmed = scene.documents[-1].dialogs[0]
    assert (confirmed.state, confirmed.remote.identity) == ("confirmed", scene.alice.uri)
    leg.hang_up()
    scene.network.run(3)
    assert scene.documents[-1].dialogs[0].event == "local-bye"
    scene.finish()


def ring_without_tag(phone: Phone, call: IncomingCall) -> None:
    """Send a 180 without a To tag, as old phones did."""
    phone.endpoint.respond(call._invite, response_to(call.request, 180))


@pytest.mark.rfc("4235-3.10")
def test_fast_changes_are_told_once_a_second_with_the_last_state_of_each() -> None:
    scene = Scene()
    legs = [scene.alice.call(scene.bob.uri, sdp=b"offer") for _ in range(3)]
    scene.network.run(3)
    assert scene.states() == ["trying", "confirmed confirmed confirmed"]
    times = scene.network.times("NOTIFY", by=scene.bob.address)
    assert times[2] - times[1] >= 1
    for leg in legs:
        leg.hang_up()
    scene.network.run(3)
    assert scene.states()[2:] == ["terminated", "terminated terminated"]
    scene.finish()


@pytest.mark.rfc("4235-4.3")
def test_who_comes_later_is_told_the_whole_state_with_durations() -> None:
    scene = Scene()
    leg = scene.alice.call(scene.bob.uri, sdp=b"offer")
    scene.network.run(30.5)
    scene.told.clear()
    second = scene.watch(scene.watcher)
    (document,) = scene.documents
    assert (document.version, document.full) == (0, True)
    assert (document.dialogs[0].state, document.dialogs[0].seconds) == ("confirmed", 30)
    leg.hang_up()
    second.unsubscribe()
    scene.finish()


@pytest.mark.rfc("4235-3.6")
def test_not_everybody_may_watch() -> None:
    scene = Scene()
    scene.told.clear()
    scene.watch(scene.alice)
    assert scene.documents == []
    assert scene.network.wire()[-1] == "403 SUBSCRIBE"
    scene.finish()


def test_calls_of_nobody_are_not_told_of() -> None:
    network = Network()
    bob, alice = Phone(network, "bob"), Phone(network, "alice")
    package = DialogPackage(network.clock, user_of=lambda _: None, admit_watcher=admit)
    bob.ua.watchers.append(package)
    leg = alice.call(bob.uri, sdp=b"offer")
    network.run(1)
    assert parse_dialog_info(package.state(BOB, 0, None)).dialogs == ()
    leg.hang_up()
    network.run()


def test_nothing_is_kept_of_calls_that_are_over() -> None:
    scene = Scene()
    for _ in range(3):
        leg = scene.alice.call(scene.bob.uri, sdp=b"offer")
        scene.network.run(2)
        leg.hang_up()
        scene.network.run(2)
    assert scene.package._users == {}
    assert scene.package._known == {}
    assert isinstance(scene.documents[-1].dialogs[0], DialogState)
    scene.finish()
