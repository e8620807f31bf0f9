"""Messages: parsed into lines, sent as they came."""

import contextlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ims_core.errors import BadRequest, IntervalTooBrief, SipError, VersionNotSupported
from ims_core.messages.message import Request, Response, error_response, response_to
from ims_core.messages.parser import MalformedMessage, parse_message

rfc = pytest.mark.rfc

HEAD = [
    "OPTIONS sip:alice@ims.example SIP/2.0",
    "Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK1",
    "Max-Forwards: 70",
    "From: <sip:bob@ims.example>;tag=1",
    "To: <sip:alice@ims.example>",
    "Call-ID: 1@192.0.2.1",
    "CSeq: 7 OPTIONS",
]


def message_bytes(*more: str, head: list[str] | None = None, body: bytes = b"") -> bytes:
    return "\r\n".join([*(HEAD if head is None else head), *more, "", ""]).encode() + body


def parse_request(*more: str, body: bytes = b"") -> Request:
    message = parse_message(message_bytes(*more, body=body))
    assert isinstance(message, Request)
    return message


@rfc("3261-7.1")
def test_a_request_has_its_parts() -> None:
    request = parse_request("Content-Length: 2", body=b"ok")
    assert (request.method, request.uri, request.target.user) == ("OPTIONS", "sip:alice@ims.example", "alice")
    assert (request.via.branch, request.call_id, request.cseq.number) == ("z9hG4bK1", "1@192.0.2.1", 7)
    assert (request.from_.tag, request.to.tag, request.contact) == ("1", "", None)
    assert request.body == b"ok"


@rfc("3261-7.2")
def test_a_response_has_its_parts() -> None:
    response = parse_message(message_bytes(head=["SIP/2.0 603 Rather: not", *HEAD[1:]]))
    assert isinstance(response, Response)
    assert (response.status, response.reason) == (603, "Rather: not")


@rfc("3261-7.2")
def test_a_reason_phrase_may_be_empty() -> None:
    data = message_bytes("Content-Length: 0", head=["SIP/2.0 200 ", *HEAD[1:]])
    response = parse_message(data)
    assert isinstance(response, Response)
    assert response.reason == ""
    assert response.encode() == data


@rfc("3261-7.3.3")
def test_compact_and_long_names_are_one() -> None:
    compact = ["v", "Max-Forwards", "F", "t", "i", "CSEQ"]
    lines = [f"{name}:{line.partition(':')[2]}" for name, line in zip(compact, HEAD[1:], strict=True)]
    data = message_bytes("l: 0", "K: path", head=[HEAD[0], *lines])
    request = parse_message(data)
    assert request.get("From") == "<sip:bob@ims.example>;tag=1"
    assert request.values("Supported") == ["path"]
    assert request.encode() == data


@rfc("3261-7.3.1")
def test_folding_counts_as_a_space_and_is_kept() -> None:
    data = message_bytes("Subject: one\r\n  two\r\n\tthree", "Content-Length: 0")
    request = parse_message(data)
    assert request.get("subject") == "one two three"
    assert request.encode() == data


@rfc("3261-7.3.1")
def test_white_space_before_the_colon_is_legal() -> None:
    head = [line.replace("To:", "To \t:\r\n ") for line in HEAD]
    data = message_bytes("Content-Length: 0", head=head)
    request = parse_message(data)
    assert request.to.uri.user == "alice"
    assert request.encode() == data


@rfc("3261-7.3.1")
def test_several_lines_are_one_list() -> None:
    request = parse_request("Route: <sip:a;lr>, <sip:b;lr>", "Subject: x", "Route: <sip:c;lr>")
    assert request.values("route") == ["<sip:a;lr>", "<sip:b;lr>", "<sip:c;lr>"]
    assert request.values("Path") == []


