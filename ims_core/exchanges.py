"""What can be awaited besides calls: pings, messages, transfers and subscriptions (see `Element` and `Call`).

``credentials`` answer who asks for some; a transfer has those of its call.

outcome = await ping(element, "sip:trunk.example", user="<sip:us@lab.example>")
last = await transfer(element, call, "<sip:carol@lab.example>")
async with Watch(element, wish) as news:
    async for event in news: ...
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

from ims_core.ua import messaging
from ims_core.ua.referral import serve_shared_dialogs
from ims_core.ua.referring import ReferAccepted, ReferEvent, ReferFinished, ReferRefused, Referring
from ims_core.ua.subscriber import Subscriber, SubscriberEvent, Unsubscribed, Wish

if TYPE_CHECKING:
    from ims_core.calls import Call
    from ims_core.element import Element
    from ims_core.locate.courier import Hop
    from ims_core.security.credentials import Credentials
    from ims_core.ua.messaging import Outcome

T = TypeVar("T")
_MOST_NEWS = 256


def _settle(future: asyncio.Future[T]) -> Callable[[T], None]:
    """Make what hands a result to who awaits it, if anybody still does."""
    return lambda result: None if future.done() else future.set_result(result)


async def ping(
    element: Element, target: str, *, user: str, hop: Hop | None = None, credentials: Credentials | None = None
) -> Outcome:
    """Send OPTIONS to ``target``, a URI, as ``user``, a name-addr; by way of ``hop`` where that is another."""
    outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
    way = target if hop is None else hop
    messaging.ping(element.node.ua, way, target, user, _settle(outcome), credentials=credentials)
    element.stack.flush()
    return await outcome


async def send_message(
    element: Element,
    target: str,
    body: bytes,
    *,
    user: str,
    hop: Hop | None = None,
    content_type: str = "text/plain;charset=utf-8",
    credentials: Credentials | None = None,
) -> Outcome:
    """Send a MESSAGE. Raises ``RequestEntityTooLarge`` for what belongs into a session (RFC 3428 section 8)."""
    outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
    way = target if hop is None else hop
    messaging.send_message(
        element.node.ua,
        way,
        target,
        body,
        _settle(outcome),
        user=user,
        content_type=content_type,
        credentials=credentials,
    )
    element.stack.flush()
    return await outcome


async def transfer(element: Element, call: Call, refer_to: str, *, referred_by: str = "") -> ReferEvent:
    """Have the peer of ``call`` call ``refer_to``, a name-addr, instead; return how that ended.

    That is ``ReferFinished`` or ``ReferRefused``; ``ReferAccepted`` where the peer sends no reports. The call goes on:
    whoever is satisfied hangs it up. Raises ``LocalProtocolError`` before there is a dialog.
    """
    last: asyncio.Future[ReferEvent] = asyncio.get_running_loop().create_future()
    told = _settle(last)

    def hear(event: ReferEvent) -> None:
        if isinstance(event, ReferRefused | ReferFinished) or event == ReferAccepted(reports=False):
            told(event)

    ua = element.node.ua
    if ua.handler("NOTIFY") is None:
        serve_shared_dialogs(ua)
    Referring(ua, hear).within(call.session, refer_to, referred_by=referred_by)
    element.stack.flush()
    return await last


class Watch:
    """A subscription as a context: it is given up at the end. Iterating yields what is told.

    Iteration ends when the notifier wants no subscription any more. Of what nobody takes, the newest is kept.
    """

    def __init__(
        self, element: Element, wish: Wish, *, hop: Hop | None = None, credentials: Credentials | None = None
    ) -> None:
        self._element = element
        self._news: deque[SubscriberEvent] = deque(maxlen=_MOST_NEWS)
        self._there = asyncio.Event()
        self._is_over = False
        way = wish.target if hop is None else hop
        self._subscriber = Subscriber(element.node.ua, way, wish, self._hear, credentials=credentials)

    async def __aenter__(self) -> Self:
        self._subscriber.start()
        self._element.stack.flush()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._subscriber.unsubscribe()
        self._element.stack.flush()

    async def __aiter__(self) -> AsyncIterator[SubscriberEvent]:
        while self._news or not self._is_over:
            while self._news:
                yield self._news.popleft()
            if not self._is_over:
                self._there.clear()
                await self._there.wait()

    def _hear(self, event: SubscriberEvent) -> None:
        self._news.append(event)
        self._is_over = isinstance(event, Unsubscribed) and event.retry_in is None
        self._there.set()
