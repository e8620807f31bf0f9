"""The leg to somebody outside, for callers whom an overflow rule sends there."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from acd.cdr import EndedBy, Outcome
from acd.leg import Caller, CallLeg, Headers
from acd.way import Way
from ims_core.errors import ServiceUnavailable
from ims_core.messages.uri import parse_uri
from ims_core.trunks.exchange import LEADS_ON
from ims_core.ua.retargeting import diverted

if TYPE_CHECKING:
    from acd.context import Context


class ExternalLeg(CallLeg):
    """A call of ours to ``target``: a user of the domain, anybody by a SIP URI, or a number outside.

    ``reason`` is why the call is diverted there, a word of RFC 5806, empty where the caller wanted to go there himself.
    ``outcome_known`` says how it went: None when it is answered, else why it is not. ``is_unserved``: because there was
    no way that served, and nobody was reached.
    """

    who = "the external number"
    party = EndedBy.EXTERNAL
    outcome = Outcome.EXTERNAL

    def __init__(self, context: Context, call: Caller, target: str, reason: str) -> None:
        super().__init__(context, call, "external")
        self._target = target
        self._reason = reason
        self.is_unserved = False
        self.outcome_known: asyncio.Future[str | None] = context.loop.create_future()

    def ways(self) -> Sequence[Way]:
        """Return the trunks to the number, the way to the address, or to the phone of a user of the domain."""
        context = self._context
        try:
            outside = context.trunks.ways_to(self._target, self.caller, falls_back=not self._reason)
        except ServiceUnavailable:
            self.is_unserved = True
            raise
        if outside is not None:
            return outside
        uri = parse_uri(self._target)
        if uri.host == context.config.server.domain.lower():
            return context.ways_to_user(uri.user, self.caller)
        return (Way(self._target, self._target),)

    def called(self) -> str:
        """Name the target as it is written."""
        return f"<{self._target}>"

    def told(self, target: str) -> Headers:
        """Tell which number the call was diverted from, and where it was before."""
        if not self._reason:
            return super().told(target)
        return diverted(self.call.incoming.request, target, self._reason)

    def ringing(self) -> None:
        """Let a caller know who is not answered yet."""
        self.call.incoming.progress(180)

    def answered(self) -> None:
        """Let the caller be bridged."""
        self._know(None)

    def failed(self, status: int, reason: str) -> None:
        """Let the caller be told."""
        self.is_unserved = self.is_unserved or (status in LEADS_ON and not self._has_rung)
        self._know(reason)

    def _know(self, outcome: str | None) -> None:
        if not self.outcome_known.done():
            self.outcome_known.set_result(outcome)
