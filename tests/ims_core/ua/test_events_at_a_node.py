"""Events, messages and referrals at a whole node, whose P-CSCF asks first who somebody is."""

from __future__ import annotations

import pytest

from ims_core.flow import Flow
from ims_core.messages.parser import parse_message
from ims_core.ua.event_headers import Event
from ims_core.ua.messaging import TextReceived, serve_messages
from ims_core.ua.notifier import Notifier, serve_events
from ims_core.ua.referral import Referral, serve_referrals
from ims_core.ua.subscriber import Notified, Subscriber, SubscriberEvent, Wish
from tests.ims_core.ua.test_subscriptions import WEATHER, Weather
from tests.kit import DOMAIN, NODE_ADDRESS, SERVICE_NUMBER, Network, Site, request_bytes

DESK = f"sip:{SERVICE_NUMBER}@{DOMAIN}"
STRANGER = Flow("UDP", NODE_ADDRESS, ("198.51.100.77", 5060))


class Desk:
    """A node whose service takes subscriptions, messages and referrals."""

    def __init__(self) -> None:
        self.network = Network()
        self.site = Site(self.network)
        self.notifier: Notifier = serve_events(self.site.node.ua, [Weather()])
        self.messages: list[TextReceived] = []
        self.referrals: list[Referral] = []
        serve_messages(self.site.node.ua, self.take)
        serve_referrals(self.site.node.ua, self.referrals.append)

    def take(self, message: TextReceived) -> int:
        self.messages.append(message)
        return 200


@pytest.mark.rfc("6665-4.2.1.1")
@pytest.mark.rfc("6665-6.1")
@pytest.mark.parametrize("method", ["SUBSCRIBE", "REFER", "MESSAGE"])
def test_a_stranger_makes_no_state(method: str) -> None:
    desk = Desk()
    headers = [("Event", "weather"), ("Refer-To", "<sip:carol@ims.example>")]
    for number in range(5):
        data = request_bytes(
            method, DESK, from_="<sip:alice@ims.example>;tag=a1", branch=f"z9hG4bKx{number}", call_id=f"c{number}",
            headers=headers, body=b"hello" if method == "MESSAGE" else b"",
        )  # fmt: skip
        desk.site.node.receive(data, STRANGER)
    statuses = [parse_message(data).status for _, data in desk.site.node.data_to_send()]  # type: ignore[union-attr]
    assert statuses == [407] * 5
    assert len(desk.notifier) == len(desk.site.node.ua.usages) == 0
    assert (desk.messages, desk.referrals) == ([], [])
    desk.network.run()
    desk.site.assert_idle()


def test_a_registered_phone_is_served_under_its_name() -> None:
    desk = Desk()
    alice = desk.site.phone("alice")
    assert alice.proxy is not None
    told: list[SubscriberEvent] = []
    wish = Wish(DESK, Event("weather", "", {}), (WEATHER,), "<sip:alice@ims.example>")
    subscriber = Subscriber(alice.ua, alice.proxy, wish, told.append)
    subscriber.start()
    desk.network.run(0.1)
    assert isinstance(told[0], Notified)
    assert told[0].body == f"0 {SERVICE_NUMBER} sunny".encode()
    (subscription,) = desk.notifier.subscriptions("weather", SERVICE_NUMBER)
    assert subscription.terms.subscriber == "alice"
    alice.request("MESSAGE", DESK, headers=(("Content-Type", "text/plain"),))
    alice.request("REFER", DESK, headers=(("Refer-To", "<sip:carol@ims.example>"), ("Contact", f"<{alice.uri}>")))
    desk.network.run(0.1)
    assert [message.identity for message in desk.messages] == ["alice"]
    (referral,) = desk.referrals
    assert referral.identity == "alice"
    referral.accept()
    referral.finish(200, "OK")
    desk.network.run(0.1)
    assert desk.network.wire()[-2:] == ["NOTIFY", "481 NOTIFY"], "alice's REFER was none of her user agent's"
    subscriber.unsubscribe()
    desk.network.run()
    desk.site.assert_idle()
    assert len(desk.notifier) == len(desk.site.node.ua.usages) == 0
    alice.assert_idle()


@pytest.mark.rfc("6665-4.1.3")
def test_a_stray_notify_gets_481() -> None:
    desk = Desk()
    headers = [("Event", "weather"), ("Subscription-State", "active")]
    data = request_bytes("NOTIFY", DESK, to=f"<{DESK}>;tag=gone", headers=headers)
    desk.site.node.receive(data, STRANGER)
    ((_, data),) = desk.site.node.data_to_send()
    assert parse_message(data).status == 481  # type: ignore[union-attr]