@rfc("3261-20.7")
def test_credentials_are_not_taken_for_a_list() -> None:
    request = parse_request('Authorization: Digest a="1", b="2"', 'Authorization: Digest a="3"')
    assert request.whole_values("Authorization") == ['Digest a="1", b="2"', 'Digest a="3"']
    assert request.whole_values("Proxy-Authorization") == []


@rfc("3261-8.1.1")
@pytest.mark.parametrize("missing", ["Via", "From", "To", "Call-ID", "CSeq"])
def test_a_missing_mandatory_header_is_a_fault_that_the_sender_is_told(missing: str) -> None:
    head = [line for line in HEAD if not line.startswith(f"{missing}:")]
    with pytest.raises(MalformedMessage, match="Missing") as caught:
        parse_message(message_bytes(head=head))
    assert (caught.value.request is None) is (missing == "Via")


@pytest.mark.parametrize(
    "line",
    [
        "From: <sip:carol@ims.example>;tag=2",
        "CSeq: 8 OPTIONS",
        "i: another",
        "no colon",
        "Subject",
        ": no name",
        "Two Words: x",
        "Content-Length: x",
        "Content-Length: -1",
        "Content-Length: 1",
    ],
)
def test_a_malformed_line_is_a_fault_that_the_sender_is_told(line: str) -> None:
    with pytest.raises(MalformedMessage) as caught:
        parse_message(message_bytes(line))
    assert caught.value.request is not None
    assert error_response(caught.value.request, caught.value, to_tag="t").status == 400


@pytest.mark.parametrize(
    ("position", "line"),
    [
        (1, "Via: SIP/2.0/UDP"),
        (6, "CSeq: 7 INVITE"),
        (6, "CSeq: seven OPTIONS"),
    ],
)
def test_a_malformed_value_that_everything_rests_on_is_found_at_once(position: int, line: str) -> None:
    head = HEAD.copy()
    head[position] = line
    with pytest.raises(MalformedMessage):
        parse_message(message_bytes(head=head))


@rfc("3261-7.1")
@pytest.mark.parametrize(
    "start",
    [
        "",
        "OPTIONS",
        "OPTIONS sip:alice@ims.example",
        "OPT(IONS sip:alice@ims.example SIP/2.0",
        "OPTIONS <sip:alice@ims.example> HTTP/1.1",
        "OPTIONS sip:a\nlice@ims.example SIP/2.0",
        "SIP/2.0 20 OK",
        "SIP/2.0 099 OK",
        "SIP/2.0 700 OK",
        "SIP/2.0 2x0 OK",
        "SIP/2.0 200 O\r\n K",
    ],
)
def test_a_malformed_start_line_is_no_message(start: str) -> None:
    with pytest.raises(MalformedMessage) as caught:
        parse_message(message_bytes(head=[start, *HEAD[1:]]))
    assert caught.value.request is None


@rfc("3261-7.1")
@pytest.mark.parametrize(
    "start", [HEAD[0].replace(" ", "  "), f" {HEAD[0]}", f"{HEAD[0]} ", HEAD[0].replace("@", " @ ")]
)
def test_the_sender_of_a_request_line_with_spaces_in_excess_is_told(start: str) -> None:
    with pytest.raises(MalformedMessage) as caught:
        parse_message(message_bytes(head=[start, *HEAD[1:]]))
    assert caught.value.request is not None
    assert error_response(caught.value.request, caught.value, to_tag="t").status == 400


@rfc("3261-7")
@pytest.mark.parametrize(
    "line", ["Subject: one\rtwo", "Subject: one\ntwo", "Subject: one\n two", "Subject: one\r\r\n two"]
)
def test_a_line_ends_with_cr_and_lf_only(line: str) -> None:
    with pytest.raises(MalformedMessage, match="Bare CR or LF"):
        parse_message(message_bytes(line))
    with pytest.raises(MalformedMessage):
        parse_message(message_bytes().replace(b"\r\n", b"\n"))


