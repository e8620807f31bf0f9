"""A node to send raw messages to, and what may become of them.

A case is a message and its verdicts. Each verdict is a function of the laboratory and the message, which sends it (or
parses it) and asserts. In the laboratory are a stranger at ``STRANGER``, whose bytes are the test's own; the node,
open to all, whose users are alice, bob and carol and whose service takes calls to ``SERVICE_NUMBER``; and the phone
of bob, which keeps the bytes it gets.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pytest

from ims_core.errors import BadRequest, SipError
from ims_core.flow import Address, Flow, format_address
from ims_core.messages.message import Request, Response
from ims_core.messages.parser import parse_message
from ims_core.registrar.location import Binding
from ims_core.transport.framing import StreamFramer, Unframed
from tests.kit import NODE_ADDRESS, Network, Site

STRANGER: Address = ("203.0.113.7", 5060)
BOB: Address = ("198.51.100.1", 5060)
BOB_CONTACT = f"sip:bob@{format_address(BOB)}"

Message = Request | Response


class Raw:
    """Bytes in, bytes out: an end of the network that understands nothing."""

    def __init__(self, network: Network, address: Address) -> None:
        self.address = address
        self.received: list[bytes] = []
        self._out: list[tuple[Flow, bytes]] = []
        network.attach(self, ("UDP", address), ("TCP", address))

    def send(self, data: bytes, transport: str = "UDP") -> None:
        self._out.append((Flow(transport, self.address, NODE_ADDRESS), data))

    def receive(self, data: bytes, flow: Flow) -> None:
        self.received.append(data)

    def connection_failed(self, flow: Flow) -> None:
        raise AssertionError(flow)

    def data_to_send(self) -> list[tuple[Flow, bytes]]:
        out, self._out = self._out, []
        return out

    def next_deadline(self) -> float | None:
        return None

    def handle_timer(self) -> None:
        raise AssertionError


class Lab:
    def __init__(self, *, open_to_all: bool = True) -> None:
        self.network = Network()
        self.site = Site(self.network, open_to_all=open_to_all)
        self.stranger = Raw(self.network, STRANGER)
        self.bob = Raw(self.network, BOB)
        self.site.location.add(Binding("sip:bob@ims.example", BOB_CONTACT))
        while self.site.location.next_event() is not None:
            pass

    def send(self, data: bytes) -> list[Response]:
        """The stranger sends; returns the answers so far, 100 left out."""
        self.stranger.send(data)
        self.network.run(0.1)
        found = map(_answer, self.stranger.received)
        return [answer for answer in found if isinstance(answer, Response) and answer.status > 100]

    def finish(self) -> None:
        """Nothing is left when all timers have run out."""
        self.network.run()
        self.site.assert_idle()


def _answer(data: bytes) -> Message:
    """Parse what the node sent. What it copies from a malformed request is malformed as well."""
    try:
        return parse_message(data)
    except SipError:
        return Response(int(data[8:11]), "")


Verdict = Callable[[Lab, bytes], None]


class Case(NamedTuple):
    """One message of our own for a section: ``clause`` as in the marks, ``name`` what is odd about it."""

    clause: str
    name: str
    data: bytes
    verdicts: tuple[Verdict, ...]


def breaks_off_a_stream(_: Lab, data: bytes) -> None:
    """On a stream nobody could tell where the next message begins."""
    with pytest.raises(Unframed) as broken_off:
        list(StreamFramer().feed(data))
    assert isinstance(broken_off.value.error, BadRequest)


def case(clause: str, name: str, data: bytes, *verdicts: Verdict) -> Case:
    return Case(clause, name, data, verdicts)


def parameters(cases: list[Case]) -> list[object]:
    """The cases as parameters of a test, each under the mark of its clause."""
    return [
        pytest.param(
            one.data,
            verdict,
            id=f"{one.clause} {one.name} {verdict.__name__}",
            marks=pytest.mark.rfc(one.clause),
        )
        for one in cases
        for verdict in one.verdicts
    ]


def sip(*lines: str | bytes, body: bytes = b"", length: bool = False) -> bytes:
    """A message of these lines; ``length`` adds the Content-Length of the body."""
    raw = [line.encode() if isinstance(line, str) else line for line in lines]
    if length:
        raw.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join([*raw, b"", body])


# Verdicts ---------------------------------------------------------------------------------------------------------


def _named(name: str, verdict: Verdict) -> Verdict:
    verdict.__name__ = name
    return verdict


def reads(**expected: object) -> Verdict:
    """The message is legal, is made of these parts (attributes, or header values by name), and leaves as it came."""

    def check(_: Lab, data: bytes) -> None:
        message = parse_message(data)
        for name, value in expected.items():
            found = getattr(message, name, None) if hasattr(message, name) else message.get(name.replace("_", "-"))
            assert found == value, name
        assert data.startswith(message.encode())

    return _named("reads", check)


def shows(read: Callable[[Message], object], expected: object) -> Verdict:
    """What ``read`` finds in the parsed message is as expected."""

    def check(_: Lab, data: bytes) -> None:
        assert read(parse_message(data)) == expected

    return _named("shows", check)


def hides(read: Callable[[Message], object]) -> Verdict:
    """The message is taken, but asking for that part of it is a ``SipError``."""

    def check(_: Lab, data: bytes) -> None:
        message = parse_message(data)
        with pytest.raises(SipError):
            read(message)

    return _named("hides", check)


def answers(status: int, **headers: str) -> Verdict:
    """The node answers with that status and no other, and takes no call nor passes anything on."""

    def check(lab: Lab, data: bytes) -> None:
        found = lab.send(data)
        assert [response.status for response in found] == [status]
        assert {name: found[0].get(name) for name in headers} == headers
        assert lab.bob.received == []
        if status >= 300:
            assert lab.site.calls == []

    return _named(f"answers {status}", check)


def is_dropped(lab: Lab, data: bytes) -> None:
    """Nothing at all comes of it."""
    lab.send(data)
    assert lab.stranger.received == lab.bob.received == []
    assert lab.site.calls == []
    assert lab.site.endpoint.transactions() == {"client": 0, "server": 0}
    assert lab.site.endpoint.dropped.total() == 1


def reaches_bob(lab: Lab, data: bytes) -> None:
    """The proxy passes it on, changing the Request-URI, Max-Forwards, Route and what it puts on top, only."""
    lab.send(data)
    (got,) = lab.bob.received
    sent_head, _, sent_body = data.partition(b"\r\n\r\n")
    got_head, _, got_body = got.partition(b"\r\n\r\n")
    assert got_body == sent_body
    sent, passed = _header_lines(sent_head), _header_lines(got_head)
    assert passed == sent
    assert got_head.split(b"\r\n")[0].split(b" ")[1] == BOB_CONTACT.encode()
    assert _reply(lab, got, b"SIP/2.0 404 ") == [404]


_CHANGED = (b"max-forwards", b"max-breadth", b"route", b"record-route", b"content-length")


def _joined(head: bytes) -> list[bytes]:
    """The header lines, each with those that continue it."""
    lines: list[bytes] = []
    for line in head.split(b"\r\n")[1:]:
        if line[:1] in b" \t":
            lines[-1] += b"\r\n" + line
        else:
            lines.append(line)
    return lines


def _header_lines(head: bytes) -> list[bytes]:
    """The header lines without those that a proxy has to change; of the Via lines what was below the top value."""
    lines = _joined(head)
    names = [line.partition(b":")[0].strip().lower() for line in lines]
    vias = [line for line, name in zip(lines, names, strict=True) if name in {b"via", b"v"}]
    while vias and b"192.0.2.1:5060" in vias[0]:  # the proxy's own
        vias.pop(0)
    stamped, *below = vias
    kept = [line for line, name in zip(lines, names, strict=True) if name not in {b"via", b"v", *_CHANGED}]
    return [*kept, *below, stamped.partition(b",")[2]]


def _reply(lab: Lab, request: bytes, status_line: bytes, *more: bytes) -> list[int]:
    """Bob answers what he got; returns the statuses that reach the stranger, 100 left out."""
    lines = _joined(request.partition(b"\r\n\r\n")[0])
    wanted = {b"via", b"v", b"from", b"f", b"to", b"t", b"call-id", b"i", b"cseq"}
    copied = [line for line in lines if line.partition(b":")[0].strip().lower() in wanted]
    lab.bob.send(b"\r\n".join([status_line, *copied, *more, b"Content-Length: 0", b"", b""]))
    lab.network.run(0.1)
    found = map(_answer, lab.stranger.received)
    return [response.status for response in found if isinstance(response, Response) and response.status > 100]


def registers(*contacts: str) -> Verdict:
    """The REGISTER gives bob these contacts, besides the one he has."""

    def check(lab: Lab, data: bytes) -> None:
        assert [response.status for response in lab.send(data)] == [200]
        bound = [binding.contact for binding in lab.site.location.bindings("sip:bob@ims.example")]
        assert bound == [BOB_CONTACT, *contacts]

    return _named("registers", check)


def comes_back(lab: Lab, data: bytes) -> None:
    """As the answer of bob to an INVITE it comes to the stranger with the very status line."""
    status_line = data.partition(b"\r\n")[0]
    lab.send(INVITE_BOB)
    (invite,) = lab.bob.received
    _reply(lab, invite, status_line)
    assert any(got.startswith(status_line + b"\r\n") for got in lab.stranger.received)
    _reply(lab, invite, b"SIP/2.0 487 Over")


def is_no_answer(lab: Lab, data: bytes) -> None:
    """As the answer of bob to an INVITE, with the header lines that it has of its own, it counts for nothing."""
    lab.send(INVITE_BOB)
    (invite,) = lab.bob.received
    own = data.partition(b"\r\n\r\n")[0].split(b"\r\n")
    replaced = {line.partition(b":")[0].lower() for line in own[1:]}
    lines = [line for line in invite.split(b"\r\n")[1:] if line.partition(b":")[0].lower() in ANSWERED - replaced]
    branch = parse_message(invite).via.branch.encode()
    lab.bob.send(b"\r\n".join([*own, *lines, b"", b""]).replace(b"BRANCH", branch))
    dropped = lab.site.endpoint.dropped.total()
    lab.network.run(0.1)
    assert lab.site.endpoint.dropped.total() == dropped + 1
    assert all(got.startswith(b"SIP/2.0 100 ") for got in lab.stranger.received)
    assert _reply(lab, invite, b"SIP/2.0 404 ") == [404]


ANSWERED = {b"via", b"from", b"to", b"call-id", b"cseq"}
INVITE_BOB = sip(
    "INVITE sip:bob@ims.example SIP/2.0",
    "Via: SIP/2.0/UDP 203.0.113.7;branch=z9hG4bKlab",
    "Max-Forwards: 70",
    "From: <sip:alice@ims.example>;tag=lab",
    "To: <sip:bob@ims.example>",
    "Call-ID: lab@203.0.113.7",
    "CSeq: 1 INVITE",
    "Contact: <sip:alice@203.0.113.7>",
    length=True,
)
