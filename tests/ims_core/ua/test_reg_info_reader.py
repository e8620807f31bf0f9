"""Reading registration information: what was written comes back, whatever others write raises one error at most."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ims_core.ua.reg_info import ContactState, RegistrationState, write_reg_info
from ims_core.ua.reg_info_reader import RegInfo, RegInfoError, read_reg_info

pytestmark = pytest.mark.rfc("3680-5.1")

WORD = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), max_size=12)
URI = st.from_regex(r"[A-Za-z0-9._~:@!$&'()*+,;=-]{0,12}", fullmatch=True)  # else it comes back with escapes
NUMBER = st.none() | st.integers(0, 2**32 - 1)
CONTACT = st.builds(
    ContactState, WORD, URI, st.sampled_from(["active", "terminated"]), WORD, NUMBER, NUMBER, NUMBER,
    st.sampled_from([None, 0.0, 0.5, 0.25, 1.0]), WORD, NUMBER, WORD,
    st.lists(st.tuples(WORD, WORD), max_size=3).map(tuple),
)  # fmt: skip
REGISTRATION = st.builds(
    RegistrationState, WORD, URI, st.sampled_from(["init", "active", "terminated"]),
    st.lists(CONTACT, max_size=3).map(tuple), WORD,
)  # fmt: skip
PLAIN = write_reg_info(
    1, [RegistrationState("r", "sip:a@b", "active", (ContactState("c", "sip:a@c", "active", "created"),))], full=True
)


@given(st.integers(0, 2**31), st.lists(REGISTRATION, max_size=3), st.booleans())
def test_what_was_written_is_read(version: int, registrations: list[RegistrationState], full: bool) -> None:
    document = write_reg_info(version, registrations, full=full)
    assert read_reg_info(document) == RegInfo(version, full, tuple(registrations))


@given(
    st.binary()
    | st.tuples(st.integers(0, len(PLAIN)), st.binary(max_size=8)).map(
        lambda at: PLAIN[: at[0]] + at[1] + PLAIN[at[0] :]
    )
    | st.tuples(st.integers(0, len(PLAIN)), st.integers(0, 30)).map(lambda at: PLAIN[: at[0]] + PLAIN[sum(at) :])
)
def test_whatever_else_comes_is_one_error(data: bytes) -> None:
    with suppress(RegInfoError):
        assert isinstance(read_reg_info(data), RegInfo)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "Not well-formed"),
        (b"<reginfo>", "Not well-formed"),
        (b"<presence/>", "The root is 'presence'"),
        (b'<!DOCTYPE reginfo [<!ENTITY a "b">]><reginfo>&a;</reginfo>', "With a document type"),
        (b'<?xml version="1.0" encoding="nonsense"?><reginfo/>', "encoding"),
        (b'<?xml version="1.0" encoding="utf-7"?><reginfo/>', "encoding"),
    ],
)
def test_what_is_no_document_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(RegInfoError, match=reason):
        read_reg_info(data)


def test_what_is_odd_is_unknown() -> None:
    """As other registrars write it: attributes left out, text in lines of its own, elements of other namespaces."""
    document = b"""<reginfo xmlns="urn:ietf:params:xml:ns:reginfo" version="x">
      <registration aor=" sip:alice@ims.example ">
        <contact expires="-1" cseq="99999999999" q="2" state="terminated" event="deactivated">
          <gr:pub-gruu xmlns:gr="urn:ietf:params:xml:ns:gruuinfo" uri="sip:alice@ims.example;gr=1"/>
          <uri>
            sip:alice@192.0.2.7
          </uri>
        </contact>
        <other:contact xmlns:other="urn:other"/>
      </registration>
    </reginfo>"""
    contact = ContactState("", "sip:alice@192.0.2.7", "terminated", "deactivated")
    registration = RegistrationState("", "sip:alice@ims.example", "", (contact,))
    assert read_reg_info(document) == RegInfo(None, full=True, registrations=(registration,))
