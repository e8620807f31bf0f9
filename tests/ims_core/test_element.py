"""Elements on sockets, and the calls of coroutines."""

from __future__ import annotations

import asyncio

import pytest

from ims_core.bridge import bridge
from ims_core.calls import Call, CallEnded, CallError, CallRejected, NotTaken
from ims_core.element import SERVICE, Element, StatelessElement
from ims_core.errors import LocalProtocolError, NotAcceptableHere
from ims_core.flow import Flow
from ims_core.host import Host, Listener
from ims_core.messages.message import Request
from ims_core.proxy.forking import Target
from ims_core.roles.routing import Decision, ToService
from ims_core.security.credentials import Credentials
from ims_core.security.digest import DigestAuthenticator, Outcome, ProxyAuthenticationRequired
from ims_core.transactions.machines import TimerValues
from ims_core.ua.instant_message import take_message
from ims_core.ua.session_events import Ended, MessageReceived, Reoffered

OFFER, ANSWER = b"v=0\r\no=offer\r\n", b"v=0\r\no=answer\r\n"
ALICE = '"Alice" <sip:alice@lab.example>'

pytestmark = pytest.mark.usefixtures("nothing_left")


def address_of(element: Host) -> str:
    _, (host, port) = element.addresses[0]
    return f"{f'[{host}]' if ':' in host else host}:{port}"


@pytest.mark.parametrize("listen", ["udp:127.0.0.1:0", "tcp:127.0.0.1:0", "udp:[::1]:0"])
@pytest.mark.rfc("3261-13.2.1", "3261-14.1", "3261-15.1.1")
async def test_a_call_from_end_to_end(listen: str) -> None:
    """It rings, is answered, is offered something else, and is hung up by who was called."""
    said = []

    async def serve(call: Call) -> None:
        said.extend([call.called, call.caller, call.offered])
        call.progress()
        await call.answer(ANSWER)
        offered = await call.event()
        assert isinstance(offered, Reoffered)
        call.accept_offer(offered.sdp.upper())

    async with Element(listen) as callee, Element(listen) as caller:
        callee.serve = serve
        transport = "" if listen.startswith("udp") else ";transport=tcp"
        async with caller.call(f"sip:desk@{address_of(callee)}{transport}", caller=ALICE, sdp=OFFER) as call:
            assert await call.answered() == ANSWER
            assert await call.offer(OFFER) == OFFER.upper()
            assert [type(event) async for event in call][-1] is Ended
    assert said == ["desk", ALICE, OFFER]


@pytest.mark.rfc("3261-21.4.18")
async def test_who_serves_nobody_is_not_available() -> None:
    async with Element("udp:127.0.0.1:0") as callee, Element("udp:127.0.0.1:0") as caller:
        async with caller.call(f"sip:desk@{address_of(callee)}", caller=ALICE, sdp=OFFER) as call:
            with pytest.raises(CallRejected, match="480"):
                await call.answered()
        with pytest.raises(CallEnded):
            await call.event()


@pytest.mark.rfc("3261-9.1")
async def test_the_task_of_a_caller_who_gives_up_is_cancelled() -> None:
    rang, over = asyncio.Event(), asyncio.Event()

    async def serve(call: Call) -> None:
        try:
            call.progress()
            rang.set()
            await asyncio.Event().wait()
        finally:
            over.set()

    async with Element("udp:127.0.0.1:0") as callee, Element("udp:127.0.0.1:0") as caller:
        callee.serve = serve
        async with caller.call(f"sip:desk@{address_of(callee)}", caller=ALICE, sdp=OFFER):
            await rang.wait()
        await over.wait()


@pytest.mark.rfc("3261-13.2.2.4", "3261-15.1.2")
async def test_what_came_with_the_end_is_told_before_it() -> None:
    told: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def serve(call: Call) -> None:
        told.set_result(await call.answer(OFFER))

    async with Element("tcp:127.0.0.1:0") as callee, Element("tcp:127.0.0.1:0") as caller:
        callee.serve = serve
        async with caller.call(f"sip:desk@{address_of(callee)};transport=tcp", caller=ALICE) as call:
            assert await call.answered() == OFFER
            call.acknowledge(ANSWER)
        assert await asyncio.wait_for(told, 5.0) == ANSWER


