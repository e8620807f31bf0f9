"""Subscriptions, referrals and replaced calls with SIPp on either side of an element of ours."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from ims_core.calls import Call
from ims_core.element import Element
from ims_core.exchanges import Watch, ping
from ims_core.ua.dialog_package import DialogPackage, single_user
from ims_core.ua.event_headers import Event
from ims_core.ua.incoming import IncomingCall
from ims_core.ua.messaging import TextReceived, serve_messages
from ims_core.ua.notifier import serve_events
from ims_core.ua.packages import Admission
from ims_core.ua.referral import Referral, serve_referrals, serve_shared_dialogs
from ims_core.ua.referring import ReferAccepted, ReferEvent, ReferFinished, ReferProgress, Referring
from ims_core.ua.replaces import Replaces, replaces_of, serve_replaces
from ims_core.ua.session import Session
from ims_core.ua.session_events import Ringing, SessionEvent
from ims_core.ua.subscriber import Notified, Subscriber, SubscriberEvent, Unsubscribed, Wish
from tests.ims_core.ua.test_subscriptions import WEATHER, Weather
from tests.peers.conftest import Bench
from tests.peers.kit import WAYS, Sipp, Way, by_each_way, elements
from tests.peers.kit.elements import until

pytestmark = pytest.mark.peer("sipp")

ANSWER = b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 40000 RTP/AVP 0\r\n"
US = "<sip:us@ims.example>"


class Here:
    """An element of ours on a port of its own, UDP and TCP."""

    def __init__(self, element: Element, host: str, port: int) -> None:
        self.element = element
        self.ua = element.node.ua
        self.remote = (host, port)

    def flush(self) -> None:
        self.element.stack.flush()


@asynccontextmanager
async def here(bench: Bench, way: Way) -> AsyncIterator[Here]:
    address = f"{way.written}:{bench.port()}"
    async with Element(f"udp:{address}", f"tcp:{address}", domain="ims.example") as element:
        ((_, (host, port)), _) = element.addresses
        yield Here(element, host, port)


async def succeed(sipp: Sipp) -> None:
    await asyncio.to_thread(sipp.succeed)


async def listening(sipp: Sipp, way: Way) -> None:
    """Wait until SIPp takes connections; its datagrams are sent again."""
    await asyncio.to_thread(way.wait_for_listener, sipp.port)


# Subscriptions -------------------------------------------------------------------------------------------------------


@by_each_way
@pytest.mark.rfc("6665-4.2.1")
@pytest.mark.rfc("6665-4.2.2")
async def test_sipp_subscribes_is_told_refreshes_and_leaves(bench: Bench, way: Way) -> None:
    async with here(bench, way) as us:
        notifier = serve_events(us.ua, [Weather()])
        options = {"number": "riga", "keys": {"caller": "sipp", "expires": 600}, "pause": 0.2, "way": way}
        sipp = bench.sipp("subscribe", remote=us.remote, **options)
        await succeed(sipp)
        assert sipp.said("told") == [
            "active;expires=600 | 0 riga sunny",
            "active;expires=600 | 1 riga sunny",
            "terminated;reason=timeout | 2 riga sunny",
        ]
        await until(lambda: len(notifier) == len(us.ua.usages) == 0, "the subscription is forgotten")


@by_each_way
@pytest.mark.rfc("6665-4.1.2")
@pytest.mark.rfc("6665-4.1.3")
async def test_sipp_is_subscribed_to_and_tells(bench: Bench, way: Way) -> None:
    async with here(bench, way) as us:
        sipp = bench.sipp("notify", keys={"caller": "sipp"}, pause=0.2, way=way)
        await listening(sipp, way)
        told: list[SubscriberEvent] = []
        target = way.uri("sipp", sipp.port)
        Subscriber(us.ua, target, Wish(target, Event("weather", "", {}), (WEATHER,), US), told.append).start()
        us.flush()
        await succeed(sipp)
        await until(lambda: told and isinstance(told[-1], Unsubscribed), "the end is told")
        assert [(event.state.state, event.body.strip()) for event in told if isinstance(event, Notified)] == [
            ("active", b"sunny"),
            ("active", b"rain"),
            ("terminated", b"none"),
        ]
        assert told[-1] == Unsubscribed("noresource", None)
        assert len(us.ua.usages) == 0


@by_each_way
@pytest.mark.rfc("6665-4.1.2.4")
async def test_sipp_tells_before_it_answers_the_subscribe(bench: Bench, way: Way) -> None:
    async with here(bench, way) as us:
        sipp = bench.sipp("notify_early", keys={"caller": "sipp"}, way=way)
        await listening(sipp, way)
        target = way.uri("sipp", sipp.port)
        async with Watch(us.element, Wish(target, Event("weather", "", {}), (WEATHER,), US)) as news:
            bodies = [event.body.strip() async for event in news if isinstance(event, Notified)]
        await succeed(sipp)
        assert bodies == [b"early", b"none"]
        assert len(us.ua.usages) == 0


@by_each_way
@pytest.mark.rfc("3261-11.1")
async def test_sipp_is_pinged(bench: Bench, way: Way) -> None:
    async with here(bench, way) as us:
        sipp = bench.sipp("options", keys={"caller": "sipp"}, way=way)
        await listening(sipp, way)
        outcome = await ping(us.element, way.uri("sipp", sipp.port), user=US)
        assert outcome.is_success
        await succeed(sipp)


@by_each_way
@pytest.mark.rfc("3428-7")
async def test_sipp_writes_to_us(bench: Bench, way: Way) -> None:
    async with here(bench, way) as us:
        received: list[bytes] = []

        def take(message: TextReceived) -> int:
            received.append(message.body.strip())
            return 200

        serve_messages(us.ua, take)
        sipp = bench.sipp("message", remote=us.remote, keys={"caller": "sipp"}, way=way)
        await succeed(sipp)
        assert received == [b"Watson, come here."]
        assert sipp.said("accepted") == ["text/plain"]


# Dialog events -------------------------------------------------------------------------------------------------------


@pytest.mark.rfc("4235-3.7.1", "4235-4.1.2", "4235-4.3", "4235-3.5")
async def test_sipp_watches_the_calls_of_a_phone(bench: Bench) -> None:
    """Each step of the call waits until all watchers have been told of the one before."""
    async with elements.here(bench) as us:
        package = DialogPackage(
            us.element.node.endpoint.clock,
            user_of=single_user("sip:bob@ims.example"),
            admit_watcher=lambda request, _: Admission("sip:bob@ims.example", request.from_.uri.user),
        )
        package.least_interval = 0.0
        package.notifier = notifier = serve_events(us.ua, [package])
        us.ua.watchers.append(package)
        watchers = us.come("watch_dialogs", number="bob")

        async def all_told(documents: int) -> None:
            what = f"{documents} documents"
            await until(lambda: all(len(watcher.said("told")) >= documents for watcher in watchers), what)

        async def answer(call: Call) -> None:
            await all_told(2)
            call.progress()
            await all_told(3)
            await call.answer(ANSWER)
            await all_told(4)

        us.element.serve = answer
        await all_told(1)
        way = WAYS[0]
        alice = bench.sipp("call_wait", remote=us.at(way), way=way, number="bob", keys={"caller": "alice"})
        await succeed(alice)
        await elements.succeed(watchers)
        await until(lambda: not len(notifier), "the subscriptions are forgotten")


# REFER ---------------------------------------------------------------------------------------------------------------


@by_each_way
@pytest.mark.rfc("3515-2.4.4")
@pytest.mark.rfc("3515-2.4.5")
async def test_sipp_transfers_us_to_another_sipp(bench: Bench, way: Way) -> None:
    async with here(bench, way) as us:
        target = bench.sipp("agent", keys={"caller": "agent"}, host=way.host)
        referrals: list[Referral] = []

        def follow(referral: Referral) -> None:
            referrals.append(referral)
            referral.accept()

            def report(event: SessionEvent) -> None:
                if not isinstance(event, Ringing):  # it may come, or come too late for a NOTIFY of its own
                    referral.report(event)

            call = us.ua.outgoing(referral.refer_to.uri, report)
            uri = referral.refer_to.uri
            call.start(uri, caller=US, callee=f"<{uri}>", sdp=ANSWER, headers=referral.follow_headers)
            calls.append(call)

        async def answer(call: Call) -> None:
            await call.answer(ANSWER)
            await asyncio.Event().wait()

        calls: list[Session] = []
        us.element.serve = answer
        serve_referrals(us.ua, follow)
        keys = {"caller": "sipp", "refer_to": f"sip:agent@{way.written}:{target.port}"}
        sipp = bench.sipp("refer", remote=us.remote, keys=keys, way=way)
        await succeed(sipp)
        assert [line.split(" | ")[1] for line in sipp.said("told")] == ["SIP/2.0 100 Trying", "SIP/2.0 200 OK"]
        assert sipp.said("told")[-1].startswith("terminated;reason=noresource")
        assert referrals[0].referred_by == "<sip:sipp@ims.example>"
        calls[0].hang_up()
        us.flush()
        await succeed(target)
        assert len(us.ua.usages) == 0


@pytest.mark.rfc("3891-4", "3892-2.2", "5589-7.3")
async def test_sipp_has_us_take_its_place_in_another_call(bench: Bench) -> None:
    """An attended transfer: the Refer-To brings the Replaces for the INVITE that follows."""
    async with elements.here(bench) as us:
        targets = await us.waiting("agent_replaces")
        replaced = Replaces("7@there", "to", "from")

        async def answer(call: Call) -> None:
            await call.answer(ANSWER)
            await asyncio.Event().wait()

        def follow(referral: Referral) -> None:
            referral.accept()

            def report(event: SessionEvent) -> None:
                if not isinstance(event, Ringing):
                    referral.report(event)

            uri = referral.refer_to.uri
            us.ua.outgoing(uri, report).start(
                uri, caller=US, callee=f"<{uri}>", sdp=ANSWER, headers=referral.follow_headers
            )

        us.element.serve = answer
        serve_referrals(us.ua, follow)
        referrers = [
            bench.sipp(
                "refer",
                remote=us.at(way),
                way=way,
                keys={"caller": "sipp", "refer_to": f"{target}?{replaced.as_uri_header}"},
            )
            for way, target in zip(WAYS, elements.uris(targets), strict=True)
        ]
        await elements.succeed(referrers, targets)
        for referrer, target in zip(referrers, targets, strict=True):
            assert target.said("replaces") == [f"{replaced} by <sip:sipp@ims.example>"]
            assert [line.split(" | ")[1] for line in referrer.said("told")] == ["SIP/2.0 100 Trying", "SIP/2.0 200 OK"]
        assert len(us.ua.usages) == 0


@by_each_way
@pytest.mark.rfc("3515-2.4.5")
@pytest.mark.rfc("3515-2.4.6")
async def test_sipp_is_transferred_by_us_and_reports(bench: Bench, way: Way) -> None:
    async with here(bench, way) as us:
        serve_shared_dialogs(us.ua)
        sipp = bench.sipp("referred", keys={"caller": "sipp"}, way=way)
        await listening(sipp, way)
        told: list[ReferEvent] = []
        async with us.element.call(way.uri("sipp", sipp.port), caller=US, sdp=ANSWER) as call:
            await call.answered()
            Referring(us.ua, told.append).within(call.session, "<sip:carol@ims.example>")
            us.flush()
            await until(lambda: told and isinstance(told[-1], ReferFinished), "the transfer is over")
        await succeed(sipp)
        assert told == [
            ReferAccepted(reports=True),
            ReferProgress(100, "Trying"),
            ReferProgress(180, "Ringing"),
            ReferFinished(200, "OK"),
        ]
        assert sipp.said("referred") == ["<sip:carol@ims.example>"]
        assert len(us.ua.usages) == 0


# Replaces ------------------------------------------------------------------------------------------------------------


@by_each_way
@pytest.mark.rfc("3891-3")
async def test_sipp_takes_the_place_of_another_sipp(bench: Bench, way: Way) -> None:
    async with here(bench, way) as us:
        replacements = serve_replaces(us.ua, lambda *_: True)
        first = bench.sipp("agent", keys={"caller": "agent"}, host=way.host)
        taken: list[Session] = []

        async def serve(call: Call) -> None:
            assert isinstance(call.session, IncomingCall)
            replaced = replacements.match(call.session.request, "")
            await call.answer(ANSWER)
            if replaced is not None:
                replaced.hang_up()
                us.flush()
                taken.append(replaced)
            await asyncio.Event().wait()

        us.element.serve = serve
        async with us.element.call(f"sip:agent@{way.written}:{first.port}", caller=US, sdp=ANSWER) as call:
            await call.answered()
            wanted = replaces_of(call.session)
            ours = wanted._replace(to_tag=wanted.from_tag, from_tag=wanted.to_tag)  # as the first SIPp would say it
            second = bench.sipp("replaces", remote=us.remote, keys={"caller": "sipp", "replaces": ours}, way=way)
            await succeed(second)
            await succeed(first)
            assert taken == [call.session]
