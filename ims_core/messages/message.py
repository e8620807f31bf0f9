"""SIP messages: parsed once into lines, read field by field when asked for (RFC 3261 section 7).

A message keeps its header lines exactly as they were on the wire, so that what a proxy does not change leaves
as it came. ``keys`` and ``lines`` run in parallel: the canonical (lower case, long form) name of each line, and
the line itself without its line end. A look-up is one search through ``keys``, or less where the ``layout`` is known;
nothing else is parsed.

Whoever received a message must not change it: ``copy()`` it first. Lines are changed by the methods of the message,
which forget the layout; into a message that was made here, and not parsed, they may be put as well.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import mypyc_attr

from ims_core.errors import REASONS, BadRequest, SipError
from ims_core.messages.headers import (
    TOKEN,
    CSeq,
    NameAddr,
    Via,
    first_value_end,
    parse_cseq,
    parse_name_addr,
    parse_via,
    readable,
    split_values,
)
from ims_core.messages.layouts import Layout, copied_by_response
from ims_core.messages.names import KEYS, canonical
from ims_core.messages.uri import Uri, parse_uri

VERSION: Final = "SIP/2.0"
METHODS: Final = frozenset(
    "INVITE ACK BYE CANCEL REGISTER OPTIONS INFO PRACK UPDATE REFER SUBSCRIBE NOTIFY MESSAGE PUBLISH".split()
)

_PARSED: Final = frozenset(("from", "to", "cseq", "call-id"))


def value_in(line: str) -> str:
    """Return what a header line has behind its colon."""
    colon = line.find(":")
    return line[colon + 1 :].strip() if colon >= 0 else ""


@mypyc_attr(acyclic=True)
class Message:
    """What requests and responses share: ``keys``, ``lines`` and a ``body``, and what was parsed of the lines.

    ``layout`` is that of the lines in a message that came as bytes, until one is added or dropped.
    """

    __slots__ = ("_call_id", "_cseq", "_from", "_from_tag", "_to", "_to_tag", "_via", "body", "keys", "layout", "lines")

    def __init__(self, keys: list[str] | None, lines: list[str] | None, body: bytes) -> None:
        self.keys = [] if keys is None else keys
        self.lines = [] if lines is None else lines
        self.body = body
        self.layout: Layout | None = None
        self._via: Via | None = None
        self._from: NameAddr | None = None
        self._to: NameAddr | None = None
        self._cseq: CSeq | None = None
        self._call_id: str | None = None
        self._from_tag: str | None = None
        self._to_tag: str | None = None

    def _forget(self, key: str) -> None:
        """Drop what was parsed of the lines of that name: one has changed."""
        if key == "via":
            self._via = None
        elif key in _PARSED:
            self._from = self._to = self._cseq = self._call_id = self._from_tag = self._to_tag = None

    @property
    def start_line(self) -> str:
        """The request line or the status line."""
        raise NotImplementedError

    def __contains__(self, name: str) -> bool:
        key = name.lower()
        return key in self.keys if self.layout is None else key in self.layout.places

    def get(self, name: str) -> str | None:
        """Return the value of the first line of that name to be read, unfolded and UTF-8, or None."""
        position = self._find(KEYS.get(name) or name.lower())
        if position < 0:
            return None
        value = self.value_at(position)
        return value if value.isascii() else readable(value)

    def _find(self, key: str) -> int:
        """Return the position of the first line of that name, below 0 when there is none."""
        layout = self.layout
        if layout is not None:
            return layout.places.get(key, -1)
        return self.keys.index(key) if key in self.keys else -1

    def require(self, name: str) -> str:
        """Return the value of the first line of that name. Raises ``BadRequest`` when there is none."""
        return self._required(KEYS.get(name) or name.lower())

    def _required(self, key: str) -> str:
        position = self._find(key)
        if position < 0:
            raise BadRequest(f"Missing {key.title()} header")
        return self.value_at(position)

    def values(self, name: str) -> list[str]:
        """Return every value of that name in order, comma-separated lists taken apart (7.3.1)."""
        key = KEYS.get(name) or name.lower()
        lines = self.keys.count(key)
        if not lines:
            return []
        if lines == 1:
            return split_values(self.value_at(self.keys.index(key)))
        return [
            value
            for position, candidate in enumerate(self.keys)
            if candidate == key
            for value in split_values(self.value_at(position))
        ]

    def whole_values(self, name: str) -> list[str]:
        """Return the value of every line of that name, in one piece: Authorization and its like hold commas (20.7)."""
        key = name.lower()
        if key not in self:
            return []
        return [self.value_at(position) for position, candidate in enumerate(self.keys) if candidate == key]

    def value_at(self, position: int) -> str:
        """Return the value of one header line, its folding replaced by single spaces (7.3.1)."""
        layout = self.layout
        if layout is not None and layout.starts:
            return self.lines[position][layout.starts[position] :].strip()
        value = value_in(self.lines[position])
        return value if "\n" not in value else _unfold(value)

    @property
    def via(self) -> Via:
        """The topmost Via. Raises ``BadRequest``."""
        if self._via is None:
            value = self._required("via")
            self._via = parse_via(value[: first_value_end(value)] if "," in value else value)
        return self._via

    @property
    def top_via_text(self) -> str:
        """The topmost Via as it is written. Raises ``BadRequest`` when there is none."""
        value = self._required("via")
        return value[: first_value_end(value)]

    @property
    def call_id(self) -> str:
        """The Call-ID. Raises ``BadRequest`` when missing."""
        if self._call_id is None:
            self._call_id = self._required("call-id")
        return self._call_id

    @property
    def cseq(self) -> CSeq:
        """The parsed CSeq. Raises ``BadRequest``."""
        if self._cseq is None:
            self._cseq = parse_cseq(self._required("cseq"))
        return self._cseq

    @property
    def from_(self) -> NameAddr:
        """The parsed From. Raises ``BadRequest``."""
        if self._from is None:
            self._from = parse_name_addr(self._required("from"))
        return self._from

    @property
    def to(self) -> NameAddr:
        """The parsed To. Raises ``BadRequest``."""
        if self._to is None:
            self._to = parse_name_addr(self._required("to"))
        return self._to

    @property
    def from_tag(self) -> str:
        """The tag of From, empty when there is none. Raises ``BadRequest``."""
        if self._from_tag is None:
            tag = _plain_tag(self._required("from"))
            self._from_tag = self.from_.tag if tag is None else tag
        return self._from_tag

    @property
    def to_tag(self) -> str:
        """The tag of To, empty when there is none. Raises ``BadRequest``."""
        if self._to_tag is None:
            tag = _plain_tag(self._required("to"))
            self._to_tag = self.to.tag if tag is None else tag
        return self._to_tag

    @property
    def contact(self) -> NameAddr | None:
        """The first Contact, parsed; None when there is none. Raises ``BadRequest``."""
        values = self.values("Contact")
        return parse_name_addr(values[0]) if values else None

    def add(self, name: str, value: str) -> None:
        """Append a header line."""
        self.layout = None
        self.keys.append(canonical(name))
        self.lines.append(f"{name}: {value}")

    def prepend(self, name: str, value: str) -> None:
        """Put a header line before all others: how Via, Record-Route and Route are pushed."""
        self.layout = None
        key = KEYS.get(name) or canonical(name)
        self.keys.insert(0, key)
        self.lines.insert(0, f"{name}: {value}")
        self._forget(key)

    def set(self, name: str, value: str) -> None:
        """Replace the first line of that name and drop the others; append when there is none."""
        self.layout = None
        key = KEYS.get(name) or canonical(name)
        held = self.keys.count(key)
        if not held:
            self.keys.append(key)
            self.lines.append(f"{name}: {value}")
            return
        first = self.keys.index(key)
        self.lines[first] = f"{name}: {value}"
        if held > 1:
            self._drop(key, after=first)
        self._forget(key)

    def remove(self, name: str) -> None:
        """Drop every line of that name."""
        key = KEYS.get(name) or canonical(name)
        if key in self.keys:
            self._drop(key)
            self._forget(key)

    def remove_all(self, keys: frozenset[str]) -> None:
        """Drop every line of these names, as ``keys`` has them."""
        if not keys.isdisjoint(self.keys):
            self._keep([position for position, key in enumerate(self.keys) if key not in keys])
            self._forget("via")
            self._forget("from")

    def _drop(self, key: str, *, after: int = -1) -> None:
        self._keep([position for position, other in enumerate(self.keys) if other != key or position <= after])

    def _keep(self, positions: list[int]) -> None:
        self.layout = None
        self.keys = [self.keys[position] for position in positions]
        self.lines = [self.lines[position] for position in positions]

    def pop_value(self, name: str) -> str | None:
        """Take the first value of that name off the message: how a Via or Route is consumed.

        Those behind it, in the same line or in others, stay as they were written.
        """
        key = KEYS.get(name) or canonical(name)
        if key not in self.keys:
            return None
        position = self.keys.index(key)
        written, _, text = self.lines[position].partition(":")
        end = first_value_end(text) if "," in text else len(text)
        rest = text[end + 1 :].lstrip()
        if rest:
            self.lines[position] = f"{written}: {rest}"
        else:
            del self.keys[position], self.lines[position]
            self.layout = None
        self._forget(key)
        value = text[:end].strip()
        return value if "\n" not in value else _unfold(value)

    def replace_top_via(self, value: str) -> None:
        """Put ``value`` in the place of the topmost Via value, leaving the others as they are."""
        position = self.keys.index("via")
        written, _, text = self.lines[position].partition(":")
        self.lines[position] = f"{written}: {value}{text[first_value_end(text) :]}"
        self._via = None

    def set_body(self, body: bytes, content_type: str) -> None:
        """Set the body with its Content-Type; Content-Length follows when encoded."""
        self.body = body
        self.set("Content-Type", content_type)
        self.remove("Content-Length")

    def encode(self) -> bytes:
        """Return the bytes for the wire; a missing Content-Length is added (18.4 demands it on streams)."""
        lines = [self.start_line, *self.lines]
        if "content-length" not in self.keys:
            lines.append(f"Content-Length: {len(self.body)}")
        lines.append("\r\n")
        head = "\r\n".join(lines).encode("utf-8", "surrogateescape")
        return head + self.body if self.body else head

    def __repr__(self) -> str:
        return f"<{self.start_line}>"


@mypyc_attr(acyclic=True)
class Request(Message):
    """A SIP request. ``uri`` is the Request-URI as text; ``target`` parses it."""

    __slots__ = ("method", "uri")

    def __init__(
        self,
        method: str,
        uri: str,
        *,
        keys: list[str] | None = None,
        lines: list[str] | None = None,
        body: bytes = b"",
    ) -> None:
        super().__init__(keys, lines, body)
        self.method = method
        self.uri = uri

    @property
    def start_line(self) -> str:
        """The request line (7.1)."""
        return f"{self.method} {self.uri} {VERSION}"

    @property
    def target(self) -> Uri:
        """The Request-URI, parsed. Raises ``BadRequest`` or ``UnsupportedScheme``."""
        uri = parse_uri(self.uri)
        if uri.headers:  # 19.1.1: they are for URIs from which requests are made
            raise BadRequest("Header fields in Request-URI")
        return uri

    def copy(self) -> Request:
        """Return a request of its own that may be changed."""
        return Request(self.method, self.uri, keys=self.keys.copy(), lines=self.lines.copy(), body=self.body)


@mypyc_attr(acyclic=True)
class Response(Message):
    """A SIP response."""

    __slots__ = ("reason", "status")

    def __init__(
        self,
        status: int,
        reason: str,
        *,
        keys: list[str] | None = None,
        lines: list[str] | None = None,
        body: bytes = b"",
    ) -> None:
        super().__init__(keys, lines, body)
        self.status = status
        self.reason = reason

    @property
    def start_line(self) -> str:
        """The status line (7.2)."""
        return f"{VERSION} {self.status} {self.reason}"

    def copy(self) -> Response:
        """Return a response of its own that may be changed."""
        return Response(self.status, self.reason, keys=self.keys.copy(), lines=self.lines.copy(), body=self.body)


def response_to(
    request: Request,
    status: int,
    reason: str | None = None,
    *,
    to_tag: str = "",
    headers: tuple[tuple[str, str], ...] = (),
) -> Response:
    """Build a response as 8.2.6.2 says: Via, From, To, Call-ID and CSeq of the request.

    ``to_tag`` is added to a To without a tag; it must be given for every status but 100.
    """
    layout = request.layout
    copied = copied_by_response(request.keys, status) if layout is None or status == 100 else layout.copied
    keys = [request.keys[position] for position in copied]
    lines = [request.lines[position] for position in copied]
    if to_tag:
        for position, key in enumerate(keys):
            if key == "to" and not _has_tag(lines[position]):
                lines[position] = f"{lines[position]};tag={to_tag}"
    response = Response(status, REASONS.get(status, "") if reason is None else reason, keys=keys, lines=lines)
    for name, value in headers:
        response.add(name, value)
    return response


def _has_tag(line: str) -> bool:
    """Whether a To line carries a tag; one that cannot be parsed has none, and its sender is told even so."""
    try:
        return ";" in line and "tag" in line.lower() and bool(parse_name_addr(line.partition(":")[2]).tag)
    except BadRequest:
        return False


def error_response(request: Request, error: SipError, *, to_tag: str) -> Response:
    """Build the response that tells the sender of ``request`` about ``error``."""
    response = response_to(request, error.status, error.reason, to_tag=to_tag, headers=error.headers)
    if error.body:
        response.set_body(error.body, error.content_type)
    return response


def _plain_tag(address: str) -> str | None:
    """Return the tag of an address that shows it plainly; None: it has to be parsed."""
    before, found, tag = address.rpartition(";tag=")
    if not found or not before.endswith(">") or not TOKEN.issuperset(tag):
        return None
    # a quoted display name that says ";tag=" itself may not be cut in two
    return tag if '"' not in before or ("\\" not in before and before.count('"') == 2) else None


def _unfold(value: str) -> str:
    return " ".join(part.strip() for part in value.split("\r\n"))
