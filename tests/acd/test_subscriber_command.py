"""`ims-acd subscribers`, and the subscribers of a configuration."""

from __future__ import annotations

from pathlib import Path

import pytest

from acd.cli import main
from acd.config import ConfigError, loads
from acd.ims.subscribed import FILE, Subscribed, subscribers_of
from ims_core.errors import ServerTimeout
from ims_core.registrar.location import Binding, Removal
from ims_core.subscribers.centre import AuthenticationCentre, aka
from ims_core.subscribers.database import SubscriberDatabase, SubscriberTables, open_database
from ims_core.subscribers.directory import Directory
from ims_core.subscribers.identities import public_identity
from ims_core.subscribers.sequence import SequenceNumbers
from ims_core.subscribers.subscriber import Password, Subscriber

K, OP = "465b5ce8b199b49faa5f0a2ee238a6bc", "cdc202d5123e20f62b6d676ac72cb318"
ALICE = f"""
[[subscribers]]
private = "alice@ims.example"
public = ["sip:+8613800000001@ims.example", "tel:+86-138-0000-0001"]
k = "{K}"
op = "{OP}"
amf = "b9b9"
algorithms = ["AKAv2-SHA-256", "AKAv1-MD5"]
"""
BOB = """
[[subscribers]]
private = "bob@ims.example"
public = ["sip:bob@ims.example"]
more = [["sip:office@ims.example", "sip:desk-!.*!@ims.example"]]
barred = ["sip:bob@ims.example"]
profile = "gold"
password = "sesame"
algorithms = ["SHA-256"]
"""
CAROL = """
[[subscribers]]
private = "carol@ims.example"
public = ["sip:carol@ims.example"]
password = "sesame"
"""
SERVER = """
[server]
domain = "ims.example"

[[accounts]]
users = ["1001"]
password = "demo"

[profiles.gold]
criteria = []

[ims]
enabled = true
subscriber_database = true
"""


