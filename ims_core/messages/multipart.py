"""Bodies of several parts (RFC 2046 section 5.1, RFC 5621)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ims_core.errors import BadRequest
from ims_core.messages.headers import parse_params, split_params

LONGEST_BOUNDARY = 70


class Part(NamedTuple):
    """One part of a body; ``headers`` by their lower-case names."""

    headers: dict[str, str]
    body: bytes


def split_multipart(content_type: str, body: bytes) -> list[Part]:
    """Take a body of that Content-Type, ``multipart/…``, apart. Raises ``BadRequest``."""
    boundary = parse_params(split_params(content_type)[1:]).get("boundary", "")
    if not 0 < len(boundary) <= LONGEST_BOUNDARY:
        raise BadRequest("Malformed boundary")
    _, *sections = (b"\r\n" + body).split(b"\r\n--" + boundary.encode("utf-8", "surrogateescape"))
    parts: list[Part] = []
    for section in sections:
        if section.startswith(b"--"):
            return parts
        padding, line_end, part = section.partition(b"\r\n")
        if not line_end or padding.strip(b" \t"):
            raise BadRequest("Malformed multipart body")
        head, _, content = (b"\r\n" + part).partition(b"\r\n\r\n")
        parts.append(Part(_headers(head), content))
    raise BadRequest("Multipart body without end")


class Enclosed(NamedTuple):
    """A part to be sent; ``disposition`` is its Content-Disposition, if it needs one."""

    content_type: str
    body: bytes
    disposition: str = ""


def join_multipart(parts: Sequence[Enclosed], boundary: str) -> tuple[str, bytes]:
    """Return Content-Type and body of several parts, none of which holds ``boundary``."""
    delimiter = f"--{boundary}".encode()
    sections = []
    for content_type, body, disposition in parts:
        head = f"Content-Type: {content_type}\r\n"
        if disposition:
            head += f"Content-Disposition: {disposition}\r\n"
        sections.append(b"%s\r\n%s\r\n%s\r\n" % (delimiter, head.encode(), body))
    return f"multipart/mixed;boundary={boundary}", b"".join((*sections, delimiter, b"--\r\n"))


def _headers(head: bytes) -> dict[str, str]:
    lines = head.decode("utf-8", "replace").replace("\r\n ", " ").replace("\r\n\t", " ").split("\r\n")
    fields = (line.partition(":") for line in lines if line)
    return {name.strip().lower(): value.strip() for name, _, value in fields}
