"""What comes at the wrong moment, is lost, or goes the other way within dialogs: SIPp by each way at once."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from ims_core.calls import Call, CallEnded, CallRejected
from ims_core.exchanges import send_message
from ims_core.ua.notifier import serve_events
from ims_core.ua.session_events import InfoReceived, Reanswered, Ringing
from ims_core.ua.session_timer import TimerPolicy
from tests.ims_core.ua.test_subscriptions import Weather
from tests.peers.conftest import Bench
from tests.peers.kit import WAYS, Sipp
from tests.peers.kit.elements import OFFER, US, Here, here, succeed, until, uris

pytestmark = pytest.mark.peer("sipp")

EACH = len(WAYS)


async def answer_and_hold_offers(call: Call) -> None:
    """Answer, and answer a re-INVITE as late as the caller says so by an INFO."""
    await call.answer(OFFER)
    async for event in call:
        if isinstance(event, InfoReceived) and event.body.startswith(b"answer"):
            call.accept_offer(OFFER)


@pytest.mark.rfc("3261-14.2", "3311-5.2")
async def test_an_offer_before_the_last_one_is_answered_is_put_off(bench: Bench) -> None:
    async with here(bench) as us:
        us.element.serve = answer_and_hold_offers
        callers = us.come("call_overlaps")
        await succeed(callers)
        assert [len(caller.said("later")) for caller in callers] == [2] * EACH


@pytest.mark.rfc("3261-15.1.2")
async def test_a_bye_ends_a_call_whose_reinvite_is_not_answered(bench: Bench) -> None:
    async with here(bench) as us:
        us.element.serve = answer_and_hold_offers
        await succeed(us.come("call_bye_first"))


@pytest.mark.rfc("3261-9.2")
async def test_a_reinvite_is_cancelled_and_the_call_goes_on(bench: Bench) -> None:
    async with here(bench) as us:
        us.element.serve = answer_and_hold_offers
        await succeed(us.come("call_cancels_change"))


async def call_each(us: Here, targets: list[str]) -> list[Call]:
    """Call all targets, and return the calls when they are answered."""
    calls = [us.element.call(target, caller=US, sdp=OFFER) for target in targets]
    await asyncio.gather(*(call.answered() for call in calls))
    return calls


async def until_hung_up(calls: list[Call]) -> None:
    for call in calls:
        async for _ in call:
            pass


@pytest.mark.rfc("3261-13.2.2.4")
async def test_an_answer_that_comes_again_is_acknowledged_again(bench: Bench) -> None:
    async with here(bench) as us:
        agents = await us.waiting("agent_deaf", options=["-nr"])
        await until_hung_up(await call_each(us, uris(agents)))
        await succeed(agents)
        assert [agent.received("ACK") for agent in agents] == [3] * EACH


@pytest.mark.rfc("3311-5.1", "3262-4")
async def test_we_update_a_call_before_and_after_its_answer(bench: Bench) -> None:
    async with here(bench) as us:
        agents = await us.waiting("agent_updated")

        async def change(target: str, agent: Sipp) -> None:
            async with us.element.call(target, caller=US, sdp=OFFER) as call:
                assert (await call.event())[::2] == (183, True)
                await until(lambda: any("PRACK\tSIP/2.0 200" in line for line in agent.messages), "PRACK is answered")
                for when, sdp in (("early", b"a=sendonly\r\n"), ("answered", b"a=sendrecv\r\n")):
                    if when == "answered":
                        await call.answered()
                    call.session.update(OFFER + sdp)
                    us.flush()
                    assert isinstance(await call.event(), Reanswered)

        await asyncio.gather(*map(change, uris(agents), agents))
        await succeed(agents)


@pytest.mark.rfc("4028-7.4")
async def test_we_ask_for_the_interval_that_a_422_names(bench: Bench) -> None:
    async with here(bench) as us:
        us.element.node.ua.session_timers = TimerPolicy(90, 90)
        agents = await us.waiting("agent_422")
        for call in await call_each(us, uris(agents)):
            call.hang_up()
        await succeed(agents)
        assert [len(agent.said("raised")) for agent in agents] == [1] * EACH


@pytest.mark.rfc("6086-4.2.2", "6086-1")
async def test_info_goes_both_ways_and_unknown_packages_are_refused(bench: Bench) -> None:
    async def echo(call: Call) -> None:
        await call.answer(OFFER)
        with contextlib.suppress(CallEnded):
            async for event in call:
                if isinstance(event, InfoReceived):
                    call.inform(event.content_type, event.body)

    async with here(bench) as us:
        us.element.serve = echo
        callers = us.come("call_informs")
        await succeed(callers)
        assert [len(caller.said("told")) for caller in callers] == [1] * EACH


@pytest.mark.rfc("3428-4")
async def test_we_write_to_sipp(bench: Bench) -> None:
    async with here(bench) as us:
        phones = await us.waiting("messaged")
        for target in uris(phones):
            assert (await send_message(us.element, target, b"Come in.", user=US)).is_success
        await succeed(phones)


@pytest.mark.rfc("3261-11.2", "3261-18.2.1", "3581-4")
async def test_who_asks_is_told_what_is_known_and_where_that_came_from(bench: Bench) -> None:
    async with here(bench) as us:
        phones = us.come("asks")
        await succeed(phones)
        came = [phone.said("came from") for phone in phones]
        assert came == [[f"{way.host} {phone.port}"] for way, phone in zip(WAYS, phones, strict=True)]


@pytest.mark.rfc("3261-13.2.1", "3264-5")
async def test_an_invite_without_offer_is_answered_with_ours(bench: Bench) -> None:
    answers: list[bytes] = []

    async def offer(call: Call) -> None:
        assert call.offered == b""
        answers.append(await call.answer(OFFER))
        await until_hung_up([call])

    async with here(bench) as us:
        us.element.serve = offer
        await succeed(us.come("call_without_offer"))
        assert [b"m=audio" in answer for answer in answers] == [True] * EACH


async def ring(call: Call) -> None:
    call.progress(180)
    await until_hung_up([call])


async def tell_early(call: Call) -> None:
    call.progress(183, OFFER)
    call.reject(480)


@pytest.mark.rfc("3261-9.2", "3261-13.3.1.1")
async def test_a_caller_cancels_while_it_rings(bench: Bench) -> None:
    async with here(bench) as us:
        us.element.serve = ring
        await succeed(us.come("call_cancel"))


@pytest.mark.rfc("3261-13.3.1.1", "3261-13.3.1.3")
async def test_a_caller_hears_something_and_is_refused(bench: Bench) -> None:
    async with here(bench) as us:
        us.element.serve = tell_early
        callers = us.come("call_early")
        await succeed(callers)
        assert all(caller.said("early") for caller in callers)


@pytest.mark.rfc("3261-9.1", "3261-13.2.2.3")
async def test_we_cancel_a_phone_that_rings_and_are_refused_by_one_that_is_busy(bench: Bench) -> None:
    async with here(bench) as us:
        ringing, busy = await us.waiting("agent_rings"), await us.waiting("agent_busy")
        for target in uris(ringing):
            async with us.element.call(target, caller=US, sdp=OFFER) as call:
                assert await call.event() == Ringing(180, b"")
        for target in uris(busy):
            with pytest.raises(CallRejected, match="486"):
                await us.element.call(target, caller=US, sdp=OFFER).answered()
        await succeed(ringing, busy)


@pytest.mark.rfc("4028-10", "3311-5.1")
async def test_we_refresh_by_update_where_the_peer_takes_it(bench: Bench) -> None:
    async with here(bench) as us:
        us.ua.session_timers = TimerPolicy(4, 4)
        us.element.serve = answer_and_hold_offers
        callers = us.come("call_timer_updated")
        await succeed(callers)
        assert [len(caller.said("refreshed")) for caller in callers] == [1] * EACH


@pytest.mark.rfc("3261-8.2.1", "3261-8.2.2.1", "3261-8.2.2.3", "3261-9.2", "3261-12.2.2", "3261-21.5.6", "6665-4.2.1.1")
async def test_what_is_not_to_be_had_is_refused_in_its_own_way(bench: Bench) -> None:
    async with here(bench) as us:
        serve_events(us.ua, [Weather()])
        await succeed(us.come("refusals"))
