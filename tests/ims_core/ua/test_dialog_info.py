"""dialog-info documents: ours are valid and say what they mean; those of others are read or refused (RFC 4235)."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from ims_core.errors import BadRequest
from ims_core.ua.dialog_info import NAMESPACE, DialogInfo, DialogState, Party, parse_dialog_info, write_dialog_info

SCHEMA = etree.XMLSchema(etree.parse(Path(__file__).with_name("dialog-info.xsd")))
STATES = ("trying", "proceeding", "early", "confirmed", "terminated")
EVENTS = ("", "cancelled", "rejected", "replaced", "local-bye", "remote-bye", "error", "timeout")
TALK = DialogState(
    "d1", "confirmed", "recipient", "call-1@x", "b1", "a1", seconds=7,
    local=Party("sip:bob@ims.example", "", "sip:bob@192.0.2.1"),
    remote=Party("sip:alice@ims.example", 'Alice "A" <&>', "sip:alice@192.0.2.2;transport=tcp"),
)  # fmt: skip


def assert_valid(document: bytes) -> None:
    SCHEMA.assertValid(etree.fromstring(document))


@pytest.mark.rfc("4235-4.1")
@pytest.mark.rfc("4235-4.4")
def test_a_document_is_valid_and_read_back() -> None:
    document = write_dialog_info("sip:bob@ims.example", 3, [TALK], full=False)
    assert_valid(document)
    assert document.startswith(b"<?xml version='1.0' encoding='UTF-8'?>")
    assert (
        f'<dialog-info xmlns="{NAMESPACE}" version="3" entity="sip:bob@ims.example" state="partial">'.encode()
        in document
    )
    assert parse_dialog_info(document) == DialogInfo("sip:bob@ims.example", 3, False, (TALK,))


@pytest.mark.rfc("4235-4.3")
def test_nothing_going_on_is_a_full_document_without_dialogs() -> None:
    document = write_dialog_info("sip:bob@ims.example", 0, [], full=True)
    assert_valid(document)
    assert parse_dialog_info(document) == DialogInfo("sip:bob@ims.example", 0, True, ())


text = st.text(max_size=20)
parties = st.builds(Party, st.sampled_from(["", "sip:x@y"]), text, text)


@given(
    st.builds(
        DialogState, st.just("1"), st.sampled_from(STATES), st.sampled_from(["", "initiator", "recipient"]), text, text,
        text, st.sampled_from(EVENTS), st.none() | st.integers(100, 699), st.none() | st.integers(0, 10**9), parties,
        parties,
    )
)  # fmt: skip
def test_whatever_peers_call_themselves_the_document_stays_valid(dialog: DialogState) -> None:
    document = write_dialog_info("sip:bob@ims.example", 1, [dialog], full=True)
    assert_valid(document)
    (read,) = parse_dialog_info(document).dialogs
    assert (read.state, read.direction, read.event, read.code) == (
        dialog.state,
        dialog.direction,
        dialog.event,
        dialog.code,
    )
    assert read.seconds == dialog.seconds


def test_text_cannot_break_out_of_its_place() -> None:
    evil = '"/></dialog><dialog id="evil"><state>confirmed</state>\x00\ud800'
    document = write_dialog_info(evil, 1, [TALK._replace(call_id=evil, remote=Party(evil, evil, evil))], full=True)
    assert_valid(document)
    (read,) = parse_dialog_info(document).dialogs
    assert read.call_id == evil[:-2]


@pytest.mark.rfc("4235-4.1")
def test_documents_of_others_may_hold_more() -> None:
    document = f"""<?xml version="1.0"?>
    <!-- of a phone -->
    <di:dialog-info xmlns:di="{NAMESPACE}" xmlns:x="urn:other" state="full" version="12" entity="sip:a@b" x:y="z">
      <di:dialog id="7" direction="initiator" x:appearance="2">
        <di:state event="local-bye" code="200"> terminated </di:state>
        <di:duration>12</di:duration>
        <x:thing><di:state>early</di:state></x:thing>
        <di:remote><di:identity display="B">sip:b@c</di:identity>
          <di:target uri="sip:b@1.2.3.4"><di:param pname="+sip.rendering" pval="no"/></di:target></di:remote>
      </di:dialog>
      <di:dialog id="8"><di:state>dancing</di:state></di:dialog>
      <di:dialog><di:state>early</di:state></di:dialog>
      <di:dialog id="9"><di:state event="bored" code="x">early</di:state><di:duration>-1</di:duration></di:dialog>
    </di:dialog-info>""".encode()
    info = parse_dialog_info(document)
    assert (info.version, info.full, [dialog.id for dialog in info.dialogs]) == (12, True, ["7", "9"])
    assert info.dialogs[0] == DialogState(
        "7", "terminated", "initiator", event="local-bye", code=200, seconds=12,
        remote=Party("sip:b@c", "B", "sip:b@1.2.3.4"),
    )  # fmt: skip
    assert info.dialogs[1] == DialogState("9", "early")


def info(inside: str = "", attributes: str = 'version="0" state="full" entity="sip:a@b"', before: str = "") -> bytes:
    return f'{before}<dialog-info xmlns="{NAMESPACE}" {attributes}>{inside}</dialog-info>'.encode()


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"\x00\xff",
        b"<dialog-info",
        b"<other/>",
        b'<dialog-info version="0" state="full" entity="sip:a@b"/>',
        info(attributes='state="full" entity="sip:a@b"'),
        info(attributes='version="-1" state="full"'),
        info(attributes='version="0" state="some"'),
        info(attributes=f'version="{"9" * 5000}" state="full"'),
        info("<a>" * 10_000),
        info("<a/>" * 10_000),
        info("x" * 70_000),
        info(before='<!DOCTYPE dialog-info [<!ENTITY lol "lol"><!ENTITY lol2 "&lol;&lol;">]>'),
        info("&lol;", before='<!DOCTYPE dialog-info SYSTEM "file:///etc/passwd">'),
        info(before='<?xml version="1.0" encoding="utf-99"?>'),
        info().replace(b"<dialog-info", b"<dialog-info xmlns:a='u'", 1) + b"<more/>",
    ],
    ids=range(16),
)
def test_what_is_no_document_is_refused(document: bytes) -> None:
    with pytest.raises(BadRequest):
        parse_dialog_info(document)


@given(st.binary(max_size=200) | st.text(max_size=200).map(info))
def test_any_bytes_are_read_or_refused(document: bytes) -> None:
    try:
        read = parse_dialog_info(document)
    except BadRequest:
        return
    assert read.full


def test_a_flood_of_dialogs_is_cut_short() -> None:
    flood = info('<dialog id="1"><state>early</state></dialog>' * 1000)
    assert len(parse_dialog_info(flood).dialogs) == 256
