"""Session timers: a session that nobody refreshes any more ends by itself (RFC 4028).

Who asks proposes an interval, who answers settles it and says who refreshes; each 2xx to an INVITE or UPDATE starts
the time anew. A peer who knows of no timers is refreshed by us, so that a session with him ends as well once he is
gone. The functions here are the negotiation, ``SessionTimer`` is what runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from ims_core.errors import BadRequest, SipError
from ims_core.messages.extensions import names_option
from ims_core.messages.message import Request, Response
from ims_core.ua.alarm import Alarm

if TYPE_CHECKING:
    from ims_core.ua.context import Headers
    from ims_core.ua.session import Session

_OF_INTERVALS: Final = frozenset(("session-expires", "min-se"))
LEAST: Final = 90  # section 4: what Min-SE is when nobody says
UAC: Final = "uac"
UAS: Final = "uas"
_GAP: Final = 10.0  # the least time between two attempts to refresh


class IntervalTooSmall(SipError):
    """Session-Expires is below what we accept (section 9): the 422 says what is."""

    status = 422


class TimerPolicy(NamedTuple):
    """What a user agent wants: sessions that are refreshed within ``expires`` seconds, asked for ``least`` or more."""

    expires: int = 1800
    least: int = LEAST


class Terms(NamedTuple):
    """What was settled: the interval in seconds, and which side of that request refreshes.

    ``shared``: somebody else counts the time as well; if not, it ends the session only where the peer is gone.
    """

    expires: int
    refresher: str
    shared: bool = True


def proposal(policy: TimerPolicy, refresher: str = "") -> Headers:
    """Return the header fields for a request of ours (section 7.1); ``refresher`` is empty: the peer chooses."""
    value = f"{policy.expires};refresher={refresher}" if refresher else str(policy.expires)
    if policy.least > LEAST:
        return (("Session-Expires", value), ("Min-SE", str(policy.least)))
    return (("Session-Expires", value),)


def raised(policy: TimerPolicy, response: Response) -> TimerPolicy | None:
    """Return what to propose after a 422 (section 7.4); None when it does not say what would do."""
    try:
        least = _seconds(response.get("Min-SE") or "")
    except BadRequest:
        return None
    return TimerPolicy(max(policy.expires, least), least) if least > policy.least else None


def settle(request: Request, policy: TimerPolicy, refresher: str) -> Terms:
    """Decide on the timer of the session that ``request`` asks for or refreshes (section 9, table 2).

    ``refresher`` is who is to refresh where the request leaves it open; for who knows of no timers, we do.
    Raises ``IntervalTooSmall``, ``BadRequest``.
    """
    supported = names_option(request, "Supported", "timer")
    value = request.get("Session-Expires")
    if value is None and not supported:
        return Terms(policy.expires, UAS, shared=False)
    least = max(policy.least, _seconds(request.get("Min-SE") or "0"))
    if value is None:
        return Terms(max(policy.expires, least), refresher)
    expires, asked = _parse(value)
    if not supported:  # a proxy wants it; "the UAS MUST NOT reject" what it could not raise, and refreshes itself
        return Terms(expires, UAS)
    if expires < policy.least:
        raise IntervalTooSmall(headers=(("Min-SE", str(policy.least)),))
    return Terms(max(min(expires, policy.expires), least), asked or refresher)


def settled(response: Response, asked: int) -> Terms:
    """Read what the peer settled in a 2xx to a request of ours for ``asked`` seconds.

    A peer who says nothing knows of no timers. It is then "as if the Session-Expires header field were in the 2xx
    response, and its value was the same as the one in the request, but with a refresher parameter of 'uac'"
    (section 7.2).
    """
    value = response.get("Session-Expires")
    if value is not None:
        try:
            expires, refresher = _parse(value)
        except BadRequest:
            pass
        else:
            return Terms(expires, refresher or UAC)
    return Terms(asked, UAC, shared=False)


def check_interval(request: Request, policy: TimerPolicy | None) -> None:
    """Refuse a request whose interval is too small for us. Raises ``IntervalTooSmall``, ``BadRequest``."""
    if policy is not None and not _OF_INTERVALS.isdisjoint(request.keys):
        settle(request, policy, UAS)


class SessionTimer:
    """Refreshes a session at half its interval, or has it end when the peer did not (section 10).

    One for each session, started anew by each refresh. ``by_update``: the peer can be refreshed by UPDATE.
    """

    def __init__(self, session: Session, policy: TimerPolicy) -> None:
        self._session = session
        self._policy = policy
        self._alarm = Alarm(session.context.endpoint, self._ring)
        self._ends_at = 0.0
        self._runs = False
        self._is_shared = True
        self.by_update = False
        self.expires = policy.expires
        self.is_refresher = False

    def proposal(self) -> Headers:
        """Return what a request of ours within the session says; nothing while no timer runs."""
        if not self._runs:
            return ()
        policy = self._policy._replace(expires=max(self.expires, self._policy.least))
        return proposal(policy, UAC if self.is_refresher else UAS)

    def answer(self, request: Request) -> Headers:
        """Start as a request settles it that we answer with 2xx; return what the 2xx says of it."""
        terms = settle(request, self._policy, UAC if self._runs and not self.is_refresher else UAS)
        self._start(terms, request, is_refresher=terms.refresher == UAS)
        said = ("Session-Expires", f"{terms.expires};refresher={terms.refresher}")
        return (said, ("Require", "timer")) if names_option(request, "Supported", "timer") else (said,)

    def take(self, response: Response) -> None:
        """Start as a 2xx to a request of ours says."""
        terms = settled(response, self.expires)
        self._start(terms, response, is_refresher=terms.refresher == UAC)

    def refused(self) -> None:
        """Take note that the peer refused a refresh: where nobody but us counts, it is enough that he is there."""
        if not self._is_shared:
            self._run()

    def raise_interval(self, response: Response) -> bool:
        """Take note of a 422, which wants a longer interval; False when there is nothing to be done about it."""
        policy = raised(self._policy._replace(expires=max(self.expires, self._policy.least)), response)
        if policy is None:
            return False
        self._policy = policy
        self.expires = policy.expires
        return True

    def close(self) -> None:
        """Stop for good."""
        self._alarm.close()

    def _start(self, terms: Terms, message: Request | Response, *, is_refresher: bool) -> None:
        if not self._runs:
            self.by_update = "UPDATE" in message.values("Allow")
        self._runs = True
        self._is_shared = terms.shared
        self.expires = terms.expires
        self.is_refresher = is_refresher
        self._run()

    def _run(self) -> None:
        # "a BYE slightly before the session expires ... the minimum of 32 seconds and one third of the interval"
        last = self.expires - min(32.0, self.expires / 3)
        self._ends_at = self._session.context.endpoint.clock() + last
        self._alarm.set(self.expires / 2 if self.is_refresher else last)

    def _ring(self) -> None:
        session = self._session
        left = self._ends_at - session.context.endpoint.clock()
        if left <= 0:
            session.context.counts["timer"] += 1
            session.lose("Session timer expired")
            return
        self._alarm.set(left / 2 if left > 2 * _GAP else left)  # should this refresh fail without ending the session
        session.refresh()


def _parse(value: str) -> tuple[int, str]:
    """Take ``1800;refresher=uac`` apart. Raises ``BadRequest``."""
    number, *parameters = value.split(";")
    refresher = ""
    for parameter in parameters:
        name, _, said = parameter.partition("=")
        if name.strip().lower() == "refresher":
            refresher = said.strip().lower()
    return _seconds(number), refresher if refresher in {UAC, UAS} else ""


def _seconds(text: str) -> int:
    digits = text.partition(";")[0].strip()
    if not digits.isascii() or not digits.isdigit() or len(digits) > 10:
        raise BadRequest("Bad session interval")
    return int(digits)
