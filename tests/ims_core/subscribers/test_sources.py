"""Subscribers in memory and in SQLite: the same answers from both."""

import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from itertools import count
from pathlib import Path

import pytest

from ims_core.errors import ServerTimeout
from ims_core.messages.uri import parse_uri
from ims_core.subscribers.centre import AuthenticationCentre, aka
from ims_core.subscribers.database import SequenceLedger, SubscriberDatabase, open_database
from ims_core.subscribers.directory import Directory
from ims_core.subscribers.identities import PublicIdentity, canonical, public_identity
from ims_core.subscribers.sequence import SequenceNumbers
from ims_core.subscribers.subscriber import Password, Subscriber, Subscribers, default_of
from tests.kit.milenage_sets import MILENAGE_SETS
from tests.kit.usim import SynchronisationFailure, Usim

HOME = "ims.mnc001.mcc001.3gppnetwork.org"
ONE, TWO = MILENAGE_SETS[0], MILENAGE_SETS[1]
NOON = 1_800_000_000.0
BARRED = public_identity(f"sip:001010000000001@{HOME}", barred=True)
SIP = public_identity(f"sip:+8613800000001@{HOME}", profile="voice")
TEL = public_identity("tel:+8613800000001", profile="voice")
WORK = public_identity("sip:alice@work.example")
ALICE = Subscriber(
    f"001010000000001@{HOME}",
    aka(ONE.k.hex(), op=ONE.op.hex(), amf=ONE.amf.hex(), algorithms=("AKAv2-SHA-256", "AKAv1-MD5")),
    ((BARRED, SIP, TEL), (WORK,)),
)
SHARED = (public_identity("tel:+861088880000"),)
BOB = Subscriber(f"bob@{HOME}", Password("secret", ("SHA-256",)), ((public_identity("sip:bob@ims.example"),), SHARED))
CAROL = Subscriber(
    f"carol@{HOME}",
    aka(TWO.k.hex(), opc=TWO.opc.hex()),
    (SHARED, (public_identity(f"sip:pbx-!.*!@{HOME}", profile="pbx"), public_identity(f"sip:!.*!@{HOME}"))),
)
EVERYBODY = (ALICE, BOB, CAROL)

Source = Callable[[Iterable[Subscriber]], Subscribers]


def new_centre(database: sqlite3.Connection | None = None) -> AuthenticationCentre:
    chance = count(1)
    numbers = SequenceNumbers(lambda now: now, None if database is None else SequenceLedger(database))
    return AuthenticationCentre(numbers, lambda length: next(chance).to_bytes(length, "big"))


@pytest.fixture(params=["memory", "sqlite"])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Source]:
    """Makes a source of subscribers."""
    database = open_database(tmp_path / "var" / "subscribers.db")

    def stored(subscribers: Iterable[Subscriber]) -> Subscribers:
        found = SubscriberDatabase(database, new_centre(database))
        found.put(subscribers)
        return found

    yield stored if request.param == "sqlite" else lambda subscribers: Directory(subscribers, new_centre())
    database.close()


def test_a_subscriber_is_found_by_the_private_identity(source: Source) -> None:
    subscribers = source(EVERYBODY)
    assert [subscribers.by_private(each.private) for each in EVERYBODY] == list(EVERYBODY)
    assert subscribers.by_private("nobody@ims.example") is None


@pytest.mark.rfc("TS23.003-13.4", "3966-5", "3261-19.1.6")
@pytest.mark.parametrize(
    ("asked", "identity"),
    [
        (f"sip:+8613800000001@{HOME}", SIP),
        (f"sip:+86-138-0000-0001@{HOME.upper()};user=phone", SIP),
        ("tel:+86-138-0000-0001", TEL),
        (f"sips:001010000000001@{HOME}:5061", BARRED),
        ("sip:alice@work.example", WORK),
        (f"sip:+861088880000@{HOME};user=phone", SHARED[0]),
        ("sip:+861088880000@elsewhere.example;user=phone", None),
        ("sip:+8613800000001@work.example", None),
        ("tel:13800000001", None),
        ("sip:nobody@work.example", None),
    ],
)
def test_sip_and_tel_forms_of_a_number_are_one(source: Source, asked: str, identity: PublicIdentity | None) -> None:
    found = source(EVERYBODY).by_public(canonical(parse_uri(asked)))
    assert (found and found.identity) == identity
    if found is not None:
        assert found.identity in found.set
        assert found.set in found.subscriber.sets