@rfc("3261-7.3.1")
def test_values_behind_one_that_is_taken_off_stay_as_they_were_written() -> None:
    request = parse_request("rOUTE \t:<sip:a;lr>  ,\r\n <sip:b,c;lr> , ,\t<sip:d>").copy()
    assert request.pop_value("Route") == "<sip:a;lr>"
    assert request.lines[-1] == "rOUTE \t: <sip:b,c;lr> , ,\t<sip:d>"


@rfc("3261-7.3.1")
@pytest.mark.parametrize("value", [",", " , ", ""])
def test_a_list_of_nothing_has_one_empty_value(value: str) -> None:
    request = parse_request(f"Route:{value}").copy()
    assert request.values("Route") == [""]
    assert request.pop_value("Route") == ""


@rfc("3261-25.1")
def test_a_via_without_value_is_malformed() -> None:
    with pytest.raises(MalformedMessage, match="Via"):
        parse_message(message_bytes(head=[HEAD[0], "Via: ,SIP/2.0/UDP a", *HEAD[2:]]))


@rfc("3261-25.1")
def test_a_call_id_and_the_uri_of_an_address_are_ascii() -> None:
    with pytest.raises(MalformedMessage, match="Call-ID"):
        parse_message(message_bytes().replace(b"1@192.0.2.1", b"1\xff@192.0.2.1"))
    for address in ("<sip:b\xf6b@ims.example>", "B <sip:b\xf6b@ims.example>;tag=1", "sip:b\xf6b@ims.example"):
        with pytest.raises(BadRequest):
            _ = parse_request(f"Contact: {address}").contact


def test_a_reason_phrase_is_text_whatever_bytes_came() -> None:
    response = parse_message(message_bytes(head=["SIP/2.0 486 X", *HEAD[1:]]).replace(b"X", b"Bes\xfft", 1))
    assert isinstance(response, Response)
    assert response.reason == "Bes\ufffdt"


def test_a_value_to_be_read_is_text_whatever_bytes_came() -> None:
    request = parse_message(message_bytes("Subject: X").replace(b"X", b"\xff\xc3\xa4"))
    assert request.get("Subject") == "\ufffd\xe4"
    assert request.encode().count(b"\xff\xc3\xa4") == 1


@rfc("3261-21.5.6")
def test_another_version_is_told_to_the_sender() -> None:
    with pytest.raises(VersionNotSupported) as caught:
        parse_message(message_bytes(head=[HEAD[0].replace("2.0", "7.0"), *HEAD[1:]]))
    assert caught.value.status == 505


@rfc("3261-7.1")
def test_the_version_is_compared_without_regard_to_case() -> None:
    message = parse_message(message_bytes(head=[HEAD[0].replace("SIP/", "sip/"), *HEAD[1:]]))
    assert isinstance(message, Request)
    answer = parse_message(message_bytes(head=["sip/2.0 200 OK", *HEAD[1:]]))
    assert isinstance(answer, Response)
    assert (answer.status, answer.reason) == (200, "OK")


@rfc("3261-18.3")
def test_bytes_beyond_content_length_are_cut_off_in_a_datagram() -> None:
    assert parse_request("Content-Length: 2", body=b"okay").body == b"ok"
    assert parse_request(body=b"to the end").body == b"to the end"


@rfc("3261-18.3")
def test_a_datagram_shorter_than_content_length_is_a_fault() -> None:
    with pytest.raises(MalformedMessage, match="shorter"):
        parse_request("Content-Length: 3", body=b"ok")


@rfc("3261-20.14")
def test_content_length_is_added_when_missing() -> None:
    request = Request("OPTIONS", "sip:a@b", body=b"four")
    assert request.encode() == b"OPTIONS sip:a@b SIP/2.0\r\nContent-Length: 4\r\n\r\nfour"


