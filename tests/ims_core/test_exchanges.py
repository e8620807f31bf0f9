"""Pings, messages, transfers and subscriptions that are awaited, between two elements on real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from ims_core.calls import Call
from ims_core.element import SERVICE, Element
from ims_core.errors import Declined, RequestEntityTooLarge
from ims_core.exchanges import Watch, ping, send_message, transfer
from ims_core.flow import Flow
from ims_core.messages.message import Request
from ims_core.roles.routing import Decision, ToService
from ims_core.security.credentials import Credentials
from ims_core.security.digest import DigestAuthenticator, Outcome, ProxyAuthenticationRequired
from ims_core.ua.event_headers import Event
from ims_core.ua.incoming import IncomingCall
from ims_core.ua.messaging import TextReceived, serve_messages
from ims_core.ua.notifier import serve_events
from ims_core.ua.outgoing import OutgoingCall
from ims_core.ua.referral import Referral, serve_referrals
from ims_core.ua.referring import ReferFinished, ReferRefused, refer_to_session
from ims_core.ua.replaces import replaces_of, serve_replaces
from ims_core.ua.session import CONFIRMED, Session
from ims_core.ua.session_events import Ended
from ims_core.ua.subscriber import Notified, Unsubscribed, Wish
from ims_core.ua.subscription import NO_RESOURCE
from tests.conftest import Ports
from tests.ims_core.conftest import PATIENCE
from tests.ims_core.ua.test_subscriptions import WEATHER, Weather

US = "<sip:us@lab.example>"

pytestmark = pytest.mark.usefixtures("nothing_left")


@asynccontextmanager
async def pair(ports: Ports) -> AsyncIterator[tuple[Element, Element, str]]:
    """Two elements, and the URI of the second."""
    first, second = ports.one(), ports.one()
    async with Element(f"udp:127.0.0.1:{first}") as one, Element(f"udp:127.0.0.1:{second}") as other:
        yield one, other, f"sip:them@127.0.0.1:{second}"


async def test_a_ping_is_awaited(ports: Ports) -> None:
    async with pair(ports) as (one, _, uri):
        outcome = await ping(one, uri, user=US)
        assert outcome.is_success
        assert outcome.response is not None
        assert "INVITE" in outcome.response.values("Allow")


async def test_a_ping_that_cannot_leave_is_told_at_once(ports: Ports) -> None:
    async with pair(ports) as (one, _, uri):
        outcome = await ping(one, uri, user=US, hop="sip:[::1]:5060")
        assert (outcome.status, outcome.response) == (503, None)


async def test_a_message_is_awaited(ports: Ports) -> None:
    async with pair(ports) as (one, other, uri):
        received: list[TextReceived] = []

        def take(message: TextReceived) -> int:
            received.append(message)
            return 202

        serve_messages(other.node.ua, take)
        assert (await send_message(one, uri, b"hello", user=US)).status == 202
        assert [message.body for message in received] == [b"hello"]
        with pytest.raises(RequestEntityTooLarge):
            await send_message(one, uri, b"x" * 1300, user=US)


@pytest.mark.parametrize("wants", [True, False])
async def test_a_transfer_is_awaited(ports: Ports, wants: bool) -> None:
    async with pair(ports) as (one, other, uri):

        def decide(referral: Referral) -> None:
            if wants:
                referral.accept()
                referral.progress(180, "Ringing")
                referral.finish(486, "Busy Here")
            else:
                referral.refuse(Declined())

        async def answer(call: Call) -> None:
            await call.answer(b"v=0\r\n")
            await asyncio.Event().wait()

        other.serve = answer
        serve_referrals(other.node.ua, decide)
        async with one.call(uri, caller=US, sdp=b"v=0\r\n") as call:
            await call.answered()
            last = await transfer(one, call, "<sip:carol@lab.example>", referred_by=US)
        assert last == (ReferFinished(486, "Busy Here") if wants else ReferRefused(603, "Decline"))


@pytest.mark.rfc("5589-7.1", "3891-3")
async def test_a_transfer_to_a_call_of_ours_is_awaited(ports: Ports) -> None:
    """We talk to two others, and have the one take our place with the other."""
    replaced: list[tuple[str, str]] = []
    async with pair(ports) as (one, other, uri), Element("udp:127.0.0.1:0") as carol:
        replacements = serve_replaces(carol.node.ua, lambda *_: True)

        async def answer(call: Call) -> None:
            calls[call.session] = call
            await call.answer(b"v=0\r\n")
            assert isinstance(call.session, IncomingCall)
            given_up = replacements.match(call.session.request, call.session.identity)
            if given_up is not None:
                replaced.append((given_up.dialog_id[0], call.session.request.require("Replaces")))
                calls[given_up].hang_up()
            async for _ in call:
                pass

        def follow(referral: Referral) -> None:
            referral.accept()
            to = referral.refer_to.uri
            followed = other.node.call(to, referral.report)
            followed.start(to, caller=US, callee=f"<{to}>", sdp=b"v=0\r\n", headers=referral.follow_headers)
            follows.append(followed)

        calls: dict[Session, Call] = {}
        follows: list[OutgoingCall] = []
        other.serve = carol.serve = answer
        serve_referrals(other.node.ua, follow)
        async with one.call(uri, caller=US, sdp=b"v=0\r\n") as call:
            await call.answered()
            target = f"sip:carol@127.0.0.1:{carol.addresses[0][1][1]}"
            async with asyncio.timeout(PATIENCE), one.call(target, caller=US, sdp=b"v=0\r\n") as consult:
                await consult.answered()
                wanted = replaces_of(consult.session)
                last = await transfer(one, call, refer_to_session(consult.session), referred_by=US)
                assert last == ReferFinished(200, "OK")
                assert [type(event) async for event in consult] == [Ended]
        assert replaced == [(consult.call_id, str(wanted))]
        assert follows[0].state == CONFIRMED
        follows[0].hang_up()
        other.stack.flush()


async def test_a_resource_is_watched_until_there_is_none(ports: Ports) -> None:
    async with pair(ports) as (one, other, uri):
        notifier = serve_events(other.node.ua, [Weather()])
        wish = Wish(uri, Event("weather", "", {}), (WEATHER,), US)
        bodies = []
        async with Watch(one, wish) as news:
            async for event in news:
                if isinstance(event, Notified):
                    bodies.append(event.body)
                    if len(bodies) == 1:
                        notifier.changed("weather", "them", "rain")
                    elif len(bodies) == 2:
                        notifier.end(NO_RESOURCE)
                    other.stack.flush()
            assert event == Unsubscribed("noresource", None)
        assert bodies == [b"0 them sunny", b"1 them rain", b"2 them sunny"]
        assert len(one.node.ua.usages) == 0


async def test_a_watch_is_given_up_at_its_end(ports: Ports) -> None:
    async with pair(ports) as (one, other, uri):
        notifier = serve_events(other.node.ua, [Weather()])
        async with Watch(one, Wish(uri, Event("weather", "", {}), (WEATHER,), US)) as news:
            async for _ in news:
                break
            assert len(notifier) == 1
        for _ in range(100_000):
            await asyncio.sleep(0)  # for the sockets
            if not len(notifier) and not len(one.node.ua.usages):
                break
        assert len(notifier) == len(one.node.ua.usages) == 0


@pytest.mark.rfc("3261-22.3")
async def test_who_asks_for_credentials_gets_them(ports: Ports) -> None:
    authenticator = DigestAuthenticator("lab.example", {"us": "wonderland"}.get, b"0123456789abcdef")

    def admit(request: Request, flow: Flow, now: float) -> Decision:
        given = request.whole_values("Proxy-Authorization")
        if authenticator.verify(request.method, request.uri, given, now).outcome is not Outcome.ACCEPTED:
            raise ProxyAuthenticationRequired(authenticator.challenges(now), is_proven=False)
        return ToService(SERVICE, "us")

    credentials = Credentials("us", "wonderland")
    async with pair(ports) as (one, other, uri):
        other.route = admit
        serve_messages(other.node.ua, lambda _: 200)
        serve_events(other.node.ua, [Weather()])
        assert (await ping(one, uri, user=US)).status == 407
        assert (await ping(one, uri, user=US, credentials=credentials)).status == 200
        assert (await send_message(one, uri, b"hello", user=US)).status == 407
        assert (await send_message(one, uri, b"hello", user=US, credentials=credentials)).status == 200
        wish = Wish(uri, Event("weather", "", {}), (WEATHER,), US)
        async with Watch(one, wish, credentials=credentials) as news:
            async for event in news:
                assert isinstance(event, Notified)
                break