async def test_a_service_that_fails_ends_its_call_and_no_other(caplog: pytest.LogCaptureFixture) -> None:
    async def serve(call: Call) -> None:
        if call.called == "broken":
            raise RuntimeError("a defect of the test")
        await call.answer(ANSWER)
        await asyncio.Event().wait()

    async with Element("udp:127.0.0.1:0") as callee, Element("udp:127.0.0.1:0") as caller:
        callee.serve = serve
        host = address_of(callee)
        async with (
            caller.call(f"sip:desk@{host}", caller=ALICE, sdp=OFFER) as whole,
            caller.call(f"sip:broken@{host}", caller=ALICE, sdp=OFFER) as broken,
        ):
            assert await whole.answered() == ANSWER
            with pytest.raises(CallRejected, match="480"):
                await broken.answered()
            assert not whole.is_over


@pytest.mark.rfc("3311-5.1", "3428-7", "6086-4.2.2")
async def test_what_is_asked_within_a_call_is_answered() -> None:
    async def serve(call: Call) -> None:
        await call.answer(ANSWER)
        async for event in call:
            if isinstance(event, Reoffered) and event.sdp == b"refuse":
                call.refuse_offer(NotAcceptableHere())
            elif isinstance(event, Reoffered):
                call.accept_offer(event.sdp.upper())
            elif isinstance(event, MessageReceived):
                heard.append(event.body)

    heard: list[bytes] = []
    async with Element("udp:127.0.0.1:0") as callee, Element("udp:127.0.0.1:0") as caller:
        callee.serve = serve
        callee.node.ua.serve("MESSAGE", take_message)
        async with caller.call(f"sip:desk@{address_of(callee)}", caller=ALICE, sdp=OFFER) as call:
            with pytest.raises(LocalProtocolError):
                await call.ask("INFO")
            assert await call.answered() == ANSWER
            assert await call.update(OFFER) == OFFER.upper()
            assert await call.update() == b""
            with pytest.raises(NotTaken, match="488"):
                await call.update(b"refuse")
            assert (await call.ask("MESSAGE", body=b"hello", content_type="text/plain")).status == 200
            assert heard == [b"hello"]
            refused = await call.ask("INFO", headers=(("Info-Package", "conference"),))
            assert (refused.status, refused.get("Recv-Info")) == (469, "")


async def test_who_is_not_answered_within_a_call_is_told() -> None:
    timers = TimerValues(0.005, 0.01, 0.01)  # not a moment longer than it must
    async with Element("udp:127.0.0.1:0") as callee, Element("udp:127.0.0.1:0", timers=timers) as caller:
        answered = asyncio.Event()

        async def serve(call: Call) -> None:
            await call.answer(ANSWER)
            answered.set()
            await asyncio.Event().wait()

        callee.serve = serve
        async with caller.call(f"sip:desk@{address_of(callee)}", caller=ALICE, sdp=OFFER) as call:
            await call.answered()
            await answered.wait()
            await callee.stack.close()
            with pytest.raises(CallError, match="no response"):
                await call.ask("INFO")


@pytest.mark.rfc("3261-22.3")
async def test_who_is_asked_for_credentials_has_some() -> None:
    authenticator = DigestAuthenticator("lab.example", {"alice": "wonderland"}.get, b"0123456789abcdef")

    def admit(request: Request, flow: Flow, now: float) -> Decision:
        given = request.whole_values("Proxy-Authorization")
        if authenticator.verify(request.method, request.uri, given, now).outcome is Outcome.ACCEPTED:
            return ToService(SERVICE)
        raise ProxyAuthenticationRequired(authenticator.challenges(now), is_proven=False)

    async def serve(call: Call) -> None:
        await call.answer(ANSWER)

    async with Element("udp:127.0.0.1:0") as callee, Element("udp:127.0.0.1:0") as caller:
        callee.route, callee.serve = admit, serve
        target = f"sip:desk@{address_of(callee)}"
        async with caller.call(target, caller=ALICE, sdp=OFFER) as call:
            with pytest.raises(CallRejected, match="407"):
                await call.answered()
        credentials = Credentials("alice", "wonderland")
        async with caller.call(target, caller=ALICE, sdp=OFFER, credentials=credentials) as call:
            assert await call.answered() == ANSWER


