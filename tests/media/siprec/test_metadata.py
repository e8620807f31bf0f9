"""Metadata for recording servers: valid by the schema, and true at each moment (RFC 7865)."""

import base64
import itertools
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from media.siprec.metadata import NAMESPACE, Metadata, instant

SCHEMA = etree.XMLSchema(etree.parse(str(Path(__file__).with_name("rs-metadata.xsd"))))
NOW = 1_700_000_000.5
R = {"r": NAMESPACE}


def metadata() -> Metadata:
    numbers = itertools.count(1)
    return Metadata(("1", "2"), NOW, lambda bits: next(numbers) << (bits - 16), "a1b2@host")


def read(told: Metadata) -> etree._Element:
    root = etree.fromstring(told.document().encode())
    SCHEMA.assertValid(root)
    return root


def texts(root: etree._Element, path: str) -> list[str]:
    return [str(found) for found in root.xpath(path, namespaces=R)]


@pytest.mark.rfc("7865-6.10")
def test_ids_are_uuids_in_base64_and_unique() -> None:
    told = metadata()
    told.join("sip:a@x", "", "1", NOW)
    root = read(told)
    ids = texts(root, "//r:session/@session_id | //r:group/@group_id | //@stream_id | //r:participant/@participant_id")
    assert len(set(ids)) == len(ids) == 5
    assert all(UUID(bytes=base64.b64decode(text)).version == 4 for text in ids)


@pytest.mark.rfc("7865-6.3")
@pytest.mark.rfc("7865-6.7")
@pytest.mark.rfc("7865-6.8")
def test_a_call_has_two_who_are_heard_in_a_stream_each() -> None:
    told = metadata()
    told.join("tel:+8613800000001", "", "1", NOW)
    told.join("sip:a1@acd.example", "Wang Fang <&>", "2", NOW + 1)
    root = read(told)
    assert texts(root, "//r:datamode/text()") == ["complete"]
    assert texts(root, "//r:nameID/@aor") == ["tel:+8613800000001", "sip:a1@acd.example"]
    assert texts(root, "//r:name/text()") == ["Wang Fang <&>"]
    assert texts(root, "//r:session/r:sipSessionID/text()") == ["a1b2@host"]
    assert texts(root, "//r:session/r:start-time/text()") == ["2023-11-14T22:13:20.500Z"]
    caller, agent = texts(root, "//r:participant/@participant_id")
    first, second = texts(root, "//r:stream[r:label='1']/@stream_id | //r:stream[r:label='2']/@stream_id")
    for participant, sent, heard in ((caller, first, second), (agent, second, first)):
        of = f"//r:participantstreamassoc[@participant_id='{participant}']"
        assert texts(root, f"{of}/r:send/text()") == [sent]
        assert texts(root, f"{of}/r:recv/text()") == [heard]
    session = texts(root, "//r:session/@session_id")
    assert (
        texts(root, "//r:stream/@session_id") == texts(root, "//r:participantsessionassoc/@session_id") == session * 2
    )
    assert not texts(root, "//r:disassociate-time/text()")


@pytest.mark.rfc("7865-6.6")
def test_a_transfer_ends_one_association_and_begins_another() -> None:
    told = metadata()
    told.join("sip:c@x", "", "1", NOW)
    first = told.join("sip:a1@x", "", "2", NOW)
    told.leave(first, NOW + 10)
    second = told.join("sip:a2@x", "", "2", NOW + 20)
    root = read(told)
    assert texts(root, f"//r:participantsessionassoc[@participant_id='{first.id}']/r:disassociate-time/text()") == [
        instant(NOW + 10)
    ]
    of = "//r:participantstreamassoc[@participant_id='{}' and r:send]/r:{}/text()"
    assert texts(root, of.format(first.id, "disassociate-time")) == [instant(NOW + 10)]
    assert texts(root, of.format(second.id, "associate-time")) == [instant(NOW + 20)]
    assert not texts(root, of.format(second.id, "disassociate-time"))
    assert not texts(root, f"//r:participantstreamassoc[@participant_id='{first.id}']/r:recv/text()")


@pytest.mark.rfc("7865-6.8")
def test_hold_is_a_stream_without_who_sends_it() -> None:
    told = metadata()
    caller = told.join("sip:c@x", "", "1", NOW)
    told.join("sip:a@x", "", "2", NOW)
    told.hear("1", None, NOW + 5)
    told.hear("1", None, NOW + 6)
    of = f"//r:participantstreamassoc[@participant_id='{caller.id}' and r:send]"
    assert texts(read(told), f"{of}/r:disassociate-time/text()") == [instant(NOW + 5)]
    told.hear("1", caller, NOW + 9)
    assert texts(read(told), f"{of}/r:associate-time/text()") == [instant(NOW), instant(NOW + 9)]


@pytest.mark.rfc("7865-6.3")
def test_the_end_ends_everything() -> None:
    told = metadata()
    told.join("sip:c@x", "", "1", NOW)
    told.join("sip:a@x", "", "2", NOW)
    told.end(NOW + 60)
    root = read(told)
    assert texts(root, "//r:session/r:stop-time/text()") == [instant(NOW + 60)]
    assert set(texts(root, "//r:disassociate-time/text()")) == {instant(NOW + 60)}
    assert len(texts(root, "//r:disassociate-time/text()")) == 6


@given(st.lists(st.tuples(st.text(max_size=20), st.text(max_size=20)), max_size=4))
def test_any_name_makes_a_valid_document(parties: list[tuple[str, str]]) -> None:
    told = metadata()
    for number, (user, name) in enumerate(parties):
        told.join(f"sip:{user}@x", name, "12"[number % 2], NOW + number)
    assert len(texts(read(told), "//r:participant/@participant_id")) == len(parties)
