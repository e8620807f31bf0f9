"""Messages written without the code under test."""

from __future__ import annotations

from collections.abc import Iterable

from ims_core.messages.message import Request


def request_bytes(
    method: str = "INVITE",
    uri: str = "sip:bob@192.0.2.1",
    *,
    branch: str = "z9hG4bKc0ffee01",
    via: str | None = None,
    from_: str = "<sip:alice@ims.example>;tag=a1",
    to: str = "<sip:bob@ims.example>",
    call_id: str = "call-1@198.51.100.77",
    cseq: int = 1,
    contact: str | None = "<sip:alice@198.51.100.77:5060>",
    headers: Iterable[tuple[str, str]] = (),
    without: Iterable[str] = (),
    body: bytes = b"",
) -> bytes:
    """A request as a phone at 198.51.100.77 would write it; ``without`` names header fields to leave out."""
    fields = [
        ("Via", via or f"SIP/2.0/UDP 198.51.100.77:5060;branch={branch};rport"),
        ("Max-Forwards", "70"),
        ("From", from_),
        ("To", to),
        ("Call-ID", call_id),
        ("CSeq", f"{cseq} {method}"),
        *([("Contact", contact)] if contact else []),
        *headers,
        ("Content-Length", str(len(body))),
    ]
    left_out = set(without)
    lines = [f"{method} {uri} SIP/2.0", *(f"{name}: {value}" for name, value in fields if name not in left_out)]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def response_bytes(
    request: Request,
    status: int,
    *,
    to_tag: str = "b1",
    headers: Iterable[tuple[str, str]] = (),
    without: Iterable[str] = (),
    body: bytes = b"",
) -> bytes:
    """A response to ``request`` written without the code under test."""
    left_out = {name.lower() for name in without}
    lines = [f"SIP/2.0 {status} Because"]
    for line in request.lines:
        name = line.partition(":")[0].lower()
        if name in {"via", "from", "call-id", "cseq"} - left_out:
            lines.append(line)
        elif name == "to" and name not in left_out:
            tagged = "tag=" in line or not to_tag or status == 100
            lines.append(line if tagged else f"{line};tag={to_tag}")
    lines += [f"{name}: {value}" for name, value in headers]
    lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
