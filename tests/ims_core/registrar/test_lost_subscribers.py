"""Subscribers who are gone, or cannot be read, while they are registered: all who knew are told, nothing breaks."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from ims_core.errors import ServerTimeout
from ims_core.profiles.model import Criterion, DefaultHandling, Server, ServiceProfile
from ims_core.registrar.location import Removal
from ims_core.subscribers.centre import AuthenticationCentre
from ims_core.subscribers.database import SequenceLedger, SubscriberDatabase, open_database
from ims_core.subscribers.directory import Directory
from ims_core.subscribers.sequence import SequenceNumbers
from tests.ims_core.registrar.test_watching import Watcher
from tests.kit import Network, Party
from tests.kit.home import ALICE, ALICE_TEL, BOB, OFFICE, SUBSCRIBERS, Handset, Home


class Unreadable(Directory):
    """Subscribers of a database that cannot be read just now."""

    def __init__(self) -> None:
        pass

    def by_private(self, private: str) -> None:
        raise ServerTimeout

    def by_public(self, uri: str) -> None:
        raise ServerTimeout


class Scene:
    """Alice, who watches her registration, and an application server that hears of it; then subscribers are lost."""

    def __init__(self, server_answers: int = 200) -> None:
        network = Network()
        self.server = Party(network, "as", answers=(server_answers,))
        server = Server(f"sip:{self.server.address[0]}", DefaultHandling.SESSION_TERMINATED)
        self.home = Home(network, profiles=[ServiceProfile("voice", (Criterion(0, server),))])
        self.alice = Handset(self.home)

    def enrol(self) -> Watcher:
        self.alice.enrol(ALICE)
        watcher = Watcher(self.home, self.alice, ALICE)
        self.home.network.run(10)
        return watcher

    def lose(self, left: Directory) -> None:
        self.home.identities.subscribers = left

    @property
    def told(self) -> list[tuple[str, str | None]]:
        return [(event.request.to.uri_text, event.request.get("Expires")) for event in self.server.requests]


LEFT = pytest.mark.parametrize("left", [Directory((), None), Unreadable()], ids=["gone", "unreadable"])  # type: ignore[arg-type]


@LEFT
@pytest.mark.rfc("TS24.229-5.4.1.5", "TS24.229-5.4.2.1.2", "TS24.229-5.4.1.7")
@pytest.mark.parametrize("by", ["network", "time"])
def test_all_who_knew_of_a_registration_hear_that_it_ended(left: Directory, by: str) -> None:
    scene = Scene()
    watcher = scene.enrol()
    scene.lose(left)
    if by == "network":
        assert scene.home.deregister(ALICE, Removal.REJECTED) == 1
    scene.home.network.run(1000)
    how = "terminated rejected" if by == "network" else "terminated expired"
    assert watcher.states[-1] == f"1 full: {ALICE} terminated [{how}]; {ALICE_TEL} terminated [{how}]"
    assert watcher.end == "terminated;reason=noresource"
    assert scene.told == [(ALICE, "600"), (ALICE, "0")]
    assert scene.home.identities.set_of(ALICE) == (), "nothing is kept of who is not registered"


@LEFT
def test_who_watches_is_told_what_is_there(left: Directory) -> None:
    scene = Scene()
    watcher = scene.enrol()
    scene.lose(left)
    assert scene.home.registrations.reauthenticate(ALICE, 60) == 1
    scene.home.node.settle()
    scene.home.network.run(10)
    assert watcher.states[-1] == f"1 partial: {ALICE} active [active shortened]; {ALICE_TEL} active [active shortened]"


@pytest.mark.rfc("TS24.229-5.4.1.7")
def test_a_server_without_which_nobody_is_served_may_fail_while_subscribers_cannot_be_read() -> None:
    scene = Scene(503)
    scene.home.network.call_later(0.0025, lambda: scene.lose(Unreadable()))
    scene.alice.enrol(ALICE)
    scene.home.network.run(40)
    assert scene.home.contacts(ALICE) == []


def test_what_is_restored_after_a_restart_is_kept_as_well() -> None:
    scene = Scene()
    scene.enrol()
    (binding,) = scene.home.location.bindings(ALICE)
    again = Scene()
    again.home.location.add(binding)
    again.home.node.settle()
    again.lose(Unreadable())
    assert [identity.uri for identity in again.home.identities.usable(ALICE)] == [ALICE, ALICE_TEL]


def test_who_was_refused_or_only_asked_is_not_kept() -> None:
    scene = Scene()
    assert Handset(scene.home, "carol").enrol(OFFICE, contact=None).status == 200
    assert Handset(scene.home, "dave").enrol(OFFICE, password="wrong").status == 401
    scene.lose(Directory((), None))  # type: ignore[arg-type]
    assert scene.home.identities.usable(OFFICE) == []


@pytest.mark.rfc("3261-21.5.5")
def test_who_asks_while_the_database_fails_is_answered_504_and_all_else_goes_on(tmp_path: Path) -> None:
    file = open_database(tmp_path / "subscribers.sqlite")
    chance = count(1)
    ledger = SequenceLedger(file)
    centre = AuthenticationCentre(SequenceNumbers(float, ledger), lambda length: next(chance).to_bytes(length, "big"))
    database = SubscriberDatabase(file, centre)
    database.put(SUBSCRIBERS)
    home = Home(Network(), source=database)
    alice, bob = Handset(home), Handset(home, "bob")
    assert alice.enrol(ALICE).status == bob.enrol(BOB).status == 200
    watcher = Watcher(home, alice, ALICE)
    with capture_logs() as lines:
        file.execute("ALTER TABLE reserved RENAME TO elsewhere")
        for _ in range(2):
            home.network.run(130)
            assert bob.enrol(BOB).status == 200, "sequence numbers need not be written"
        assert ledger.failures > 1
        file.execute("ALTER TABLE elsewhere RENAME TO reserved")
        file.execute("ALTER TABLE subscribers RENAME TO elsewhere")
        for _ in range(3):
            assert alice.enrol(ALICE).status == bob.enrol(BOB).status == 504
        assert database.failures == 6
        assert home.contacts(ALICE) == [alice.uri], "the registration stays"
        assert home.registrations.reauthenticate(ALICE, 60) == 1
        home.node.settle()
        home.network.run(10)
        assert len(watcher.documents) == 2, "and whoever watches it is told"
        file.execute("ALTER TABLE elsewhere RENAME TO subscribers")
        home.network.run(130)
        assert alice.enrol(ALICE).status == bob.enrol(BOB).status == 200
    assert [line["event"] for line in lines] == [
        "sequence_numbers.write_failed",
        "subscribers.read_failed",
        "subscribers.read_recovered",
        "sequence_numbers.write_recovered",
    ]
    home.network.run(40)
    assert home.endpoint.transactions() == {"client": 0, "server": 0}
    file.close()
