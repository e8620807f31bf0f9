"""Which criterion is next: cases after the examples of TS 23.218, TS 23.228 and TS 29.228."""

from __future__ import annotations

import pytest

from ims_core.messages.message import Request
from ims_core.messages.parser import parse_message
from ims_core.patterns import NamePattern, Pattern
from ims_core.profiles.matching import Facts, applies, holds, matching
from ims_core.profiles.model import (
    Case,
    Criterion,
    Form,
    Header,
    Method,
    Point,
    ProfilePart,
    Registration,
    RequestUri,
    Server,
    ServicePointTrigger,
    ServiceProfile,
    SessionCase,
    SessionDescription,
    Trigger,
)
from tests.kit.messages import request_bytes

ORIGINATING, TERMINATING = SessionCase.ORIGINATING, SessionCase.TERMINATING_REGISTERED
SDP = b"v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n"
VIDEO = SDP + b"m=video 4002 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"


def request(
    method: str = "INVITE", uri: str = "sip:bob@ims.example", *headers: tuple[str, str], body: bytes = b""
) -> Request:
    message = parse_message(request_bytes(method, uri, headers=headers, body=body))
    assert isinstance(message, Request)
    return message


def facts(
    message: Request | None = None, case: SessionCase = ORIGINATING, registration: Registration | None = None
) -> Facts:
    return Facts(message or request(), case, registration)


def header(name: str, content: str | None = None) -> Header:
    return Header(NamePattern(name), None if content is None else Pattern(content))


def line(kind: str, content: str | None = None) -> SessionDescription:
    return SessionDescription(Pattern(kind), None if content is None else Pattern(content))


def so(point: Point, given: Facts) -> bool:
    """A condition, of which the negated form must say the opposite."""
    held = holds(ServicePointTrigger(point), given)
    assert holds(ServicePointTrigger(point, negated=True), given) is not held
    return held


def when(*groups: tuple[Point, ...] | Point, form: Form = Form.CONJUNCTIVE) -> Trigger:
    listed = [group if isinstance(group, tuple) else (group,) for group in groups]
    return Trigger(form, tuple(tuple(map(ServicePointTrigger, group)) for group in listed))


# Single conditions (TS 29.228 B.2.3) --------------------------------------------------------------------------


@pytest.mark.rfc("TS29.228-B.2.3", "3261-7.1")
def test_a_method_is_compared_with_its_case() -> None:
    assert so(Method("MESSAGE"), facts(request("MESSAGE")))
    assert not so(Method("INVITE"), facts(request("MESSAGE")))
    assert not so(Method("INVITE"), facts(request("invite")))


@pytest.mark.rfc("TS29.228-B.2.3")
@pytest.mark.parametrize(
    ("wanted", "done", "held"),
    [
        ((), Registration.INITIAL, True),
        ((), Registration.DE, True),
        ((Registration.INITIAL,), Registration.INITIAL, True),
        ((Registration.INITIAL,), Registration.RE, False),
        ((Registration.INITIAL, Registration.DE), Registration.DE, True),
        ((Registration.INITIAL, Registration.DE), Registration.RE, False),
        ((Registration.RE,), None, False),
    ],
)
def test_a_register_matches_if_one_of_the_types_does(
    wanted: tuple[Registration, ...], done: Registration | None, held: bool
) -> None:
    register = request("REGISTER", "sip:ims.example")
    assert so(Method("REGISTER", frozenset(wanted)), facts(register, registration=done)) is held


@pytest.mark.rfc("TS29.228-B.2.3")
def test_registration_types_say_nothing_of_other_methods() -> None:
    assert so(Method("INVITE", frozenset((Registration.DE,))), facts())


@pytest.mark.rfc("TS29.228-B.2.3", "TS29.228-F")
@pytest.mark.parametrize(
    ("pattern", "uri", "held"),
    [
        ("sip:[+]86", "sip:+8613800000001@ims.example", True),
        ("[+]86.*@ims[.]example$", "sip:+8613800000001@ims.example", True),
        ("user=phone", "sip:+8613800000001@ims.example;user=phone", True),
        ("^sip:bob@", "sip:bob@ims.example", True),
        ("^sip:bob@", "sip:Bob@ims.example", False),
        ("IMS", "sip:bob@ims.example", False),
        ("^ims.example(:5060)?$", "sip:bob@ims.example:5060;transport=tcp", True),
        ("^ims.example$", "sip:ims.example", True),
        ("^[+]8610[[:digit:]]{8}$", "tel:+861065551234", True),
        ("^[+]8610", "tel:+862065551234", False),
        ("^urn:service:sos([.]|$)", "urn:service:sos.fire", True),
        ("^urn:service:sos([.]|$)", "urn:service:soss", False),
    ],
)
def test_a_request_uri_holds_a_pattern(pattern: str, uri: str, held: bool) -> None:
    assert so(RequestUri(Pattern(pattern)), facts(request(uri=uri))) is held