class Command:
    """Runs the command with a configuration, and a file of subscribers."""

    def __init__(self, directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.directory = directory
        self._capsys = capsys
        self.configure("")

    def configure(self, subscribers: str) -> None:
        storage = f'\n[storage]\ndir = "{self.directory}/var"\n'
        (self.directory / "config.toml").write_text(SERVER + storage + subscribers)

    def run(self, action: str, *arguments: str) -> tuple[int, list[str], list[str]]:
        """Return the exit status and the lines of output and errors, with file names in the place of paths."""
        status = main(["subscribers", action, "--config", str(self.directory / "config.toml"), *arguments])
        out, err = (text.replace(f"{self.directory}/", "").splitlines() for text in self._capsys.readouterr())
        return status, out, err

    def put(self, subscribers: str) -> tuple[int, list[str], list[str]]:
        file = self.directory / "new.toml"
        file.write_text(subscribers)
        return self.run("put", "--from", str(file))

    def known(self) -> list[Subscriber | None]:
        """Who is in the database."""
        file = open_database(self.directory / "var" / FILE)
        tables = SubscriberTables(file)
        found = [tables.by_private(private) for private in tables]
        file.close()
        return found


@pytest.fixture
def command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(tmp_path, capsys)


def test_they_are_put_where_a_server_with_the_same_settings_looks(command: Command) -> None:
    elsewhere = "--set", f"storage.dir={command.directory}/var/scscf"
    file = command.directory / "new.toml"
    file.write_text(BOB)
    assert command.run("put", "--from", str(file), *elsewhere) == (0, ["1 put, 1 in all"], [])
    assert command.run("list") == (0, [], [])
    assert [line.split()[0] for line in command.run("list", *elsewhere)[1]] == ["bob@ims.example"]
    unseen = command.run("put", "--from", str(file), "--set", "ims.subscriber_database=false")
    assert unseen[0] == 0
    assert unseen[2] == ["no server of config.toml looks there: ims.subscriber_database is false"]


def test_subscribers_are_put_replaced_listed_and_removed(command: Command) -> None:
    assert command.put(ALICE + BOB) == (0, ["2 put, 2 in all"], [])
    alice, bob = command.known()
    assert alice is not None
    assert alice.credentials == aka(K, op=OP, amf="b9b9", algorithms=("AKAv2-SHA-256", "AKAv1-MD5"))
    assert bob == Subscriber(
        "bob@ims.example",
        Password("sesame", ("SHA-256",)),
        (
            (public_identity("sip:bob@ims.example", barred=True, profile="gold"),),
            (
                public_identity("sip:office@ims.example", profile="gold"),
                public_identity("sip:desk-!.*!@ims.example", profile="gold"),
            ),
        ),
    )
    assert command.put(BOB.replace("sesame", "open") + CAROL) == (0, ["2 put, 3 in all"], [])
    status, listed, _ = command.run("list")
    assert (status, listed) == (
        0,
        [
            "alice@ims.example  aka  sip:+8613800000001@ims.example tel:+8613800000001",
            "bob@ims.example  password  sip:bob@ims.example | sip:office@ims.example sip:desk-!.*!@ims.example",
            "carol@ims.example  password  sip:carol@ims.example",
        ],
    )
    assert command.run("remove", "bob@ims.example", "dave@ims.example") == (
        1,
        [],
        ["dave@ims.example: not in the database"],
    )
    assert command.run("remove", "alice@ims.example") == (0, [], [])
    assert [each and each.private for each in command.known()] == ["carol@ims.example"]


WHOLE = "the whole of a set that is shared, with the same profile and the same identities barred"
OTHER = "a private identity that"
NO_PATTERN = "an extended regular expression (no argument for repetition operator: +)"
MISTAKES = [
    (ALICE.replace(K, "46"), "new.toml: subscribers[0].k: expected 32 hexadecimal digits"),
    (
        ALICE.replace('["AKAv2-SHA-256", "AKAv1-MD5"]', '["MD5"]'),
        'new.toml: subscribers[0].algorithms[0]: expected an algorithm of AKA, because there is k, found "MD5"',
    ),
    (
        BOB.replace('"SHA-256"', '"AKAv1-MD5"'),
        'new.toml: subscribers[0].algorithms[0]: expected an algorithm of digest, without AKA, found "AKAv1-MD5"',
    ),
    (
        ALICE + ALICE.replace("+86-138-0000-0001", "+86-138-0000-0002").replace("alice", "al"),
        f'new.toml: subscribers[1].public: expected {WHOLE}, found "sip:+8613800000001@ims.example"',
    ),
    (
        ALICE.replace('"tel:+86-138-0000-0001"', '"sip:+8613800000001@IMS.example"'),
        'new.toml: subscribers[0].public: expected each public identity once, found "sip:+8613800000001@ims.example"',
    ),
    (
        BOB.replace('"gold"', '"silver"'),
        'new.toml: subscribers[0].profile: expected a profile (defined: gold), found "silver"',
    ),
    (
        ALICE.replace("alice", "1001"),
        'new.toml: subscribers[0].private: expected a private identity that is no account\'s, found "1001@ims.example"',
    ),
    (
        ALICE + ALICE,
        f'new.toml: subscribers[1].private: expected {OTHER} is not named before, found "alice@ims.example"',
    ),
    (
        CAROL,
        f'new.toml: subscribers[0].private: expected {OTHER} the configuration lacks, found "carol@ims.example"',
    ),
    (
        ALICE.replace("sip:+8613800000001@", "sip:!(+86)!@"),
        f"new.toml: subscribers[0].public: expected {NO_PATTERN} between the two ! of 'sip:!(+86)!@ims.example'",
    ),
    (SERVER, "new.toml: accounts: expected nothing but [[subscribers]]"),
]


@pytest.mark.parametrize(("subscribers", "mistake"), MISTAKES, ids=range(len(MISTAKES)))
def test_mistakes_are_told_and_nothing_is_put(command: Command, subscribers: str, mistake: str) -> None:
    command.configure(CAROL)
    status, out, err = command.put(subscribers)
    assert (status, out) == (2, [])
    assert mistake in err
    assert not (command.directory / "var" / FILE).exists()


def test_what_contradicts_the_database_is_refused(command: Command) -> None:
    assert command.put(BOB)[0] == 0
    sharing = CAROL.replace('"sip:carol@ims.example"', '"sip:office@ims.example"')
    names = "bob@ims.example and carol@ims.example"
    mistake = f"var/{FILE}: {names} share sip:office@ims.example, but not the whole set that it is in"
    assert command.put(sharing) == (1, [], [mistake])
    assert [each and each.private for each in command.known()] == ["bob@ims.example"]


def test_a_file_of_something_else_is_told(command: Command) -> None:
    (command.directory / "var").mkdir()
    (command.directory / "var" / FILE).write_text("not a database at all\n" * 100)
    status, out, err = command.run("list")
    assert (status, out) == (1, [])
    assert err == [f"var/{FILE}: file is not a database"]


@pytest.mark.parametrize(
    "subscribers",
    [
        ALICE.replace("sip:+8613800000001@", "sip:1001@"),  # an account's, with another set
        BOB + CAROL.replace("sip:carol@ims.example", "sip:office@ims.example"),
    ],
)
def test_what_a_server_could_not_start_with_is_a_mistake_of_the_configuration(subscribers: str) -> None:
    with pytest.raises(ConfigError, match="expected the whole of a set that is shared"):
        loads(SERVER + subscribers)


def test_a_configuration_that_is_accepted_makes_a_directory() -> None:
    shared = CAROL.replace('["sip:carol@ims.example"]', '["sip:office@ims.example", "sip:desk-!.*!@ims.example"]')
    config = loads(SERVER + ALICE + BOB + shared.replace("password", 'profile = "gold"\npassword'))
    directory = Directory(subscribers_of(config), AuthenticationCentre(SequenceNumbers(float), bytes))
    found = directory.by_public("sip:desk-7@ims.example")
    assert found is not None
    assert found.privates == ("bob@ims.example", "carol@ims.example")
    account = directory.by_private("1001@ims.example")
    assert account is not None
    assert account.credentials == Password("demo")


def test_who_is_in_the_database_is_known_beside_the_configuration(tmp_path: Path) -> None:
    config = loads(SERVER + BOB)
    file = open_database(tmp_path / FILE)
    centre = AuthenticationCentre(SequenceNumbers(float), bytes)
    database = SubscriberDatabase(file, centre)
    database.put(
        Subscriber(f"{name}@ims.example", aka(K, op=OP), ((public_identity(f"sip:{identity}@ims.example"),),))
        for name, identity in (("alice", "alice"), ("desk", "desk-1"), ("bob", "robert"), ("wild", "desk-2!.*!"))
    )
    both, alone = (Subscribed(lambda: config, centre, each) for each in (database, None))

    def who(subscribers: Subscribed, identity: str) -> str:
        found = subscribers.by_public(f"sip:{identity}@ims.example")
        return found.subscriber.private.partition("@")[0] if found else ""

    asked = ("bob", "alice", "desk-1", "desk-21", "nobody")
    assert [who(both, identity) for identity in asked] == ["bob", "alice", "desk", "bob", ""]
    assert [who(alone, identity) for identity in asked] == ["bob", "", "bob", "bob", ""]
    bob, alice = (both.by_private(f"{name}@ims.example") for name in ("bob", "alice"))
    assert bob is not None
    assert bob.credentials == Password("sesame", ("SHA-256",))
    assert alice is not None
    vector = both.vector("alice@ims.example", 0.0)
    assert vector is not None
    assert both.answer("alice@ims.example", vector.rand) == vector.answer
    assert not both.resynchronise("alice@ims.example", vector.rand, bytes(14), 0.0)
    assert both.vector("bob@ims.example", 0.0) is alone.vector("alice@ims.example", 0.0) is None
    file.close()


@pytest.mark.rfc("TS24.229-5.4.1.5", "TS29.228-6.1.3", "TS29.228-6.5.2.4")
def test_a_reload_tells_who_may_not_be_registered_any_more(tmp_path: Path) -> None:
    config = loads(SERVER + ALICE + BOB + CAROL)
    file = open_database(tmp_path / FILE)
    centre = AuthenticationCentre(SequenceNumbers(float), bytes)
    database = SubscriberDatabase(file, centre)
    database.put([Subscriber("dave@ims.example", Password("p"), ((public_identity("sip:dave@ims.example"),),))])
    subscribers = Subscribed(lambda: config, centre, database)
    bindings = [
        Binding(f"sip:{identity}@ims.example", f"sip:{name}@192.0.2.7", private=f"{name}@ims.example", expires_at=60.0)
        for name, identity in (
            ("alice", "+8613800000001"), ("bob", "office"), ("carol", "carol"), ("dave", "dave"), ("1001", "1001"),
        )
    ]  # fmt: skip

    def misfits() -> dict[str, Removal | None]:
        return {binding.private.partition("@")[0]: reason for binding, reason in subscribers.misfits(bindings)}

    assert misfits() == {}
    config = loads(SERVER.replace("demo", "another") + BOB.replace("office", "the.office"))
    changed = {"alice": Removal.REJECTED, "bob": Removal.DEACTIVATED, "carol": Removal.REJECTED, "1001": None}
    assert misfits() == changed
    assert misfits() == {}, "they are told once"
    beside = open_database(tmp_path / FILE)
    SubscriberTables(beside).remove("dave@ims.example")
    del changed["1001"]
    assert misfits() == {**changed, "dave": Removal.REJECTED}, "they have not been taken off"
    beside.execute("ALTER TABLE subscribers RENAME TO elsewhere")
    for _ in range(2):
        with pytest.raises(ServerTimeout):
            misfits()
    beside.close()
    file.close()


def test_a_reload_of_something_else_leaves_subscribers_alone() -> None:
    config = loads(SERVER + ALICE)
    subscribers = Subscribed(lambda: config, AuthenticationCentre(SequenceNumbers(float), bytes), None)
    before = subscribers.by_private("alice@ims.example")
    config = loads(SERVER + ALICE + "\n[numbers.10009]\necho = true\n")
    assert subscribers.by_private("alice@ims.example") is before