def test_lines_are_pushed_and_taken_off() -> None:
    request = parse_request("Route: <sip:a;lr>, <sip:b;lr>").copy()
    assert request.pop_value("Route") == "<sip:a;lr>"
    assert request.pop_value("Route") == "<sip:b;lr>"
    assert request.pop_value("Route") is None
    assert request.via.branch == "z9hG4bK1"
    request.prepend("Via", "SIP/2.0/TCP 192.0.2.9;branch=z9hG4bK9")
    assert request.via.branch == "z9hG4bK9"
    assert len(request.values("Via")) == 2
    request.replace_top_via("SIP/2.0/TCP 192.0.2.9;branch=z9hG4bK8")
    assert request.via.branch == "z9hG4bK8"
    request.pop_value("Via")
    assert request.via.branch == "z9hG4bK1"


def test_a_header_is_set_in_place_of_all_of_its_name() -> None:
    request = parse_request("Route: <sip:a>", "Subject: x", "Route: <sip:b>").copy()
    request.set("Route", "<sip:c>")
    assert request.lines[-2:] == ["Route: <sip:c>", "Subject: x"]
    request.remove("Route")
    assert "Route" not in request
    request.set_body(b"1", "text/plain")
    assert request.encode().endswith(b"Content-Type: text/plain\r\nContent-Length: 1\r\n\r\n1")


def test_a_copy_shares_nothing() -> None:
    request = parse_request()
    copy = request.copy()
    copy.set("Subject", "x")
    copy.uri = "sip:other"
    assert "Subject" not in request
    assert request.uri == "sip:alice@ims.example"


@rfc("3261-8.2.6.2")
def test_a_response_copies_what_identifies_the_request() -> None:
    request = parse_request("Via: SIP/2.0/UDP 192.0.2.2;branch=z9hG4bK2", "Subject: x", "Timestamp: 5")
    response = response_to(request, 486, to_tag="t")
    assert response.encode().decode().split("\r\n") == [
        "SIP/2.0 486 Busy Here",
        HEAD[1],
        *HEAD[3:4],
        f"{HEAD[4]};tag=t",
        *HEAD[5:],
        "Via: SIP/2.0/UDP 192.0.2.2;branch=z9hG4bK2",
        "Content-Length: 0",
        "",
        "",
    ]


@rfc("3261-8.2.6.1")
def test_a_timestamp_goes_into_the_100_only() -> None:
    request = parse_request("Timestamp: 54")
    assert response_to(request, 100).get("Timestamp") == "54"
    assert "Timestamp" not in response_to(request, 200, to_tag="t")


@rfc("3261-8.2.6.2")
@pytest.mark.parametrize("to", ["<sip:alice@ims.example>;tag=a", "<sip:alice@ims.example> ; TAG = a", "sip:a@b;tag=a"])
def test_a_tag_in_to_is_kept(to: str) -> None:
    request = parse_message(message_bytes(head=[*HEAD[:4], f"To: {to}", *HEAD[5:]]))
    assert isinstance(request, Request)
    assert response_to(request, 200, to_tag="t").get("To") == to


@rfc("3261-19.3")
@pytest.mark.parametrize(
    ("value", "tag"),
    [
        ("<sip:bob@ims.example>;tag=1", "1"),
        ('"Bob" <sip:bob@ims.example>;tag=1', "1"),
        ('"Bob \\"B\\"" <sip:bob@ims.example>;tag=1', "1"),
        ('"b>;tag=2" <sip:bob@ims.example>;tag=1', "1"),
        ('"b>;tag=2" <sip:bob@ims.example>', ""),
        ('<sip:bob@ims.example>;note="b>;tag=2"', ""),
        ("<sip:bob@ims.example>;TAG=1", "1"),
        ("<sip:bob@ims.example>;tag=1;x=y", "1"),
        ("sip:bob@ims.example;tag=1", "1"),
    ],
)
def test_a_tag_is_found_however_it_is_written(value: str, tag: str) -> None:
    request = parse_message(message_bytes(head=[*HEAD[:3], f"From: {value}", *HEAD[4:]]))
    assert (request.from_tag, request.from_.tag) == (tag, tag)