@pytest.mark.rfc("TS29.228-B.2.3", "3261-7.3.1", "3261-7.3.3")
@pytest.mark.parametrize(
    ("point", "headers", "held"),
    [
        (header("Accept-Contact"), [("Accept-Contact", "*;video")], True),
        (header("accept-contact"), [("Accept-Contact", "*;video")], True),
        (header("Accept-Contact"), [("a", "*;video")], True),
        (header("a"), [("Accept-Contact", "*;video")], True),
        (header("Accept-Contact"), [], False),
        (header("Privacy", "^id$"), [("Privacy", "id")], True),
        (header("Privacy", "id"), [("Privacy", "header;id")], True),
        (header("Privacy", "ID"), [("Privacy", "id")], False),
        (header("P-Asserted-Identity", "^<tel:"), [("P-Asserted-Identity", "<sip:a@b>")], False),
        (
            header("P-Asserted-Identity", "^<tel:"),
            [("P-Asserted-Identity", "<sip:a@b>"), ("P-Asserted-Identity", "<tel:+861>")],
            True,
        ),
        (header("To"), [("History-Info", "<sip:a@b>;index=1")], True),
        (header("Histo.*"), [("History-Info", "<sip:a@b>;index=1")], True),
        (header("History"), [("History-Info", "<sip:a@b>;index=1")], False),
        (header("P-(Asserted|Preferred)-Identity"), [("P-Preferred-Identity", "<sip:a@b>")], True),
        (header("Subject", "one two"), [("Subject", "one\r\n two")], True),
        (header("Subject", "^caf.$"), [("Subject", "café")], True),
        (header(".*", "needle"), [("X-Hay", "a needle in it")], True),
    ],
)
def test_a_header_is_there_or_holds_a_pattern(point: Header, headers: list[tuple[str, str]], held: bool) -> None:
    assert so(point, facts(request("INVITE", "sip:bob@ims.example", *headers))) is held


@pytest.mark.rfc("TS29.228-B.2.3")
def test_a_header_that_is_no_utf_8_is_looked_at_all_the_same() -> None:
    data = request_bytes(headers=[("Subject", "SUBJECT")]).replace(b"SUBJECT", b"a\xff\xfeb")
    message = parse_message(data)
    assert isinstance(message, Request)
    assert so(header("Subject", "^a..b$"), facts(message))


@pytest.mark.rfc("TS29.228-B.2.3")
@pytest.mark.parametrize("case", SessionCase)
@pytest.mark.parametrize("other", SessionCase)
def test_a_session_case_is_that_one(case: SessionCase, other: SessionCase) -> None:
    assert so(Case(case), facts(case=other)) is (case is other)


@pytest.mark.rfc("TS29.228-B.2.3")
@pytest.mark.parametrize(
    ("point", "body", "held"),
    [
        (line("m", "^video"), VIDEO, True),
        (line("m", "^video"), SDP, False),
        (line("m"), SDP, True),
        (line("k"), SDP, False),
        (line("[cm]", "IP4"), SDP, True),
        (line("a", "H264"), VIDEO, True),
        (line("m", "H264"), VIDEO, False),
        (line("m", "^audio 4000 RTP/AVP 0$"), SDP.replace(b"\r\n", b"\n"), True),
        (line("m"), b"", False),
        (line("o", "="), b"o=a=b\r\n", True),
        (line("c", "^\x80"), b"c=\x80\xff\r\n", False),
    ],
)
def test_a_session_description_is_looked_at_line_by_line(point: SessionDescription, body: bytes, held: bool) -> None:
    with_sdp = request("INVITE", "sip:bob@ims.example", ("Content-Type", "application/SDP;charset=utf-8"), body=body)
    assert so(point, facts(with_sdp)) is held
    other = request("INVITE", "sip:bob@ims.example", ("Content-Type", "text/plain"), body=body)
    assert not so(point, facts(other))


