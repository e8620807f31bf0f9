"""The subscriber: against our notifier, and against one written by hand that misbehaves (RFC 6665 section 4.1)."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import pytest

from ims_core.messages.message import Request, Response
from ims_core.messages.parser import parse_message
from ims_core.transactions.endpoint import RequestReceived, ResponseReceived
from ims_core.ua.event_headers import Event, SubscriptionState
from ims_core.ua.notifier import serve_events
from ims_core.ua.subscriber import Notified, Subscriber, SubscriberEvent, Unsubscribed, Wish
from ims_core.ua.subscription import DEACTIVATED, NO_RESOURCE, PROBATION
from tests.ims_core.ua.test_subscriptions import WEATHER, Weather
from tests.kit import Network, Party, Phone, request_bytes
from tests.kit.network import Faults


class Watcher:
    """Alice, who subscribes to the weather at ``target``, and what she is told."""

    def __init__(self, network: Network, target: str, *, expires: int = 600, forks: bool = False) -> None:
        self.network = network
        self.alice = Phone(network, "alice")
        self.told: list[SubscriberEvent] = []
        wish = Wish(target, Event("weather", "", {}), (WEATHER,), "<sip:alice@ims.example>", expires, forks)
        self.subscriber = Subscriber(self.alice.ua, target, wish, self.told.append)
        self.subscriber.start()

    @property
    def news(self) -> list[str]:
        """What was told, in short."""
        return [
            f"{event.state.state} {event.body.decode()}".strip()
            if isinstance(event, Notified)
            else f"{event.reason or 'no reason'}, again in {event.retry_in}"
            for event in self.told
        ]


class Hand:
    """A notifier written by hand: it answers SUBSCRIBE with ``answers`` and sends what the test wants."""

    def __init__(
        self, network: Network, *, answers: Iterable[int] = (200,), headers: tuple[tuple[str, str], ...] = ()
    ) -> None:
        self.network = network
        self.party = Party(network, "hand")
        self.answers = list(answers)
        self.headers = headers
        self.subscribes: list[Request] = []
        self.replies: list[tuple[int, str]] = []
        self.party.react = self._react
        self._sent = 0

    @property
    def uri(self) -> str:
        return f"sip:riga@{self.party.address[0]}"

    def _react(self, event: object) -> None:
        if isinstance(event, RequestReceived):
            self.subscribes.append(event.request)
            status = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            if status:
                headers = (("Expires", event.request.require("Expires")), ("Contact", f"<{self.uri}>"), *self.headers)
                self.party.endpoint.reply(event.transaction, status, headers=headers)
        elif isinstance(event, ResponseReceived):
            self.replies.append((event.response.status, event.response.cseq.method))

    def notify(
        self,
        state: str | None,
        body: bytes = b"",
        *,
        tag: str = "n1",
        cseq: int = 0,
        event: str | None = "weather",
        kind: str = WEATHER,
        to: Request | None = None,
    ) -> int:
        """Send a NOTIFY for the latest SUBSCRIBE; return the status it got."""
        subscribe = to or self.subscribes[-1]
        self._sent += 1
        assert subscribe.contact is not None
        host, port = self.party.address
        headers = [("Event", event)] if event is not None else []
        headers += [("Subscription-State", state)] if state is not None else []
        headers += [("Content-Type", kind)] if body else []
        data = request_bytes(
            "NOTIFY", subscribe.contact.uri_text, via=f"SIP/2.0/UDP {host}:{port};branch=z9hG4bKn{self._sent}",
            from_=f"<{self.uri}>;tag={tag}", to=subscribe.require("From"), call_id=subscribe.call_id,
            cseq=cseq or self._sent, contact=f"<{self.uri}>", headers=headers, body=body,
        )  # fmt: skip
        before = len(self.network.sent)
        request = parse_message(data)
        assert isinstance(request, Request)
        address = subscribe.contact.uri.address
        self.party.endpoint.send(self.party.flow(address), data)
        self.network.run(0.01)
        replies = [packet.message for packet in self.network.sent[before:]]
        return next(reply.status for reply in replies if isinstance(reply, Response) and reply.cseq.method == "NOTIFY")


def scene(
    *, answers: Iterable[int] = (200,), headers: tuple[tuple[str, str], ...] = (), **options: object
) -> tuple[Watcher, Hand]:
    """A watcher of a hand-written notifier, the SUBSCRIBE having been answered."""
    network = Network()
    hand = Hand(network, answers=answers, headers=headers)
    watcher = Watcher(network, hand.uri, **options)  # type: ignore[arg-type]
    network.run(0.01)
    return watcher, hand


# With our notifier ---------------------------------------------------------------------------------------------------


@pytest.mark.rfc("6665-4.1.2")
@pytest.mark.parametrize("seed", range(6))
def test_news_arrive_over_a_bad_network_and_nothing_is_left(seed: int) -> None:
    network = Network(seed, Faults(loss=0.25, duplicate=0.15, jitter=0.4))
    bob = Phone(network, "bob")
    weather = Weather()
    notifier = serve_events(bob.ua, [weather])
    watcher = Watcher(network, f"sip:riga@{bob.address[0]}", expires=120)
    for minute in range(1, 20):
        weather_then = f"weather {minute}"

        def turn(now: str = weather_then) -> None:
            weather.now = now
            notifier.changed("weather", "riga")

        network.call_later(60 * minute, turn)
    network.run(60 * 19.8)
    assert watcher.news[-1].endswith("weather 19")
    versions = [int(event.body.split()[0]) for event in watcher.told if isinstance(event, Notified) and event.body]
    drops = sum(isinstance(event, Unsubscribed) for event in watcher.told)
    assert sum(later < earlier for earlier, later in pairwise(versions)) <= drops, "in order"
    watcher.subscriber.unsubscribe()
    before = len(watcher.told)
    network.run()
    assert len(watcher.told) == before
    assert len(notifier) == 0
    watcher.alice.assert_idle()
    bob.assert_idle()


@pytest.mark.rfc("6665-4.1.2.2")
def test_a_subscription_is_refreshed_before_it_expires_with_the_same_dialog() -> None:
    network = Network()
    bob = Phone(network, "bob")
    notifier = serve_events(bob.ua, [Weather()])
    watcher = Watcher(network, f"sip:riga@{bob.address[0]}", expires=3600)
    network.run(20_000)
    sent = [packet.message for packet in network.packets("SUBSCRIBE")]
    assert len({message.call_id for message in sent}) == 1
    assert [message.cseq.number for message in sent] == [1, 2, 3, 4, 5, 6, 7]
    times = network.times("SUBSCRIBE")
    assert all(3000 < later - earlier < 3500 for earlier, later in pairwise(times))
    assert len(notifier) == 1
    assert not any(isinstance(event, Unsubscribed) for event in watcher.told)
    watcher.subscriber.unsubscribe()
    network.run(1)
    assert network.wire()[-4:] == ["SUBSCRIBE", "200 SUBSCRIBE", "NOTIFY", "200 NOTIFY"]
    assert network.packets("SUBSCRIBE")[-1].message.get("Expires") == "0"
    network.run()
    watcher.alice.assert_idle()
    bob.assert_idle()


@pytest.mark.rfc("6665-4.1.3")
@pytest.mark.parametrize(
    ("reason", "retry_after", "retry_in", "again_within"),
    [
        (DEACTIVATED, None, 0.0, 2),
        (PROBATION, 45, 45.0, 47),
        (NO_RESOURCE, None, None, None),
        ("strange", None, 60.0, 62),
    ],
)
def test_what_the_notifier_says_decides_when_to_ask_again(
    reason: str, retry_after: int | None, retry_in: float | None, again_within: int | None
) -> None:
    network = Network()
    bob = Phone(network, "bob")
    notifier = serve_events(bob.ua, [Weather()])
    watcher = Watcher(network, f"sip:riga@{bob.address[0]}")
    network.run(5)
    notifier.end(reason, retry_after)
    network.run(0.1)
    assert watcher.told[-1] == Unsubscribed(reason, retry_in)
    assert len(watcher.alice.ua.usages) == 0
    before = network.wire().count("SUBSCRIBE")
    network.run(200 if again_within is None else again_within)
    assert network.wire().count("SUBSCRIBE") == before + (again_within is not None)
    assert watcher.subscriber.is_active is (again_within is not None)
    call_ids = {packet.message.call_id for packet in network.packets("SUBSCRIBE")}
    assert len(call_ids) == 1 + (again_within is not None), "another dialog"
    watcher.subscriber.unsubscribe()
    network.run()
    watcher.alice.assert_idle()
    bob.assert_idle()


# With one that misbehaves ---------------------------------------------------------------------------------------------


@pytest.mark.rfc("6665-4.1.2.4")
@pytest.mark.rfc("6665-4.4.1")
def test_a_notify_may_come_before_the_response() -> None:
    watcher, hand = scene(answers=[0])
    assert hand.notify("active;expires=100", b"early") == 200
    assert watcher.news == ["active early"]
    assert watcher.told[0] == Notified(SubscriptionState("active", expires=100), WEATHER, b"early", "n1")
    assert hand.notify("active", b"still") == 200
    watcher.subscriber.unsubscribe()
    watcher.network.run()
    watcher.alice.assert_idle()


@pytest.mark.rfc("6665-4.1.4", "6665-4.4.1", "6665-5.4.9")
@pytest.mark.parametrize("forks", [True, False])
def test_a_forked_subscribe_is_told_by_one_or_by_all(forks: bool) -> None:
    watcher, hand = scene(forks=forks)
    assert hand.notify("active;expires=600", b"one", tag="n1") == 200
    assert hand.notify("active;expires=600", b"two", tag="n2") == (200 if forks else 481)
    assert [event.source for event in watcher.told if isinstance(event, Notified)] == (
        ["n1", "n2"] if forks else ["n1"]
    )
    if forks:
        assert hand.notify("terminated;reason=noresource", tag="n1") == 200
        assert watcher.subscriber.is_active, "by the other one"
        assert hand.notify("terminated;reason=noresource", tag="n2") == 200
        assert watcher.told[-1] == Unsubscribed("noresource", None)
    else:
        watcher.subscriber.unsubscribe()
    watcher.network.run()
    watcher.alice.assert_idle()


@pytest.mark.rfc("6665-4.1.2.4")
def test_no_new_fork_is_taken_after_timer_n() -> None:
    watcher, hand = scene(forks=True)
    assert hand.notify("active", tag="n1") == 200
    watcher.network.run(33.5)
    assert hand.notify("active", tag="late") == 481
    assert hand.notify("active", tag="n1") == 200
    watcher.subscriber.unsubscribe()
    watcher.network.run()
    watcher.alice.assert_idle()


@pytest.mark.rfc("6665-4.1.2.4")
def test_a_200_without_a_notify_is_no_subscription() -> None:
    watcher, _ = scene()
    watcher.network.run(34)
    assert watcher.news == ["408, again in 60.0"]
    watcher.subscriber.unsubscribe()
    watcher.network.run()
    watcher.alice.assert_idle()


@pytest.mark.rfc("6665-4.1.3")
@pytest.mark.parametrize(
    ("options", "status"),
    [
        ({"state": None}, 400),
        ({"state": "active;expires=never"}, 400),
        ({"state": "active", "event": None}, 489),
        ({"state": "active", "event": "presence"}, 481),
        ({"state": "active", "event": "weather;id=7"}, 481),
        ({"state": "active", "event": "a b"}, 400),
        ({"state": "active", "body": b"<x/>", "kind": "text/xml"}, 415),
        ({"state": "active", "cseq": 1}, 500),
    ],
)
def test_a_notify_that_does_not_fit_is_refused_and_changes_nothing(options: dict[str, object], status: int) -> None:
    watcher, hand = scene()
    assert hand.notify("active;expires=600", b"sunny", cseq=5) == 200
    assert hand.notify(**{"cseq": 9, **options}) == status  # type: ignore[arg-type]
    assert watcher.news == ["active sunny"]
    assert watcher.subscriber.is_active
    watcher.subscriber.unsubscribe()
    watcher.network.run()
    watcher.alice.assert_idle()


@pytest.mark.rfc("6665-4.1.3")
def test_a_notify_that_nobody_asked_for_is_refused() -> None:
    network = Network()
    alice = Phone(network, "alice")
    for to in ("<sip:alice@ims.example>", "<sip:alice@ims.example>;tag=none"):
        headers = [("Event", "dialog"), ("Subscription-State", "active")]
        data = request_bytes("NOTIFY", alice.uri, to=to, call_id=f"stray-{len(to)}", headers=headers)
        alice.receive(data, alice.flow(("198.51.100.77", 5060)))
        network.flush()
        assert network.wire()[-1] == "481 NOTIFY"
    network.run()
    alice.assert_idle()


@pytest.mark.rfc("6665-4.1.2.1")
@pytest.mark.parametrize(
    ("status", "headers", "told"),
    [
        (403, (), "403, again in None"),
        (489, (("Allow-Events", "presence"),), "489, again in None"),
        (503, (("Retry-After", "20"),), "503, again in 20.0"),
        (480, (), "480, again in 60.0"),
    ],
)
def test_a_refused_subscribe_is_told(status: int, headers: tuple[tuple[str, str], ...], told: str) -> None:
    watcher, hand = scene(answers=[status], headers=headers)
    assert watcher.news == [told]
    watcher.network.run(70)
    assert len(hand.subscribes) == (1 if told.endswith("None") else 2 if status == 480 else 4)
    watcher.subscriber.unsubscribe()
    watcher.network.run()
    watcher.alice.assert_idle()


@pytest.mark.rfc("6665-4.1.2.1")
def test_asking_in_vain_becomes_rarer() -> None:
    watcher, _ = scene(answers=[480])
    watcher.network.run(10_000)
    waits = [event.retry_in for event in watcher.told if isinstance(event, Unsubscribed)]
    assert waits[:7] == [60, 120, 240, 480, 960, 1920, 3600]
    watcher.subscriber.unsubscribe()
    watcher.network.run()
    watcher.alice.assert_idle()


@pytest.mark.rfc("3261-21.4.17")
def test_a_lifetime_that_is_too_brief_is_asked_for_again() -> None:
    watcher, hand = scene(answers=[423, 200], headers=(("Min-Expires", "900"),))
    watcher.network.run(0.1)
    assert [(request.get("Expires"), request.cseq.number) for request in hand.subscribes] == [("600", 1), ("900", 2)]
    assert len({request.call_id for request in hand.subscribes}) == 1
    assert hand.notify("active;expires=900", b"sunny") == 200
    watcher.network.run(840)
    assert hand.subscribes[2].get("Expires") == "900"
    assert hand.subscribes[2].cseq.number == 3
    watcher.subscriber.unsubscribe()
    watcher.network.run()
    watcher.alice.assert_idle()


def test_a_423_that_names_nothing_longer_is_the_end() -> None:
    watcher, _ = scene(answers=[423], headers=(("Min-Expires", "60"),))
    assert watcher.news == ["423, again in None"]
    watcher.network.run()
    watcher.alice.assert_idle()


@pytest.mark.rfc("6665-4.1.2.2")
@pytest.mark.parametrize(
    ("status", "over"), [(481, True), (404, True), (501, True), (500, False), (603, False), (504, False)]
)
def test_a_refused_refresh_ends_the_subscription_only_if_it_says_so(status: int, over: bool) -> None:
    watcher, hand = scene(answers=[200, status])
    assert hand.notify("active;expires=600", b"sunny") == 200
    watcher.network.run(560)
    assert len(hand.subscribes) == 2
    assert watcher.subscriber.is_active is not over
    watcher.network.run(45)
    assert not watcher.subscriber.is_active, "at the latest when its time is up"
    assert watcher.news[1].startswith(str(status) if over else "timeout")
    watcher.subscriber.unsubscribe()
    watcher.network.run()
    watcher.alice.assert_idle()


@pytest.mark.rfc("6665-4.1.2.3")
def test_unsubscribing_before_the_first_notify_waits_for_it() -> None:
    watcher, hand = scene()
    watcher.subscriber.unsubscribe()
    watcher.network.run(1)
    assert len(hand.subscribes) == 1
    assert hand.notify("active;expires=600", b"sunny") == 200
    watcher.network.run(1)
    assert [request.get("Expires") for request in hand.subscribes] == ["600", "0"]
    assert hand.notify("terminated;reason=timeout") == 200
    assert watcher.told == []
    watcher.network.run()
    watcher.alice.assert_idle()


def test_a_notifier_that_vanishes_is_noticed_at_the_refresh() -> None:
    watcher, hand = scene()
    assert hand.notify("active;expires=100", b"sunny") == 200
    watcher.network.detach(hand.party)
    watcher.network.run(140)
    assert not watcher.subscriber.is_active
    assert watcher.news[1] in {"408, again in 60.0", "timeout, again in 0.0"}
    watcher.subscriber.unsubscribe()
    watcher.network.run()
    watcher.alice.assert_idle()
