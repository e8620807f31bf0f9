"""The response context of a forwarded request: its branches and what comes back (RFC 3261 sections 16.7 to 16.10)."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, inf
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from ims_core.errors import SipError
from ims_core.locate.errand import CANCELLED
from ims_core.messages.message import Request, Response
from ims_core.proxy.best import CHALLENGES, rank, with_all_challenges
from ims_core.proxy.bounds import divide
from ims_core.proxy.forking import in_groups
from ims_core.proxy.forward import ToService
from ims_core.setup import SetUp
from ims_core.transactions.machines import TIMEOUT

if TYPE_CHECKING:
    from ims_core.locate.courier import Hop, Outbound
    from ims_core.proxy.forking import Target
    from ims_core.proxy.forward import Companion
    from ims_core.proxy.passage import Passage
    from ims_core.proxy.proxy import Proxy
    from ims_core.transactions.endpoint import Headers
    from ims_core.transactions.machines import ServerTransaction

RING_OVER: Final = "ring over"  # timer C, or the time of a group
TRYING_DUE: Final = "trying due"
_STATUS_OF: Final = {TIMEOUT: 408, CANCELLED: 487}
_FLOW_FAILED: Final = 430
_NOT_FOR_CALLERS: Final = {503: 500, _FLOW_FAILED: 480}  # step 6: a 503 says nothing of us; RFC 5626 section 11.5
COMPLETED_ELSEWHERE: Final = (("Reason", 'SIP;cause=200;text="Call completed elsewhere"'),)


class Branch(Struct, eq=False):
    """One copy of the request on its way. ``status`` is its final status, 0 while there is none.

    ``target`` is where it went with so much ``breadth``; None within a dialog.
    """

    context: ResponseContext
    rings_until: float
    target: Target | None
    breadth: int
    status: int = 0
    provisional: bool = False
    outbound: Outbound | None = None

    def receive_response(self, outbound: Outbound, response: Response) -> None:
        """Take one response."""
        if response.status < 200:
            self.context.receive_provisional(self, response)
        else:
            self.context.receive_final(self, response)

    def request_failed(self, outbound: Outbound, cause: str) -> None:
        """Take a branch without response for a 408, or for a 503 when it could not be sent (16.8, 16.9)."""
        self.context.receive_final(self, _STATUS_OF.get(cause, 503))


class ResponseContext(Struct, eq=False):
    """Tries the groups of targets one after the other, and answers the sender with the best that came of it.

    ``passage`` is how the request gets through this proxy, ``companion`` goes along. Exactly one final response goes
    back, or all 2xx to an INVITE.
    """

    _proxy: Proxy
    transaction: ServerTransaction
    passage: Passage
    companion: Companion | None = None
    is_invite: bool = False
    _patience: float = 0.0
    _has_told: bool = False
    _groups: list[list[Target]] = []
    _tried: list[str] = []
    _breadth: int = 1
    _is_stopped: bool = False
    _is_given_up: bool = False
    _branches: list[Branch] = []
    _best: Response | int | None = None  # a number is a final status of our own
    _challenges: list[Response] = []
    _alarm: _Alarm | None = None
    _set_up: SetUp | None = None

    def __post_init__(self) -> None:
        self.is_invite = self.passage.request.method == "INVITE"
        self.transaction.user = self
        self._proxy.active.add(self)

    # Sending ------------------------------------------------------------------------------------------------

    def fork(self, groups: Sequence[list[Target]], breadth: int, patience: float = 0.0) -> None:
        """Try the groups in turn, within so much breadth (RFC 5393 section 5.3.3); silence ends ``patience``."""
        self._groups.extend(groups)
        self._breadth = breadth
        self._patience = patience
        measure = self._proxy.on_set_up
        if measure is not None and self.is_invite and self._set_up is None:
            self._set_up = SetUp("proxy", self.passage.request.call_id, self._proxy.endpoint.clock(), measure)
        self._try_next_group()

    def follow(self, request: Request, hop: Hop) -> None:
        """Send the only branch, which has no alternative."""
        rings_until = self._start_ringing(0)
        try:
            self._send(request, hop, rings_until)
        except SipError as error:
            self._consider(error.status)
            self._conclude()

    def _try_next_group(self) -> None:
        """Send to the targets of the next group; what cannot be sent at all has failed (16.9)."""
        while self._groups:
            group = self._groups.pop(0)
            rings_until = self._start_ringing(len(self._groups))
            for target, breadth in zip(group, divide(self._breadth, len(group)), strict=True):
                self._try(target, breadth, rings_until)
            if 0 in [branch.status for branch in self._branches]:
                return
        self._conclude()

    def _try(self, target: Target, breadth: int, rings_until: float) -> None:
        """Send to a target, or to the first of its other flows that it can be sent by."""
        self._tried.append(target.uri)
        try:
            request, hop = self.passage.copy_for(target, breadth)
            self._send(request, hop, rings_until, target, breadth)
        except SipError as error:
            if target.other_flows:
                self._try(_next_flow(target), breadth, rings_until)
            else:
                self._consider(error.status)

    def _send(
        self, request: Request, hop: Hop, rings_until: float, target: Target | None = None, breadth: int = 1
    ) -> None:
        branch, passage = Branch(self, rings_until, target, breadth), self.passage
        branch.outbound = self._proxy.courier.request(
            request, hop, branch, prepare=passage.prepare if passage.depends_on_flow else None, mark=passage.mark
        )
        self._branches.append(branch)

    # Timers -------------------------------------------------------------------------------------------------

    def _start_ringing(self, groups_left: int) -> float:
        """Start the timer of a group; return when its branches are given up (timer C, 16.6 step 11)."""
        policy, endpoint = self._proxy.policy, self._proxy.endpoint
        seconds = self._patience or (policy.ring_seconds if self.is_invite else inf)
        if groups_left:
            seconds = min(seconds, policy.group_seconds)
        if self._alarm is None:
            self._alarm = _Alarm(self)
            if not self.is_invite:  # when the sender's timer E has grown from T1 to T2
                endpoint.start_timer(self._alarm, TRYING_DUE, endpoint.timers.t2 - endpoint.timers.t1)
        if seconds < inf:
            endpoint.start_timer(self._alarm, RING_OVER, seconds)
        return endpoint.clock() + seconds

    def wake(self, alarm: _Alarm, event: str) -> None:
        """Act on a timer that has run out."""
        endpoint = self._proxy.endpoint
        if event == TRYING_DUE:
            # RFC 4320 4.1: "MUST respond to a non-INVITE request with a Status-Code of 100 if it has not otherwise"
            if not self.transaction.is_answered:
                endpoint.reply(self.transaction, 100)
            return
        now = endpoint.clock()
        pending = [branch for branch in self._branches if not branch.status]
        until = min((branch.rings_until for branch in pending if branch.rings_until > now), default=inf)
        if until < inf:  # a provisional response has put it off
            endpoint.start_timer(alarm, RING_OVER, ceil(until - now))
        for branch in pending:
            if branch.rings_until <= now:
                self._give_up(branch)

    def _give_up(self, branch: Branch) -> None:
        """End a branch that rings without end: by CANCEL, and at once when nothing has come of it at all (16.8)."""
        branch.rings_until = inf
        self._cancel(branch, ())
        if not branch.provisional or not self.is_invite:
            self.receive_final(branch, 408)

    # Cancelling ---------------------------------------------------------------------------------------------

    def cancelled(self, transaction: ServerTransaction, request: Request) -> None:
        """Cancel every branch, and try no other: the sender gave the INVITE up (16.10), perhaps with a reason."""
        self._is_given_up = True
        self._stop(tuple(("Reason", value) for value in request.whole_values("Reason")))

    def _stop(self, headers: Headers) -> None:
        """Try no other group and CANCEL the branches that have no final response."""
        self._is_stopped = True
        self._groups.clear()
        if self.is_invite:
            for branch in self._branches:
                if not branch.status:
                    self._cancel(branch, headers)

    def _cancel(self, branch: Branch, headers: Headers) -> None:
        if branch.outbound is not None:
            self._proxy.courier.cancel(branch.outbound, headers)

    # Receiving ----------------------------------------------------------------------------------------------

    def receive_provisional(self, branch: Branch, response: Response) -> None:
        """Pass back what tells the caller something; to anything but an INVITE nothing does (RFC 4320 4.1)."""
        branch.provisional = True
        if self._patience and not self._groups and branch.rings_until < inf:
            self._wait_for(branch)
        if response.status == 100 or not self.is_invite:
            return
        if not self._groups and branch.rings_until < inf:
            self._wait_for(branch)
        if not self.transaction.is_answered:
            self._pass_back(branch, response)

    def _wait_for(self, branch: Branch) -> None:
        """Have a branch ring as long as any, from now on."""
        ring_seconds = self._proxy.policy.ring_seconds if self.is_invite else inf
        branch.rings_until = self._proxy.endpoint.clock() + ring_seconds

    def receive_final(self, branch: Branch, response: Response | int) -> None:
        """Take a final response, or a status of our own in its place, through the steps of 16.7."""
        status = response if isinstance(response, int) else response.status
        was_given_up = bool(branch.status)
        branch.status = status
        if isinstance(response, Response) and status < 300:
            # step 5: a 2xx to an INVITE is always forwarded at once, also after another one
            if self.is_invite or not self.transaction.is_answered:
                self._pass_back(branch, response)
            self._stop(COMPLETED_ELSEWHERE)
        elif not was_given_up and (flow := self._other_flow(branch, response)) is not None:
            self._try(flow, branch.breadth, branch.rings_until)
        elif not was_given_up and not self._recurse(branch, response):
            self._consider(response if isinstance(response, int) else self._brought_back(branch, response))
            if status >= 600:
                self._stop((("Reason", f"SIP;cause={status}"),))
        if 0 not in [each.status for each in self._branches]:
            self._try_next_group()

    def _other_flow(self, branch: Branch, response: Response | int) -> Target | None:
        """By which other flow to try, where the flow has failed and not the user agent refused (RFC 5626 section 7)."""
        if self._is_stopped or branch.target is None or not branch.target.other_flows:
            return None
        if self.is_invite and branch.rings_until == inf:  # its time is over
            return None
        failed = response in {408, 503} if isinstance(response, int) else response.status in {408, _FLOW_FAILED}
        return _next_flow(branch.target) if failed else None

    def _consider(self, response: Response | int) -> None:
        """Keep the response when it is the best so far (step 6)."""
        if isinstance(response, Response) and response.status in CHALLENGES:
            self._challenges.append(response)
        if self._best is None or self._rank(response) < self._rank(self._best):
            self._best = response

    def _rank(self, response: Response | int) -> tuple[int, int]:
        status = response if isinstance(response, int) else response.status
        return rank(status, is_invite=self.is_invite)

    def _recurse(self, branch: Branch, response: Response | int) -> bool:
        """Try the contacts of a 3xx next, where that is wanted (step 4); those not followed are a response still."""
        recursion = self._proxy.policy.recursion
        if recursion is None or isinstance(response, int) or response.status >= 400 or not self._tried:
            return False
        if self._is_stopped:
            return False
        targets, left = recursion.split(self.passage.request, response, self._tried)
        groups = in_groups(targets) if targets else []
        if not groups or max(map(len, groups)) > self._breadth:
            return False
        self._groups[:0] = groups
        if left:
            rest = self._brought_back(branch, response)
            rest.remove("Contact")
            for value in left:
                rest.add("Contact", value)
            self._consider(rest)
        return True

    # Answering ----------------------------------------------------------------------------------------------

    def _goes_on(self) -> bool:
        """Whether the companion knows another way, which is tried then, or what the sender is told instead."""
        best = self._best
        if self.companion is None or best is None or self._is_given_up or self._has_told:
            return False
        request, came_by = self.passage.request, self.passage.came_by
        try:
            onward = self.companion.instead(best if isinstance(best, int) else best.status)
            if onward is None:
                return False
            if isinstance(onward, ToService):
                self._proxy.hand_over(self.transaction, request, came_by, onward)
                self._let_go()
                return True
            way = self._proxy.way(onward.request or request, came_by, onward.targets)
        except SipError as error:
            self._proxy.endpoint.refuse(self.transaction, error)
            self._let_go()
            return True
        self._best, self._is_stopped = None, False
        self._challenges.clear()
        self.passage, self.companion = way.passage, onward.companion
        self.fork(way.groups, way.breadth, onward.patience)
        return True

    def _conclude(self) -> None:
        if self._goes_on():
            return
        best, endpoint = self._best, self._proxy.endpoint
        if best is not None and not self.transaction.is_answered:
            status = best if isinstance(best, int) else best.status
            if status == 408 and not self.is_invite:
                endpoint.abandon(self.transaction)  # RFC 4320 4.2: no 408, its sender times out as well
            elif isinstance(best, int) or (status in _NOT_FOR_CALLERS and not self._may_pass(best)):
                endpoint.reply(self.transaction, _NOT_FOR_CALLERS.get(status, status))
            else:
                if status in CHALLENGES and len(self._challenges) > 1:
                    best = with_all_challenges(best, [other for other in self._challenges if other is not best])
                endpoint.respond(self.transaction, best)
        self._let_go()

    def _may_pass(self, unavailable: Response) -> bool:
        """Whether the sender may be told of a failure that is for proxies otherwise."""
        is_plain = unavailable.status == 503 and "retry-after" not in unavailable.keys
        return is_plain and self._proxy.policy.passes_unavailable

    def _let_go(self) -> None:
        self._proxy.active.discard(self)
        if self._alarm is not None:
            self._alarm.context = None
        self._best = None
        self._challenges.clear()
        self.passage.let_go()

    def _pass_back(self, branch: Branch, response: Response) -> None:
        self._has_told = True
        self._proxy.endpoint.respond(self.transaction, self._brought_back(branch, response))
        if self._set_up is not None:
            self._set_up.take(response.status, self._proxy.endpoint.clock())

    def _brought_back(self, branch: Branch, response: Response) -> Response:
        """The response as the sender is to see it: without our Via (step 3), and what is hidden as it was."""
        copy = response.copy()
        copy.pop_value("Via")
        if self.passage.hiding is not None and branch.outbound is not None:
            self.passage.hiding.cross_back(copy, self.passage, branch.outbound.flow)
        if self.companion is not None:
            self.companion.returned(copy)
        return copy


def _next_flow(target: Target) -> Target:
    return target.other_flows[0]._replace(other_flows=target.other_flows[1:])


class _Alarm(Struct, eq=False):
    """What a timer of a context holds on to: nothing any more when the context has ended before it."""

    context: ResponseContext | None

    def fire(self, event: str) -> None:
        """Pass the event on while it matters."""
        if self.context is not None:
            self.context.wake(self, event)
