"""Two calls made into one, between phones of ours on real sockets: what either side may want while the other waits."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

import pytest

from ims_core.bridge import bridge
from ims_core.calls import Call, CallRejected, NotTaken
from ims_core.element import Element
from ims_core.transactions.machines import TimerValues
from ims_core.ua.session_events import InfoReceived, Reoffered, Ringing
from tests.ims_core.conftest import PATIENCE

ALICE = "<sip:alice@lab.example>"
QUICK = TimerValues(0.01, 0.04, 0.05)

Side = Callable[[Call], Awaitable[None]]

pytestmark = pytest.mark.usefixtures("nothing_left")


def address_of(element: Element) -> str:
    _, (host, port) = element.addresses[0]
    return f"{host}:{port}"


@asynccontextmanager
async def called(
    callee: Side, sdp: bytes = b"offer", *, reliable: bool = True, onward: bool | None = None
) -> AsyncIterator[Call]:
    """A call through the bridge to ``callee``, as the caller has it; ``reliable`` if he takes reliable responses.

    ``onward``: whether the bridge does, as he does if it is None.
    """
    listen = "udp:127.0.0.1:0"
    async with Element(listen, timers=QUICK) as far, Element(listen, timers=QUICK) as us, Element(listen) as near:

        async def between(call: Call) -> None:
            target = f"sip:x@{address_of(far)}"
            takes = call.takes_reliable if onward is None else onward
            async with us.call(target, caller=call.caller, sdp=call.offered, reliable=takes) as beyond:
                await bridge(call, beyond)

        far.serve, us.serve = callee, between
        async with (
            asyncio.timeout(PATIENCE),
            near.call(f"sip:desk@{address_of(us)}", caller=ALICE, sdp=sdp, reliable=reliable) as call,
        ):
            yield call


@contextmanager
def taking_offers(call: Call, answer: bytes) -> Iterator[list[bytes]]:
    """Take whatever the peer offers; what he offered is returned."""
    offered: list[bytes] = []

    async def take() -> None:
        async for event in call:
            if isinstance(event, Reoffered):
                offered.append(event.sdp)
                call.accept_offer(answer)

    task = asyncio.create_task(take())
    try:
        yield offered
    finally:
        task.cancel()


@pytest.mark.rfc("3261-14.1")
async def test_of_two_reinvites_that_meet_one_comes_again() -> None:
    is_up, is_taken, is_done = asyncio.Event(), asyncio.Event(), asyncio.Event()
    got: dict[str, bytes] = {}

    async def callee(call: Call) -> None:
        await call.answer(b"answer")
        await is_up.wait()
        with taking_offers(call, b"taken by the callee") as offered:
            got["callee"] = await call.offer(b"of the callee")
            is_taken.set()
            await is_done.wait()
            assert offered == [b"of the caller"]

    async with called(callee) as call:
        await call.answered()
        is_up.set()
        with taking_offers(call, b"taken by the caller") as offered:
            got["caller"] = await call.offer(b"of the caller")
            await is_taken.wait()
            assert offered == [b"of the callee"]
        is_done.set()
    assert got == {"caller": b"taken by the callee", "callee": b"taken by the caller"}


@pytest.mark.rfc("3311-5.1")
async def test_an_update_before_the_answer_is_passed_on() -> None:
    is_told, is_over = asyncio.Event(), asyncio.Event()
    got: list[bytes] = []

    async def callee(call: Call) -> None:
        call.progress(183, b"early")
        got.append(await call.update(b"changed"))
        is_told.set()
        await call.answer(b"")
        await is_over.wait()

    async with called(callee) as call:
        with taking_offers(call, b"taken") as offered:
            await is_told.wait()
            await call.answered()
        is_over.set()
    assert (got, offered) == ([b"taken"], [b"changed"])


@pytest.mark.rfc("3311-5.2")
async def test_an_update_that_the_caller_cannot_get_yet_is_refused() -> None:
    """He takes no reliable responses, so that nobody knows before the answer whether he heard the last description."""
    refused: list[int] = []

    async def callee(call: Call) -> None:
        call.progress(183, b"early")
        try:
            await call.update(b"changed")
        except NotTaken as error:
            refused.append(error.status)
        await call.answer(b"early")
        await asyncio.Event().wait()

    async with called(callee, reliable=False, onward=True) as call:
        assert await call.answered() == b"early"
    assert refused == [488]


@pytest.mark.rfc("3262-5")
async def test_the_offer_of_the_callee_in_a_reliable_response_is_answered_by_the_caller() -> None:
    answered = asyncio.Event()

    async def callee(call: Call) -> None:
        call.progress(183, b"offer of the callee")
        await call.answer(b"offer of the callee")
        answered.set()
        await asyncio.Event().wait()

    async with called(callee, sdp=b"") as call:
        async for event in call:
            if isinstance(event, Ringing) and event.sdp:
                assert event.sdp == b"offer of the callee"
                call.acknowledge(b"answer of the caller")
                break
        await call.answered()
        await answered.wait()


@pytest.mark.rfc("3262-3")
async def test_a_callee_is_offered_no_reliable_responses_that_the_caller_does_not_take() -> None:
    """Else he would put an offer into one that nobody could answer before the call is."""
    got: list[bytes] = []
    is_answered = asyncio.Event()

    async def callee(call: Call) -> None:
        assert not call.takes_reliable
        call.progress(183, b"offer of the callee")
        got.append(await call.answer(b"offer of the callee"))
        is_answered.set()
        await asyncio.Event().wait()

    async with called(callee, sdp=b"", reliable=False) as call:
        assert await call.answered() == b"offer of the callee"
        call.acknowledge(b"answer of the caller")
        await is_answered.wait()
    assert got == [b"answer of the caller"]


@pytest.mark.rfc("3261-13.3.1.1")
async def test_early_media_and_keys_are_passed_on() -> None:
    is_heard, keys = asyncio.Event(), asyncio.Event()

    async def callee(call: Call) -> None:
        call.progress(183, b"early")
        await is_heard.wait()
        await call.answer(b"early")
        async for event in call:
            if isinstance(event, InfoReceived):
                assert event == InfoReceived("application/dtmf", b"5")
                keys.set()

    async with called(callee) as call:
        assert await call.event() == Ringing(183, b"early", reliable=True)
        is_heard.set()
        await call.answered()
        call.inform("application/dtmf", b"5")
        await keys.wait()


async def test_the_caller_is_refused_as_the_bridge_is() -> None:
    async def callee(call: Call) -> None:
        call.reject(486)

    async with called(callee) as call:
        with pytest.raises(CallRejected, match="486 Busy Here"):
            await call.answered()
