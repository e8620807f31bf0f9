"""The target set of a request, and in which order it is tried (RFC 3261 sections 16.5, 16.6 and 16.7 step 4)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from ims_core.errors import SipError
from ims_core.messages.headers import NameAddr, parse_name_addr
from ims_core.messages.uri import is_sips

if TYPE_CHECKING:
    from ims_core.flow import Flow
    from ims_core.locate.courier import Several
    from ims_core.messages.message import Request, Response
    from ims_core.messages.uri import Uri


class Target(NamedTuple):
    """One place to forward a request to: the new Request-URI, the way there if it is known, a route set (Path).

    The way is a flow, or servers that serve alike, of which one after the other is tried.
    Targets of equal ``q`` are tried at the same time, those of a lower one after them. Targets of the same
    ``instance`` that is not empty are flows to one user agent, the best first (RFC 5626 section 7); ``other_flows`` are
    those left to try when this one has failed.
    """

    uri: str
    flow: Flow | Several | None = None
    route: Sequence[str] = ()
    q: float = 1.0
    instance: str = ""
    other_flows: tuple[Target, ...] = ()


def in_groups(targets: Sequence[Target]) -> list[list[Target]]:
    """Put ``targets`` in the order in which they are tried: those of one group in parallel, group after group.

    Of several that are the same URI by the same way the most preferred counts: 16.5 has each in the target set once.
    """
    if len(targets) == 1:
        return [list(targets)]
    known: dict[tuple[str, Flow | Several | None], Target] = {}
    for target in sorted(_one_of_each_instance(targets), key=_least_preferred_last):
        known.setdefault((target.uri, target.flow), target)
    return [list(group) for _, group in groupby(known.values(), key=_least_preferred_last)]


def _one_of_each_instance(targets: Sequence[Target]) -> list[Target]:
    """Put the flows of an instance behind the first of them.

    "The proxy MUST NOT populate the target set with more than one contact with the same AOR and instance-id at a time."
    """
    if not any(target.instance for target in targets):
        return list(targets)
    flows: dict[object, list[Target]] = {}
    for number, target in enumerate(targets):
        flows.setdefault(target.instance or number, []).append(target)
    return [first._replace(other_flows=tuple(others)) for first, *others in flows.values()]


def _least_preferred_last(target: Target) -> float:
    return -target.q


class Recursion:
    """Has the proxy follow the contacts of a 3xx itself, as far as ``admits`` says so of each (16.7 step 4).

    Whoever answers chooses these contacts: what you admit, callees can have us call.
    """

    def __init__(self, admits: Callable[[Uri], bool]) -> None:
        self._admits = admits

    def split(self, request: Request, redirect: Response, tried: Iterable[str]) -> tuple[list[Target], list[str]]:
        """Return where ``redirect`` sends ``request`` that was not ``tried``, and the contacts that are not followed.

        305 and 380 name no other address of the callee: they are not for a proxy to follow (21.3.4, 21.3.5).
        """
        known = set(tried)
        found: list[Target] = []
        left: list[str] = []
        if redirect.status not in {300, 301, 302}:
            return found, left
        for value in redirect.values("Contact"):
            try:
                contact = parse_name_addr(value)
                uri = contact.uri
            except SipError:
                left.append(value)
                continue
            # "If the Request-URI of the original request is a SIPS URI, the proxy MUST NOT recurse to a non-SIPS URI"
            fits = uri.scheme == "sips" or (uri.scheme == "sip" and not is_sips(request.uri))
            if uri.text in known:
                continue
            if fits and self._admits(uri):
                known.add(uri.text)
                found.append(Target(uri.text, q=_preference(contact)))
            else:
                left.append(value)
        return found, left


def _preference(contact: NameAddr) -> float:
    """The q-value of a Contact, 1 when there is none or it is malformed (20.10)."""
    try:
        return min(max(float(contact.params.get("q", "1")), 0.0), 1.0)
    except ValueError:
        return 1.0