def in_parts(*parts: tuple[str, bytes], boundary: str) -> bytes:
    mark = b"--" + boundary.encode()
    written = [mark + b"\r\nContent-Type: " + kind.encode() + b"\r\n\r\n" + body + b"\r\n" for kind, body in parts]
    return b"".join(written) + mark + b"--\r\n"


@pytest.mark.rfc("TS29.228-B.2.3", "5621-3.1")
def test_a_session_description_is_found_in_bodies_of_several_parts() -> None:
    inner = in_parts(("text/plain", b"m=video"), ("application/sdp", VIDEO), boundary="in")
    outer = in_parts(("application/isup", b"\x01\x10"), ("multipart/alternative;boundary=in", inner), boundary="out")
    for body, kind, held in (
        (inner, "multipart/mixed;boundary=in", True),
        (outer, 'multipart/mixed;boundary="out"', True),
        (inner, "multipart/mixed;boundary=another", False),
        (inner, "multipart/mixed", False),
    ):
        message = request("INVITE", "sip:bob@ims.example", ("Content-Type", kind), body=body)
        assert so(line("m", "^video"), facts(message)) is held


def test_bodies_within_bodies_come_to_an_end() -> None:
    body = SDP
    for depth in range(200):
        kind = f"multipart/mixed;boundary=b{depth - 1}x" if depth else "application/sdp"
        body = in_parts((kind, body), boundary=f"b{depth}x")
    message = request("INVITE", "sip:bob@ims.example", ("Content-Type", "multipart/mixed;boundary=b199x"), body=body)
    assert not so(line("m"), facts(message))


# Triggers (TS 29.228 Annex C) ------------------------------------------------------------------------------------


INVITE, MESSAGE, SUBSCRIBE = Method("INVITE"), Method("MESSAGE"), Method("SUBSCRIBE")
FROM_JOE = header("From", "joe")
A, B, C = map(ServicePointTrigger, (INVITE, MESSAGE, SUBSCRIBE))
NOT_JOE = ServicePointTrigger(FROM_JOE, negated=True)
BOTH_FORMS = {
    "conjunctive": Trigger(Form.CONJUNCTIVE, ((A, B, C), (A, B, NOT_JOE))),
    "disjunctive": Trigger(Form.DISJUNCTIVE, ((A,), (B,), (C, NOT_JOE))),
}


@pytest.mark.rfc("TS29.228-C")
@pytest.mark.parametrize("form", BOTH_FORMS)
@pytest.mark.parametrize(
    ("method", "caller", "fired"),
    [
        ("INVITE", "joe", True),
        ("MESSAGE", "joe", True),
        ("SUBSCRIBE", "ann", True),
        ("SUBSCRIBE", "joe", False),
        ("OPTIONS", "ann", False),
    ],
)
def test_an_expression_means_the_same_in_both_forms(form: str, method: str, caller: str, fired: bool) -> None:
    """Calls, messages, and subscriptions of anybody but joe: some conditions stand in several groups."""
    message = parse_message(request_bytes(method, from_=f"<sip:{caller}@ims.example>;tag=1"))
    assert isinstance(message, Request)
    criterion = Criterion(1, Server("sip:as.example"), BOTH_FORMS[form])
    assert applies(criterion, facts(message)) is fired


@pytest.mark.rfc("TS29.228-B.2.2")
@pytest.mark.parametrize("method", ["INVITE", "REGISTER", "PUBLISH"])
def test_without_a_trigger_every_request_fires(method: str) -> None:
    assert applies(Criterion(1, Server("sip:as.example")), facts(request(method)))


def test_a_trigger_has_conditions() -> None:
    for groups in ((), ((A,), ())):
        with pytest.raises(ValueError, match="without conditions"):
            Trigger(Form.CONJUNCTIVE, groups)


@pytest.mark.rfc("TS29.228-B.2.2")
@pytest.mark.parametrize(
    ("case", "parts"),
    [
        (SessionCase.ORIGINATING, {None, ProfilePart.REGISTERED}),
        (SessionCase.TERMINATING_REGISTERED, {None, ProfilePart.REGISTERED}),
        (SessionCase.ORIGINATING_CDIV, {None, ProfilePart.REGISTERED}),
        (SessionCase.TERMINATING_UNREGISTERED, {None, ProfilePart.UNREGISTERED}),
        (SessionCase.ORIGINATING_UNREGISTERED, {None, ProfilePart.UNREGISTERED}),
    ],
)
def test_a_part_of_the_profile_is_for_users_registered_or_not(
    case: SessionCase, parts: set[ProfilePart | None]
) -> None:
    each = {None, *ProfilePart}
    assert {part for part in each if applies(Criterion(1, Server("sip:as"), part=part), facts(case=case))} == parts


