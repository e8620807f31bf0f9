"""baresip hands its call to somebody else, and is handed over itself (it knows blind transfers only)."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from ims_core.calls import Call
from ims_core.flow import Flow
from ims_core.messages.message import Request, Response, response_to
from ims_core.ua.referral import Referral, serve_referrals, serve_shared_dialogs
from ims_core.ua.referring import ReferAccepted, ReferEvent, ReferFinished, Referring
from tests.peers.conftest import Bench
from tests.peers.kit import Baresip, Way
from tests.peers.kit.elements import until
from tests.peers.test_sipp_events import ANSWER, US, Here, here, succeed

pytestmark = [pytest.mark.peer("baresip"), pytest.mark.peer("sipp")]


async def phone_at(bench: Bench, us: Here) -> Baresip:
    """Start a phone that is registered with us; our word for it is all it needs."""

    def register(request: Request, _: Flow, __: float) -> Response:
        return response_to(
            request, 200, to_tag="r1", headers=(("Contact", f"{request.require('Contact')};expires=60"),)
        )

    us.element.register = register
    server: Any = SimpleNamespace(sip=us.remote)
    return await asyncio.to_thread(lambda: bench.baresip("alice", server, tone=440.0).wait_until_registered())


@pytest.mark.rfc("3515-2.4.4")
@pytest.mark.rfc("5589-6.1")
async def test_baresip_transfers_its_call(bench: Bench) -> None:
    async with here(bench, Way()) as us:
        target = bench.sipp("agent", keys={"caller": "agent"})
        calls: list[Call] = []
        referrals: list[Referral] = []

        async def serve(call: Call) -> None:
            calls.append(call)
            await call.answer(ANSWER)
            await asyncio.Event().wait()

        def follow(referral: Referral) -> None:
            referrals.append(referral)
            referral.accept()
            uri = referral.refer_to.uri
            out = us.ua.outgoing(uri, referral.report)
            out.start(uri, caller=US, callee=f"<{uri}>", sdp=ANSWER, headers=referral.follow_headers)
            followed.append(out)

        followed: list[Any] = []
        us.element.serve = serve
        serve_referrals(us.ua, follow)
        phone = await phone_at(bench, us)
        phone.dial("bob")
        await asyncio.to_thread(phone.wait_for, "CALL_ESTABLISHED")
        phone.command("transfer", f"sip:agent@127.0.0.1:{target.port}")
        await until(lambda: calls[0].is_over, "baresip has hung up")
        assert referrals[0].refer_to.uri == f"sip:agent@127.0.0.1:{target.port}"
        assert referrals[0].session is calls[0].session
        await until(lambda: len(us.ua.usages) == 0, "the reports are over")
        followed[0].hang_up()
        us.flush()
        await succeed(target)


@pytest.mark.rfc("3515-2.4.5")
@pytest.mark.rfc("5589-6.1")
@pytest.mark.parametrize("answers", [True, False])
async def test_baresip_is_transferred(bench: Bench, answers: bool) -> None:
    async with here(bench, Way()) as us:
        calls: list[Call] = []

        async def serve(call: Call) -> None:
            calls.append(call)
            if call.called == "carol" and not answers:
                call.reject(486)
                return
            await call.answer(ANSWER)
            await asyncio.Event().wait()

        us.element.serve = serve
        serve_shared_dialogs(us.ua)
        phone = await phone_at(bench, us)
        phone.dial("bob")
        await asyncio.to_thread(phone.wait_for, "CALL_ESTABLISHED")
        told: list[ReferEvent] = []
        Referring(us.ua, told.append).within(calls[0].session, "<sip:carol@ims.example>", referred_by=US)
        us.flush()
        await until(lambda: told and isinstance(told[-1], ReferFinished), "the transfer is over")
        assert told[0] == ReferAccepted(reports=True)
        assert isinstance(told[-1], ReferFinished)
        assert told[-1].status == (200 if answers else 486)
        assert len(calls) == 2
        await until(lambda: len(us.ua.usages) == 0, "the reports are over")
