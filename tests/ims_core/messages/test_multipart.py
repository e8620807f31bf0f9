"""Bodies of several parts."""

import pytest

from ims_core.errors import BadRequest, NotAcceptable, UnsupportedMediaType
from ims_core.messages.message import Request
from ims_core.messages.multipart import Part, split_multipart
from ims_core.messages.parser import parse_message
from ims_core.ua.description import check_description, session_description
from tests.kit import request_bytes

rfc = pytest.mark.rfc

BODY = (
    b"preamble\r\n--b/1\r\nContent-Type: Application/SDP;x=1\r\nContent-ID:\r\n <a@b>\r\n\r\nv=0\r\n\r\n--b/\r\n"
    b"\r\n--b/1 \t\r\n\r\nno header\r\n--b/1--\r\nepilogue\r\n--b/1\r\n"
)


@rfc("2046-5.1.1")
@pytest.mark.parametrize(
    "content_type", ['multipart/mixed;boundary="b/1"', "multipart/related; type=x; Boundary = b/1"]
)
def test_a_body_is_taken_apart(content_type: str) -> None:
    assert split_multipart(content_type, BODY) == [
        Part({"content-type": "Application/SDP;x=1", "content-id": "<a@b>"}, b"v=0\r\n\r\n--b/\r\n"),
        Part({}, b"no header"),
    ]


@pytest.mark.parametrize(
    ("boundary", "body"),
    [
        ("b", b""),
        ("b", b"--b\r\n\r\nno end"),
        ("b", b"--bc\r\n\r\n--b--"),
        ("b", b"--b"),
        ("", b"--\r\n----"),
        ("b" * 71, b""),
    ],
)
def test_what_cannot_be_taken_apart(boundary: str, body: bytes) -> None:
    with pytest.raises(BadRequest):
        split_multipart(f'multipart/mixed;boundary="{boundary}"', body)


def invite(content_type: str, body: bytes, *headers: tuple[str, str]) -> Request:
    request = parse_message(request_bytes(headers=[("Content-Type", content_type), *headers], body=body))
    assert isinstance(request, Request)
    return request


@rfc("5621-3.1")
def test_a_session_description_is_found_among_other_parts() -> None:
    for content_type in ('multipart/mixed;boundary="b/1"', 'Multipart/Related;boundary="b/1"'):
        assert session_description(invite(content_type, BODY)) == b"v=0\r\n\r\n--b/\r\n"


@rfc("3261-8.2.3", "3261-20.11")
@pytest.mark.parametrize(
    ("kind", "fields", "is_refused"),
    [
        ("mixed", "Content-Type: application/ISUP; version=itu-t92+", True),
        ("mixed", "Content-Type: application/ISUP\r\nContent-Disposition: signal; handling=required", True),
        ("mixed", "Content-Type: application/ISUP\r\nContent-Disposition: signal; Handling = optional", False),
        ("mixed", 'Content-Type: application/ISUP\r\nContent-Disposition: signal; x="; handling=optional"', True),
        ("mixed", "Content-Type: application/ISUP\r\nContent-Disposition: signal; ; handling=optional", True),
        ("mixed", "Content-Type: application/pidf+xml\r\nContent-ID: <place@192.0.2.1>", False),
        ("x-anything", "Content-Type: application/ISUP", True),
        ("alternative", "Content-Type: application/ISUP", False),
        ("related", "Content-Type: application/ISUP", False),
    ],
)
def test_a_part_that_must_be_understood_but_is_not_refuses_the_whole(kind: str, fields: str, is_refused: bool) -> None:
    parts = f"--b\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n--b\r\n{fields}\r\n\r\n\x01\x10\r\n--b--"
    request = invite(f"multipart/{kind};boundary=b", parts.encode())
    assert session_description(request) == b"v=0"
    if not is_refused:
        check_description(request)
        return
    with pytest.raises(UnsupportedMediaType) as caught:
        check_description(request)
    assert caught.value.headers == (("Accept", "application/sdp"),)
    check_description(
        invite(f"multipart/{kind};boundary=b", parts.encode(), ("Content-Disposition", "session;handling=optional"))
    )


@rfc("3261-20.11", "3261-20.12")
def test_an_optional_description_in_an_unknown_coding_is_ignored() -> None:
    coded = ("Content-Encoding", "gzip")
    with pytest.raises(UnsupportedMediaType) as caught:
        check_description(invite("application/sdp", b"\x1f\x8b", coded))
    assert caught.value.headers == (("Accept-Encoding", "identity"),)
    request = invite("application/sdp", b"\x1f\x8b", coded, ("Content-Disposition", "session;handling=optional"))
    check_description(request)
    assert session_description(request) == b""
    assert session_description(invite("application/sdp", b"v=0", ("Content-Encoding", "identity"))) == b"v=0"


@rfc("3261-8.2.3")
@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("text/plain", b"x"),
        ("multipart/mixed;boundary=x", b"--x--"),
        ("multipart/mixed;boundary=y", b"--x--"),
        ("", b"x"),
    ],
)
def test_a_body_without_session_description_is_refused_unless_it_is_optional(content_type: str, body: bytes) -> None:
    request = invite(content_type, body)
    assert session_description(request) == b""
    with pytest.raises(UnsupportedMediaType) as caught:
        check_description(request)
    assert caught.value.headers == (("Accept", "application/sdp"),)
    check_description(invite(content_type, body, ("Content-Disposition", "render ; Handling = OPTIONAL")))


@rfc("3261-20.1")
@pytest.mark.parametrize(
    ("accept", "is_enough"),
    [
        ("application/sdp", True),
        ("text/html, Application/*;q=0.1", True),
        ("*/*", True),
        ("text/html", False),
        ("", False),
    ],
)
def test_who_accepts_no_session_description_gets_none(accept: str, is_enough: bool) -> None:
    request = invite("application/sdp", b"v=0", ("Accept", accept))
    if is_enough:
        check_description(request)
        return
    with pytest.raises(NotAcceptable):
        check_description(request)
