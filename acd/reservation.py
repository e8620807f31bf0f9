"""The wait for what a caller reserves before his call may go on: preconditions (RFC 3312 section 6, TS 24.229 6.1.3).

A handset asks its network for a bearer as soon as it knows our answer. Until it says, by UPDATE or PRACK, that it has
one, nobody is alerted and nothing is played. Our own resources are always there, and what we call for such a caller is
called without preconditions.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import structlog

from acd import facts
from acd.refusals import as_refusal, precondition_failure
from ims_core.errors import ExtensionRequired, PreconditionFailure

if TYPE_CHECKING:
    from acd.call import Call
    from acd.metrics.observed import Reserved
    from media.api import CannotReserve

OPTION: Final = "precondition"

log = structlog.get_logger()


async def until_reserved(call: Call) -> None:
    """Wait for the resources of a caller whose media leg was just opened; return at once where he has them.

    Raises ``ExtensionRequired`` where he cannot be told of ours before the answer, and ``PreconditionFailure`` when he
    says that he gets none, or nothing for ``sip.reservation_seconds``.
    """
    assert call.media is not None
    wanted = call.media.preconditions
    if wanted is None:
        return
    call.incoming.required = OPTION
    if not call.incoming.offer:  # ours goes first, and his answer says what he wants (RFC 3312 13.3)
        await call.describe()
        wanted = call.media.preconditions
    if wanted is None or wanted.met:
        return
    if not call.incoming.takes_reliable:
        raise ExtensionRequired(headers=(("Require", "100rel"),))
    context = call.context
    began = context.loop.time()
    call.reserved = context.loop.create_future()
    how: Reserved = "left"
    try:
        async with asyncio.timeout(context.config.sip.reservation_seconds):
            await call.describe()
            await call.reserved
        how = "met"
        call.record.tell(facts.CallerReserved(call.id, context.loop.time() - began))
    except PreconditionFailure:
        how = "failed"
        raise
    except TimeoutError:
        how = "unconfirmed"
        missing = call.media.preconditions or wanted
        raise precondition_failure("No resources were confirmed", missing.refusal(call.media.local_sdp)) from None
    finally:
        call.reserved = None
        seconds = context.loop.time() - began
        context.metrics.resources_awaited(how, seconds)
        log.info("resources.awaited", call=call.id, outcome=how, seconds=round(seconds, 3))


def reconsider(call: Call) -> None:
    """Let the call go on if what it waits for is there by the caller's latest offer."""
    if call.reserved is not None and not call.reserved.done() and call.media is not None:
        wanted = call.media.preconditions
        if wanted is None or wanted.met:
            call.reserved.set_result(None)


def give_up(call: Call, error: CannotReserve) -> None:
    """Let the call fail if it waits for what the caller says he cannot have."""
    if call.reserved is not None and not call.reserved.done():
        call.reserved.set_exception(as_refusal(error))