def test_a_number_that_is_known_as_sip_is_known_as_tel(source: Source) -> None:
    only_sip = Subscriber("a@x.example", Password("p"), ((SIP,),))
    found = source((only_sip,)).by_public("tel:+8613800000001")
    assert found is not None
    assert found.identity == SIP


def test_an_identity_as_it_stands_comes_before_the_other_form_of_a_number(source: Source) -> None:
    theirs = Subscriber(f"b@{HOME}", Password("p"), ((SIP,),))
    ours = Subscriber(f"a@{HOME}", Password("p"), ((TEL,),))
    subscribers = source((theirs, ours))
    for uri, owner in ((SIP.uri, theirs), (TEL.uri, ours)):
        found = subscribers.by_public(uri)
        assert found is not None
        assert (found.subscriber, found.identity.uri) == (owner, uri)


@pytest.mark.rfc("TS23.003-13.5")
@pytest.mark.parametrize(
    ("asked", "uri"),
    [
        (f"sip:pbx-17@{HOME}", f"sip:pbx-!.*!@{HOME}"),
        (f"sip:anybody@{HOME}", f"sip:!.*!@{HOME}"),
        (f"sip:+8613800000001@{HOME}", SIP.uri),
        (f"sip:{'x' * 2000}@{HOME}", f"sip:!.*!@{HOME}"),
    ],
)
def test_an_exact_identity_comes_before_a_wildcarded_one(source: Source, asked: str, uri: str | None) -> None:
    found = source(EVERYBODY).by_public(asked)
    assert (found and found.identity.uri) == uri


@pytest.mark.rfc("TS23.003-13.5")
def test_no_wildcarded_identity_takes_long_to_be_told_from_others(source: Source) -> None:
    pbx = Subscriber("pbx@ims.example", Password("p"), ((public_identity(f"sip:pbx-!(a+)+!@{HOME}"),),))
    subscribers = source((pbx,))
    assert subscribers.by_public(f"sip:pbx-{'a' * 40}b@{HOME}") is None
    assert subscribers.by_public(f"sip:pbx-{'a' * 4000}@{HOME}") is not None


@pytest.mark.rfc("TS23.228-4.3.3.4")
def test_a_shared_identity_is_found_with_all_who_share_it(source: Source) -> None:
    found = source(EVERYBODY).by_public("tel:+861088880000")
    assert found is not None
    assert found.subscriber == BOB
    assert found.privates == (BOB.private, CAROL.private)
    wild = source(EVERYBODY).by_public(f"sip:pbx-1@{HOME}")
    assert wild is not None
    assert wild.privates == (CAROL.private,)


@pytest.mark.rfc("TS24.229-5.4.1.2.2")
def test_the_default_identity_is_the_first_that_is_not_barred(source: Source) -> None:
    found = source(EVERYBODY).by_public("tel:+8613800000001")
    assert found is not None
    assert found.default == SIP
    assert default_of(CAROL.sets[1]) is None
    assert default_of((BARRED,)) is None


@pytest.mark.parametrize(
    ("subscribers", "complaint"),
    [
        ([Subscriber("a@x", Password("p"), ((SIP, TEL), (SIP,)))], f"a@x has {SIP.uri} twice"),
        ([Subscriber("a@x", Password("p"), ())], "a@x has no public identity"),
        ([Subscriber("a@x", Password("p"), ((SIP,), ()))], "a@x has no public identity"),
        (
            [Subscriber("a@x", Password("p"), ((SIP, TEL),)), Subscriber("b@x", Password("p"), ((SIP,),))],
            f"share {SIP.uri}, but not the whole set that it is in",
        ),
    ],
)
@pytest.mark.rfc("TS23.228-5.2.1a")
def test_what_contradicts_itself_is_refused(source: Source, subscribers: list[Subscriber], complaint: str) -> None:
    with pytest.raises(ValueError, match=re.escape(complaint)):
        source(subscribers)


def test_a_private_identity_comes_once_in_a_directory() -> None:
    with pytest.raises(ValueError, match="comes twice"):
        Directory((BOB, BOB), new_centre())


@pytest.mark.rfc("TS33.102-6.3.2", "TS33.102-6.3.3")
def test_a_usim_takes_the_vectors_of_its_subscriber(source: Source) -> None:
    subscribers, usim = source(EVERYBODY), Usim(ONE.k, ONE.opc, jump=1 << 40)
    rands = set()
    for _ in range(3):
        vector = subscribers.vector(ALICE.private, NOON)
        assert vector is not None
        res, ck, ik = usim.authenticate(vector.rand, vector.autn)
        assert vector.answer == (res, ck, ik) == subscribers.answer(ALICE.private, vector.rand)
        assert vector.autn[6:8] == ONE.amf
        rands.add(vector.rand)
    assert len(rands) == 3