def test_who_diverts_may_not_be_registered() -> None:
    given = Facts(request(), SessionCase.ORIGINATING_CDIV, part=ProfilePart.UNREGISTERED)
    assert applies(Criterion(1, Server("sip:as"), part=ProfilePart.UNREGISTERED), given)
    assert not applies(Criterion(1, Server("sip:as"), part=ProfilePart.REGISTERED), given)


# The chain (TS 23.218 6.5, TS 24.229 5.4.3) ------------------------------------------------------------------------


VOICEMAIL, DIVERSION, VIDEO_GATE, PRESENCE = (
    Server(f"sip:{name}.ims.example") for name in ("voicemail", "diversion", "video", "presence")
)
SUBSCRIBED = ServiceProfile(
    "gold",
    (
        Criterion(0, PRESENCE, when(Method("REGISTER"))),
        Criterion(5, VIDEO_GATE, when(INVITE, Case(ORIGINATING), line("m", "^video"))),
        Criterion(
            7,
            DIVERSION,
            when((Case(TERMINATING), Case(SessionCase.TERMINATING_UNREGISTERED)), (INVITE, MESSAGE)),
        ),
        Criterion(20, VOICEMAIL, when(INVITE, Case(SessionCase.TERMINATING_UNREGISTERED)), ProfilePart.UNREGISTERED),
        Criterion(30, DIVERSION, when(INVITE, Case(TERMINATING))),
    ),
)


def chain(profile: ServiceProfile, given: Facts) -> list[str]:
    """The servers that the request visits while each returns it as it is."""
    visited: list[str] = []
    after = None
    while (criterion := matching(profile, given, after, visited)) is not None:
        assert after is None or criterion.priority > after
        after = criterion.priority
        visited.append(criterion.server.uri)
    return visited


@pytest.mark.rfc("TS23.218-6.5", "TS24.229-5.4.3.2", "TS24.229-5.4.3.3")
@pytest.mark.parametrize(
    ("given", "servers"),
    [
        (facts(request("REGISTER", "sip:ims.example"), registration=Registration.INITIAL), [PRESENCE]),
        (facts(), []),
        (facts(request("INVITE", "sip:b@c", ("Content-Type", "application/sdp"), body=VIDEO)), [VIDEO_GATE]),
        (facts(case=TERMINATING), [DIVERSION]),
        (facts(request("MESSAGE"), TERMINATING), [DIVERSION]),
        (facts(case=SessionCase.TERMINATING_UNREGISTERED), [DIVERSION, VOICEMAIL]),
        (facts(request("MESSAGE"), SessionCase.TERMINATING_UNREGISTERED), [DIVERSION]),
        (facts(request("OPTIONS"), TERMINATING), []),
    ],
)
def test_a_request_visits_the_servers_whose_criteria_hold_in_their_order(given: Facts, servers: list[Server]) -> None:
    assert chain(SUBSCRIBED, given) == [server.uri for server in servers]


@pytest.mark.rfc("TS24.229-5.4.3.2")
def test_what_a_server_changed_is_seen_by_the_criteria_after_it() -> None:
    """The first server takes the video off; the gate behind it is not asked any more."""
    profile = ServiceProfile("x", (Criterion(1, DIVERSION), Criterion(2, VIDEO_GATE, when(line("m", "^video")))))
    call = request("INVITE", "sip:b@c", ("Content-Type", "application/sdp"), body=VIDEO)
    first = matching(profile, facts(call))
    assert first is not None
    assert matching(profile, facts(call), first.priority) is profile.criteria[1]
    back = call.copy()
    back.set_body(SDP, "application/sdp")
    assert matching(profile, facts(back), first.priority) is None


def test_criteria_stand_in_their_order_and_none_twice() -> None:
    one, two = Criterion(1, DIVERSION), Criterion(2, VOICEMAIL)
    for criteria in ((two, one), (one, one)):
        with pytest.raises(ValueError, match="in the order of their priorities"):
            ServiceProfile("x", criteria)
