"""What is told of a decision."""

from __future__ import annotations

import pytest

from ims_core.messages.message import Request
from ims_core.messages.parser import parse_message
from ims_core.profiles.explain import explain
from ims_core.profiles.matching import Facts
from ims_core.profiles.model import Registration, ServiceProfile, SessionCase
from tests.ims_core.profiles.test_forms import PROFILE, from_toml
from tests.ims_core.profiles.test_mistakes import WHOLE
from tests.kit.messages import request_bytes


def told(profile: ServiceProfile, data: bytes, case: SessionCase, registration: Registration | None = None) -> str:
    request = parse_message(data)
    assert isinstance(request, Request)
    return "\n".join(explain(profile, Facts(request, case, registration)))


@pytest.mark.rfc("TS29.228-B.2.2", "TS29.228-B.2.3", "TS29.228-C")
def test_every_condition_is_told_with_what_it_found() -> None:
    data = request_bytes(
        "INVITE",
        "sip:+8613800000001@ims.example",
        headers=[("Privacy", "header"), ("Content-Type", "application/sdp")],
        body=b"v=0\r\nm=audio 4000 RTP/AVP 0\r\n",
    )
    assert told(PROFILE, data, SessionCase.TERMINATING_UNREGISTERED) == (
        """INVITE "sip:+8613800000001@ims.example"
session case terminating_unregistered, the user is not registered

criterion 0, sip:presence.ims.example: does not hold
  the trigger does not fire: every group must hold
    no: group 1, one of
      no: method REGISTER, registration initial or de: it is INVITE

criterion 10, sip:as@192.0.2.7:5064;transport=tcp: does not hold
  no: it is for a user who is registered; this one is not registered
  the trigger does not fire: every group must hold
    yes: group 1, one of
      yes: method INVITE: it is INVITE
      no: method MESSAGE: it is INVITE
    yes: group 2, one of
      yes: not header Privacy with "id|user": there is "Privacy: header"
    no: group 3, one of
      no: not Request-URI with "^sip:[+]86[0-9]*@": it is "sip:+8613800000001@ims.example"
      no: header Accept-Contact: there is none

criterion 20, sips:video.ims.example: does not hold
  yes: it is for a user who is not registered; this one is not registered
  the trigger does not fire: some group must hold
    no: group 1, all of
      yes: session case terminating_unregistered: it is terminating_unregistered
      no: SDP line m= with "^video": there is "m=audio 4000 RTP/AVP 0"
    no: group 2, all of
      no: SDP line k=: there is none
    no: group 3, all of
      no: session case originating_cdiv: it is terminating_unregistered

criterion 2147483647, sip:last.ims.example: holds; without an answer of the server the session goes on
  no trigger: it is for every request

application servers, if each sends the request on as it is: sip:last.ims.example"""
    )


@pytest.mark.rfc("TS29.228-B.2.3")
@pytest.mark.parametrize(
    ("registration", "line"),
    [
        (Registration.DE, "yes: method REGISTER, registration initial or de: it is REGISTER, registration de"),
        (Registration.RE, "no: method REGISTER, registration initial or de: it is REGISTER, registration re"),
        (None, "no: method REGISTER, registration initial or de: it is REGISTER, registration unknown"),
    ],
)
def test_what_a_register_does_is_told(registration: Registration | None, line: str) -> None:
    text = told(PROFILE, request_bytes("REGISTER", "sip:ims.example"), SessionCase.ORIGINATING, registration)
    assert f"\n      {line}\n" in text
    assert ("session case originating, the user is registered, registration " in text) is (registration is not None)
    assert "there is no session description" in text


def test_a_server_that_was_visited_is_told_and_who_has_none() -> None:
    data = request_bytes()
    twice = from_toml(WHOLE + 'default_handling = "terminated"\n' + WHOLE.replace("1", "2"))
    text = told(twice, data, SessionCase.ORIGINATING)
    assert "criterion 1, sip:as: holds; without an answer of the server the session is ended" in text
    assert "criterion 2, sip:as: holds, but the request has been to this server" in text
    assert text.endswith(": sip:as")
    assert told(ServiceProfile("x"), data, SessionCase.ORIGINATING).endswith("\n\napplication servers: none")


def test_what_somebody_sent_is_no_command_to_a_terminal() -> None:
    profile = from_toml(WHOLE + 'all = [{ header = "Subject", content = "x" }, { uri = "y" }]')
    data = request_bytes(headers=[("Subject", "SUBJECT"), ("Subject", "z" * 500)]).replace(
        b"SUBJECT", b"\x1b[2J\xff\r\n b"
    )
    text = told(profile, data, SessionCase.ORIGINATING)
    assert f'there is "Subject: ?[2J\ufffd b", "Subject: {"z" * 188}..."' in text
    assert '\n      no: Request-URI with "y": it is "sip:bob@192.0.2.1"\n' in text
    assert text.replace("\n", "").isprintable()