def test_no_response_has_a_zero_in_it(source: Source) -> None:
    """SIPp takes it for a string of C: it would answer wrong, once in 32 times."""
    subscribers = source(EVERYBODY)
    vectors = [subscribers.vector(ALICE.private, NOON) for _ in range(300)]
    assert all(vector is not None and 0 not in vector.answer.res for vector in vectors)


@pytest.mark.rfc("TS33.102-6.3.5")
def test_a_usim_that_is_elsewhere_is_followed(source: Source) -> None:
    subscribers, usim = source(EVERYBODY), Usim(ONE.k, ONE.opc)
    usim.accepted = [1 << 40] * 32
    vector = subscribers.vector(ALICE.private, NOON)
    assert vector is not None
    with pytest.raises(SynchronisationFailure) as failure:
        usim.authenticate(vector.rand, vector.autn)
    auts = failure.value.auts
    for wrong in (b"", auts[:-1], bytes(14), bytes([auts[0] ^ 1]) + auts[1:]):
        assert not subscribers.resynchronise(ALICE.private, vector.rand, wrong, NOON)
    assert not subscribers.resynchronise(ALICE.private, bytes(16), auts, NOON)
    assert not subscribers.resynchronise(CAROL.private, vector.rand, auts, NOON)
    assert subscribers.resynchronise(ALICE.private, vector.rand, auts, NOON)
    fresh = subscribers.vector(ALICE.private, NOON)
    assert fresh is not None
    usim.authenticate(fresh.rand, fresh.autn)


@pytest.mark.parametrize("private", [BOB.private, "nobody@ims.example"])
def test_who_has_no_keys_gets_no_vector(source: Source, private: str) -> None:
    subscribers = source(EVERYBODY)
    assert subscribers.vector(private, NOON) is None
    assert subscribers.answer(private, bytes(16)) is None
    assert not subscribers.resynchronise(private, bytes(16), bytes(14), NOON)


@pytest.mark.rfc("TS33.102-C.1.1.3")
def test_what_a_usim_told_outlives_a_restart(tmp_path: Path) -> None:
    """The memory source keeps the sequence numbers in a file, too."""
    usim = Usim(ONE.k, ONE.opc)
    usim.accepted = [1 << 41] * 32
    for restart in range(3):
        database = open_database(tmp_path / "aka.db")
        subscribers = Directory((ALICE,), new_centre(database))
        vector = subscribers.vector(ALICE.private, NOON)
        assert vector is not None
        if restart == 0:
            assert subscribers.resynchronise(ALICE.private, vector.rand, usim.auts(vector.rand), NOON)
        else:
            usim.authenticate(vector.rand, vector.autn)
        database.close()


def test_numbers_that_cannot_be_written_stop_nobody(tmp_path: Path) -> None:
    database = open_database(tmp_path / "aka.db")
    ledger = SequenceLedger(database)
    database.execute("DROP TABLE reserved")
    numbers = SequenceNumbers(lambda now: now, None)
    numbers._ledger = ledger
    assert numbers.take("a", NOON) < numbers.take("a", NOON + 70)
    assert ledger.failures == 2
    database.close()


def test_a_file_that_cannot_be_read_is_told_to_who_asks(tmp_path: Path) -> None:
    file = open_database(tmp_path / "subscribers.db")
    subscribers = SubscriberDatabase(file, new_centre(file))
    subscribers.put(EVERYBODY)
    file.execute("ALTER TABLE subscribers RENAME TO elsewhere")
    for ask in (
        lambda: subscribers.by_private(ALICE.private),
        lambda: subscribers.by_public(SIP.uri),
        lambda: subscribers.vector(ALICE.private, NOON),
        lambda: subscribers.answer(ALICE.private, bytes(16)),
        lambda: subscribers.resynchronise(ALICE.private, bytes(16), bytes(14), NOON),
    ):
        with pytest.raises(ServerTimeout):
            ask()
    assert subscribers.failures == 5
    file.execute("ALTER TABLE elsewhere RENAME TO subscribers")
    assert subscribers.by_private(ALICE.private) == ALICE
    file.close()


