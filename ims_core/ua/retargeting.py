"""What a call tells of where it was before: History-Info (RFC 7044) and Diversion (RFC 5806).

A back-to-back user agent that calls somebody for a caller goes on with what the caller's INVITE told; a proxy that
changes who is called sends the request itself on, ``retargeted``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from ims_core.errors import BadRequest, SipError
from ims_core.messages.headers import parse_name_addr
from ims_core.messages.uri import parse_uri

if TYPE_CHECKING:
    from ims_core.messages.message import Request
    from ims_core.ua.context import Headers

_INDEX: Final = re.compile(r"\d{1,5}(\.\d{1,5}){0,30}")
_MOST: Final = 30  # entries that are passed on; more tell of a loop
_TELLING: Final = frozenset(("history-info", "diversion"))

# Why a call is diverted, as RFC 5806 names it
UNKNOWN: Final = "unknown"
UNCONDITIONAL: Final = "unconditional"
BUSY: Final = "user-busy"
NO_ANSWER: Final = "no-answer"
UNAVAILABLE: Final = "unavailable"
TIME_OF_DAY: Final = "time-of-day"


class Redirected(NamedTuple):
    """Who had the call before, a URI, and why it was sent on; ``reason`` is empty where nobody says."""

    by: str
    reason: str


def redirected(request: Request) -> Redirected | None:
    """Return the latest diversion that an INVITE tells of, None when it tells of none that can be read."""
    if _TELLING.isdisjoint(request.keys):
        return None
    try:
        if values := request.values("Diversion"):
            latest = parse_name_addr(values[0])
            return Redirected(latest.uri_text, latest.params.get("reason", UNKNOWN))
        entries = _history(request)
        return Redirected(entries[-2][0], "") if len(entries) > 1 else None
    except SipError:
        return None


def told_before(request: Request) -> bool:
    """Whether an INVITE tells where the call was before."""
    return not _TELLING.isdisjoint(request.keys)


def passed_on(request: Request, target: str) -> Headers:
    """Return what an INVITE to ``target`` tells that is made for the caller who sent ``request``.

    The history goes on with the number called and with the target, the next branch of it (RFC 7044 section 10.3); a
    caller who wants it private has none told (section 10.1). Diversions go on as they came.
    """
    headers = tuple(("Diversion", value) for value in request.values("Diversion")[:_MOST])
    if {"history", "header", "user"} & {word.strip().lower() for word in (request.get("Privacy") or "").split(";")}:
        return headers
    try:
        entries = _history(request)
    except SipError:
        entries = []
    values = [value for _, _, value in entries]
    index = entries[-1][1] if entries else ""
    if not entries or not _same(entries[-1][0], request.uri):
        index = f"{index}.0" if index else "1"  # ".0" stands for a gap: somebody on the way told nothing
        values.append(f"<{request.uri}>;index={index}")
    values.append(f"<{target.partition('?')[0]}>;index={index}.1;mp={index}")
    return (*headers, ("History-Info", ", ".join(values)))


def diverted(request: Request, target: str, reason: str) -> Headers:
    """Return what an INVITE tells by which a call is diverted to ``target``: the latest diversion comes first."""
    return (("Diversion", f"<{request.uri}>;reason={reason};counter=1"), *passed_on(request, target))


def retargeted(request: Request, target: str, reason: str) -> Request:
    """Return a copy for ``target`` of an INVITE that a proxy diverts, which tells of it as ``diverted`` says."""
    copy = request.copy()
    copy.uri = target
    for name in ("Diversion", "History-Info"):
        copy.remove(name)
    for name, value in diverted(request, target, reason):
        copy.add(name, value)
    return copy


def _history(request: Request) -> list[tuple[str, str, str]]:
    """Return the entries in order, each with URI, index and text. Raises ``SipError``."""
    entries = []
    for value in request.values("History-Info")[:_MOST]:
        entry = parse_name_addr(value)
        index = entry.params.get("index", "")
        if not _INDEX.fullmatch(index):
            raise BadRequest("Bad History-Info index")
        entries.append((entry.uri_text, index, value))
    return entries


def _same(one: str, other: str) -> bool:
    """Compare two URIs as to whom they name; those of other schemes to the letter."""
    one = one.partition("?")[0]
    try:
        a, b = parse_uri(one), parse_uri(other)
    except SipError:
        return one == other
    return (a.user, a.host) == (b.user, b.host)