@pytest.mark.rfc("3261-14.1", "3261-14.2")
async def test_a_bridge_passes_offers_on_in_both_directions() -> None:
    """Also one that asks for the other side's offer, and one that is refused."""
    seen: list[bytes] = []

    async def serve(call: Call) -> None:
        await call.answer(ANSWER)
        async for event in call:
            if isinstance(event, Reoffered):
                seen.append(event.sdp)
                if event.sdp == b"refuse":
                    call.refuse_offer(NotAcceptableHere())
                else:
                    call.accept_offer(b"new " + ANSWER)

    async def between(near: Call) -> None:
        target = f"sip:{near.called}@{address_of(callee)}"
        async with middle.call(target, caller=near.caller, sdp=near.offered) as far:
            await bridge(near, far)

    async with (
        Element("udp:127.0.0.1:0") as callee,
        Element("udp:127.0.0.1:0") as middle,
        Element("udp:127.0.0.1:0") as caller,
    ):
        callee.serve, middle.serve = serve, between
        async with caller.call(f"sip:desk@{address_of(middle)}", caller=ALICE, sdp=OFFER) as call:
            assert await call.answered() == ANSWER
            assert await call.offer(b"hold") == b"new " + ANSWER
            with pytest.raises(Exception, match="488"):
                await call.offer(b"refuse")
            assert await call.offer() == b"new " + ANSWER
            call.acknowledge(b"ours")
            assert await call.offer(b"again") == b"new " + ANSWER
    assert seen == [b"hold", b"refuse", b"", b"again"]


@pytest.mark.rfc("3261-16.11")
@pytest.mark.parametrize("listen", ["udp:127.0.0.1:0", "tcp:127.0.0.1:0", "udp:[::1]:0", "tcp:[::1]:0"])
async def test_a_call_goes_through_a_proxy_without_state(listen: str) -> None:
    routes: list[str] = []

    async def serve(call: Call) -> None:
        routes.extend(call.session.dialog.route_set if call.session.dialog is not None else ())
        await call.answer(ANSWER)

    async with Element(listen) as callee, Element(listen) as caller:
        callee.serve = serve
        transport = "" if listen.startswith("udp") else ";transport=tcp"
        target = f"sip:desk@{address_of(callee)}{transport}"
        async with StatelessElement(listen, forward=lambda request, _: Target(request.uri)) as proxy:
            hop = f"sip:{address_of(proxy)}{transport}"
            async with caller.call(target, caller=ALICE, sdp=OFFER, hop=hop) as call:
                assert await call.answered() == ANSWER
                assert [type(event) async for event in call] == [Ended]
            assert len(routes) == 1
            assert f"@{address_of(proxy)}{transport};lr>" in routes[0]


def test_what_is_no_listener_is_said() -> None:
    with pytest.raises(ValueError, match="not a listener: udp"):
        Element("udp:")


@pytest.mark.rfc("3261-19.1.2")
@pytest.mark.parametrize(
    ("text", "listener"),
    [
        ("udp:127.0.0.1", ("UDP", "127.0.0.1", 5060)),
        ("Tls:[::1]", ("TLS", "::1", 5061)),
        ("wss:[2001:DB8::1]:8443", ("WSS", "2001:db8::1", 8443)),
        ("tcp:[::]:0", ("TCP", "::", 0)),
    ],
)
def test_listeners_are_named_by_transport_and_address(text: str, listener: tuple[str, str, int]) -> None:
    assert Listener.named(text) == listener