def test_what_only_looks_like_a_tag_is_none() -> None:
    to = '"x;tag=1" <sip:tag@ims.example;tag=a>'
    request = parse_message(message_bytes(head=[*HEAD[:4], f"To: {to}", *HEAD[5:]]))
    assert isinstance(request, Request)
    assert response_to(request, 200, to_tag="t").to.tag == "t"


@pytest.mark.parametrize("to", ['"Alice <sip:alice@ims.example>', "<sip:tag@ims.example", ""])
def test_the_sender_of_a_malformed_to_is_told(to: str) -> None:
    request = parse_message(message_bytes(head=[*HEAD[:4], f"To: {to}", *HEAD[5:]]))
    assert isinstance(request, Request)
    with pytest.raises(BadRequest) as caught:
        _ = request.to
    assert error_response(request, caught.value, to_tag="t").status == 400


def test_an_error_brings_its_headers() -> None:
    error = IntervalTooBrief(headers=(("Min-Expires", "60"),))
    response = error_response(parse_request(), error, to_tag="t")
    assert (response.status, response.reason, response.get("Min-Expires")) == (423, "Interval Too Brief", "60")


_names = st.sampled_from(
    ["Subject", "subject", "X-Unknown", "k", "Warning", "Contact", "P-Asserted-Identity", "e", "m"]
)
_values = st.binary(max_size=30).filter(lambda value: b"\r" not in value and b"\n" not in value)
_folds = st.sampled_from([b" ", b"", b"\t", b" \r\n ", b"\r\n\t "])


_text = st.tuples(_folds, _values, _folds, _values).map(b"".join)


@st.composite
def sip_bytes(draw: st.DrawFn) -> bytes:
    """Legal messages with header lines of any bytes."""
    start = draw(st.sampled_from([HEAD[0], "SIP/2.0 200 OK", "SIP/2.0 180 "])).encode()
    lines = [line.encode() for line in HEAD[1:]]
    others = draw(st.lists(st.tuples(_names, _text), max_size=6))
    lines += [name.encode() + b":" + text + b";" for name, text in others]
    body = draw(st.binary(max_size=50))
    lines.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join([start, *draw(st.permutations(lines)), b"", body])


@rfc("3261-16.6")
@given(sip_bytes())
def test_what_is_not_changed_leaves_byte_for_byte_as_it_came(data: bytes) -> None:
    assert parse_message(data).encode() == data
    assert parse_message(data).copy().encode() == data


def probe(data: bytes) -> None:
    """Parse, and ask for whatever a user may ask for."""
    try:
        message = parse_message(data)
    except MalformedMessage as error:
        if error.request is not None:
            error_response(error.request, error, to_tag="t").encode()
        return
    _ = message.from_, message.to, message.contact, message.via, message.cseq, message.call_id
    for key in set(message.keys):
        message.get(key)
        message.values(key)
    if isinstance(message, Request):
        error_response(message, BadRequest(), to_tag="t").encode()
        _ = message.target


@given(st.binary(max_size=300))
@example(b"\r\n\r\n")
@example(b"SIP/2.0 200 OK\r\n folded\r\n\r\n")
@example(b"OPTIONS sip:a SIP/2.0\r\nK: x\r\n\r\n")
def test_any_bytes_are_a_message_or_a_sip_error(data: bytes) -> None:
    with contextlib.suppress(SipError):
        probe(data)


@given(sip_bytes(), st.data())
def test_any_damage_to_a_message_is_borne(data: bytes, source: st.DataObject) -> None:
    for _ in range(source.draw(st.integers(1, 4))):
        start = source.draw(st.integers(0, len(data)))
        end = source.draw(st.integers(start, min(len(data), start + 8)))
        data = data[:start] + source.draw(st.binary(max_size=6)) + data[end:]
    with contextlib.suppress(SipError):
        probe(data)
