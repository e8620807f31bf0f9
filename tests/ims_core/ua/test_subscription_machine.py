"""Whatever happens to subscriptions in whatever order: the rules of RFC 6665 hold, and nothing is left."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ims_core.messages.message import Request, Response
from ims_core.ua.event_headers import Event
from ims_core.ua.notifier import serve_events
from ims_core.ua.subscriber import Notified, Subscriber, SubscriberEvent, Wish
from ims_core.ua.subscription import DEACTIVATED, PROBATION, REJECTED
from tests.ims_core.ua.test_subscriptions import WEATHER, Weather
from tests.kit import Faults, Network, Phone

STEPS = st.one_of(
    st.tuples(st.just("change"), st.sampled_from(["rain", "snow"])),
    st.tuples(st.just("whole"), st.just("")),
    st.tuples(st.just("subscribe"), st.sampled_from(["riga", "private"])),
    st.tuples(st.just("unsubscribe"), st.integers(0, 3)),
    st.tuples(st.just("end"), st.sampled_from([DEACTIVATED, PROBATION, REJECTED])),
    st.tuples(st.just("approve"), st.just("")),
    st.tuples(st.just("wait"), st.sampled_from([0.0, 0.3, 1.0, 20.0, 70.0])),
)


@pytest.mark.rfc("6665-4.2.2")
@settings(max_examples=60, deadline=None)
@given(
    steps=st.lists(STEPS, max_size=25),
    seed=st.integers(0, 2**16),
    faults=st.sampled_from([Faults(), Faults(loss=0.3, duplicate=0.2, jitter=0.6)]),
    least_interval=st.sampled_from([0.0, 1.0]),
)
def test_rules_that_always_hold(
    steps: list[tuple[str, object]], seed: int, faults: Faults, least_interval: float
) -> None:
    network = Network(seed, faults)
    bob = Phone(network, "bob")
    weather = Weather(least_interval)
    notifier = serve_events(bob.ua, [weather])
    alice = Phone(network, "alice")
    told: list[SubscriberEvent] = []
    subscribers: list[Subscriber] = []
    for step, value in steps:
        match step:
            case "change":
                notifier.changed("weather", "riga", value)
            case "whole":
                notifier.changed("weather", "private")
            case "subscribe" if len(subscribers) < 4:
                target = f"sip:{value}@{bob.address[0]}"
                wish = Wish(target, Event("weather", "", {}), (WEATHER,), "<sip:alice@ims.example>", 60)
                subscribers.append(Subscriber(alice.ua, target, wish, told.append))
                subscribers[-1].start()
            case "unsubscribe":
                for subscriber in subscribers[int(str(value)) :][:1]:
                    subscriber.unsubscribe()
            case "end":
                notifier.end(str(value), 5 if value == PROBATION else None)
            case "approve":
                for subscription in notifier.subscriptions("weather", "private"):
                    subscription.approve()
            case "wait":
                network.run(float(str(value)))
    for subscriber in subscribers:
        subscriber.unsubscribe()
    network.run(seconds=4000)
    assert len(notifier) == 0
    network.run()
    alice.assert_idle()
    bob.assert_idle()
    check(network, bob)
    assert all(event.body == b"" for event in told if isinstance(event, Notified) and event.state.state == "pending")


def check(network: Network, bob: Phone) -> None:
    """What must be true of everything that bob has sent."""
    accepted: set[str] = set()
    highest: dict[tuple[str, str], int] = {}
    for packet in network.sent:
        if packet.flow.local != bob.address:
            continue
        message = packet.message
        if isinstance(message, Response) and message.cseq.method == "SUBSCRIBE" and message.status == 200:
            accepted.add(message.call_id)
        elif isinstance(message, Request) and message.method == "NOTIFY":
            assert message.call_id in accepted, "no NOTIFY before the response to its SUBSCRIBE"
            dialog = (message.call_id, message.from_tag)
            number = message.cseq.number
            assert number in {highest.get(dialog, 0), highest.get(dialog, 0) + 1}, "one at a time: none after the next"
            highest[dialog] = number