def test_what_another_process_puts_into_the_file_counts_at_once(tmp_path: Path) -> None:
    ours, theirs = (open_database(tmp_path / "subscribers.db") for _ in range(2))
    here, there = (SubscriberDatabase(database, new_centre(database)) for database in (ours, theirs))
    assert here.by_public(f"sip:pbx-1@{HOME}") is there.by_public(f"sip:pbx-1@{HOME}") is None
    there.put(EVERYBODY)
    assert there.by_public(f"sip:pbx-1@{HOME}") is not None
    assert len(here) == 3
    found = here.by_public(f"sip:pbx-1@{HOME}")
    assert found is not None
    there.put([Subscriber(CAROL.private, CAROL.credentials, (SHARED,))])
    assert here.by_public(f"sip:pbx-1@{HOME}") is None
    there.put([CAROL])
    assert there.by_public(f"sip:pbx-1@{HOME}") is not None
    assert there.remove(CAROL.private)
    assert there.by_public(f"sip:pbx-1@{HOME}") is None
    assert not there.remove(CAROL.private)
    assert here.by_private(CAROL.private) is None
    ours.close()
    theirs.close()


def test_every_look_up_goes_by_an_index(tmp_path: Path) -> None:
    """So that its cost does not grow with the number of subscribers."""
    file = open_database(tmp_path / "subscribers.db")
    subscribers = SubscriberDatabase(file, new_centre(file))
    subscribers.put(EVERYBODY)
    asked: list[str] = []
    file.set_trace_callback(asked.append)
    subscribers.by_private(ALICE.private)
    for uri in (SIP.uri, f"sip:+861088880000@{HOME}", f"sip:pbx-1@{HOME}", "tel:+8699"):
        subscribers.by_public(uri)
    subscribers.vector(ALICE.private, NOON)
    file.set_trace_callback(None)
    plans = [
        str(row[3])
        for statement in asked
        if statement.startswith("SELECT")
        for row in file.execute(f"EXPLAIN QUERY PLAN {statement}")
    ]
    assert len(plans) > 10
    assert [plan for plan in plans if not plan.startswith(("SEARCH", "USE TEMP B-TREE"))] == [
        "SCAN identities USING INDEX wild"  # of wildcarded identities only, when the file has changed
    ]
    file.close()


def test_keys_are_for_their_owners_eyes_only(tmp_path: Path) -> None:
    file = open_database(tmp_path / "subscribers.db")
    SubscriberDatabase(file, new_centre(file)).put(EVERYBODY)
    assert {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {
        "subscribers.db": 0o600,
        "subscribers.db-wal": 0o600,
        "subscribers.db-shm": 0o600,
    }
    file.close()


def test_a_refused_put_changes_nothing(tmp_path: Path) -> None:
    database = open_database(tmp_path / "subscribers.db")
    subscribers = SubscriberDatabase(database, new_centre(database))
    subscribers.put([ALICE])
    with pytest.raises(ValueError, match="share"):
        subscribers.put([BOB, Subscriber("b@x", Password("p"), ((TEL,),))])
    assert subscribers.by_private(BOB.private) is None
    assert len(subscribers) == 1
    database.close()


def test_a_file_of_something_else_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "subscribers.db"
    path.write_bytes(b"no database at all, but long enough to have a header" * 20)
    with pytest.raises(sqlite3.DatabaseError):
        open_database(path)
    other = tmp_path / "other.db"
    with sqlite3.connect(other) as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(sqlite3.DatabaseError, match="version 99 of the tables, expected 1"):
        open_database(other)


@pytest.mark.parametrize(
    ("texts", "complaint"),
    [
        ({"k": "46", "op": ONE.op.hex()}, "expected k of 32 hexadecimal digits"),
        ({"k": ONE.k.hex(), "op": "x" * 32}, "expected op of 32 hexadecimal digits"),
        ({"k": ONE.k.hex(), "opc": ONE.opc.hex() + "00"}, "expected opc of 32 hexadecimal digits"),
        ({"k": ONE.k.hex(), "opc": ONE.opc.hex(), "amf": "b9"}, "expected amf of 4 hexadecimal digits"),
        ({"k": ONE.k.hex()}, "expected either op or opc"),
        ({"k": ONE.k.hex(), "op": ONE.op.hex(), "opc": ONE.opc.hex()}, "expected either op or opc"),
    ],
)
def test_keys_that_are_none_are_refused_without_telling_them(texts: dict[str, str], complaint: str) -> None:
    with pytest.raises(ValueError, match=f"^{complaint}$"):
        aka(**texts)  # type: ignore[arg-type]


def test_op_and_opc_name_the_same_keys() -> None:
    assert aka(ONE.k.hex(), op=ONE.op.hex()) == aka(ONE.k.hex().upper(), opc=ONE.opc.hex())
