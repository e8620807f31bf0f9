"""The notifier: what a SUBSCRIBE gets, and when subscribers are told what (RFC 6665)."""

from itertools import pairwise

import pytest

from ims_core.errors import Forbidden
from ims_core.messages.message import Request, Response
from ims_core.transactions.endpoint import RequestReceived
from ims_core.ua.alarm import Alarm
from ims_core.ua.notifier import serve_events
from ims_core.ua.packages import Admission, Lifetimes
from ims_core.ua.subscription import DEACTIVATED, GIVE_UP, NO_RESOURCE, REJECTED
from tests.kit import Network, Party, Phone, request_bytes

WEATHER = "text/weather"


class Weather:
    """An event package of the test: the weather of places, told whole or as what changed."""

    name = "weather"
    content_type = WEATHER
    lifetimes = Lifetimes(default=600, least=60, most=3600)

    def __init__(self, least_interval: float = 0.0) -> None:
        self.least_interval = least_interval
        self.now = "sunny"

    def admit(self, request: Request, identity: str) -> Admission:
        place = request.target.user
        if place == "secret":
            raise Forbidden
        return Admission(place, identity, pending=place == "private")

    def state(self, resource: str, version: int, changes: list[object] | None) -> bytes:
        told = self.now if changes is None else "then ".join(map(str, changes))
        return f"{version} {resource} {told}".encode()


class Scene:
    """A notifier at ``bob`` and a subscriber written by hand at ``peer``, who answers NOTIFY with ``answers``."""

    def __init__(
        self, *, least_interval: float = 0.0, per_subscriber: int = 64, answers: tuple[int, ...] = (200,)
    ) -> None:
        self.network = Network()
        self.bob = Phone(self.network, "bob")
        self.weather = Weather(least_interval)
        self.notifier = serve_events(self.bob.ua, [self.weather], per_subscriber=per_subscriber)
        self.peer = Party(self.network, "peer", answers=answers)
        self.branches = 0

    def subscribe(
        self,
        place: str = "riga",
        *,
        event: str | None = "weather",
        expires: str | None = None,
        to: str = "<sip:riga@ims.example>",
        cseq: int = 1,
        call_id: str = "sub-1",
        contact: str | None = "",
        **headers: str,
    ) -> Response:
        """Send a SUBSCRIBE and return its final response."""
        self.branches += 1
        fields = [(name.replace("_", "-"), value) for name, value in headers.items()]
        fields += [("Event", event)] if event is not None else []
        fields += [("Expires", expires)] if expires is not None else []
        host, port = self.peer.address
        data = request_bytes(
            "SUBSCRIBE", f"sip:{place}@{self.bob.address[0]}",
            via=f"SIP/2.0/UDP {host}:{port};branch=z9hG4bKs{self.branches}",
            to=to, cseq=cseq, call_id=call_id, contact=f"<sip:peer@{host}:{port}>" if contact == "" else contact,
            headers=fields,
        )  # fmt: skip
        before = len(self.network.sent)
        self.bob.receive(data, self.bob.flow(self.peer))
        self.network.flush()
        found = [packet.message for packet in self.network.sent[before:]]
        return next(message for message in found if isinstance(message, Response))

    def again(self, first: Response, **options: object) -> Response:
        """Send a SUBSCRIBE within the dialog that ``first`` made."""
        return self.subscribe(to=first.require("To"), **{"cseq": 2, **options})  # type: ignore[arg-type]

    @property
    def notifies(self) -> list[Request]:
        """The NOTIFYs that bob sent, repetitions left out."""
        found: dict[str, Request] = {}
        for packet in self.network.packets("NOTIFY", by=self.bob.address):
            message = packet.message
            assert isinstance(message, Request)
            found.setdefault(message.via.branch, message)
        return list(found.values())

    @property
    def told(self) -> list[tuple[str, str]]:
        """Of each NOTIFY the Subscription-State and the body."""
        return [(notify.require("Subscription-State"), notify.body.decode()) for notify in self.notifies]

    def finish(self) -> None:
        """Let everything run out: nothing may be left."""
        self.network.run()
        assert len(self.notifier) == 0
        self.bob.assert_idle()


@pytest.mark.rfc("6665-4.2.1.2")
@pytest.mark.rfc("6665-4.2.2")
def test_the_response_to_a_subscribe_comes_before_the_first_notify() -> None:
    scene = Scene()
    response = scene.subscribe(expires="120", Record_Route="<sip:p1.ims.example;lr>", Via_="x")
    assert (response.status, response.get("Expires")) == (200, "120")
    assert response.to_tag
    assert response.contact is not None
    assert response.contact.uri_text == "sip:riga@198.51.100.1:5060"
    assert response.whole_values("Record-Route") == ["<sip:p1.ims.example;lr>"]
    assert scene.network.wire() == ["200 SUBSCRIBE", "NOTIFY"]
    (notify,) = scene.notifies
    assert notify.require("Event") == "weather"
    assert notify.require("Subscription-State") == "active;expires=120"
    assert (notify.get("Content-Type"), notify.body) == (WEATHER, b"0 riga sunny")
    assert (notify.from_tag, notify.to_tag, notify.call_id) == (response.to_tag, "a1", "sub-1")
    assert notify.values("Route") == ["<sip:p1.ims.example;lr>"]
    assert notify.contact is not None
    scene.finish()


@pytest.mark.rfc("6665-4.2.1.1")
def test_what_cannot_be_served_is_refused_and_leaves_nothing() -> None:
    scene = Scene()
    unknown = scene.subscribe(event="presence")
    assert (unknown.status, unknown.get("Allow-Events")) == (489, "weather")
    assert scene.subscribe(event=None, call_id="s2").status == 489
    assert scene.subscribe(event="two words", call_id="s3").status == 400
    brief = scene.subscribe(expires="59", call_id="s4")
    assert (brief.status, brief.get("Min-Expires")) == (423, "60")
    other = scene.subscribe(Accept="text/plain", call_id="s5")
    assert (other.status, other.get("Accept")) == (406, WEATHER)
    assert scene.subscribe("secret", call_id="s6").status == 403
    assert scene.subscribe(expires="an hour", call_id="s7").status == 400
    assert scene.subscribe(contact=None, call_id="s8").status == 400
    assert len(scene.notifier) == len(scene.bob.ua.usages) == 0
    assert scene.notifies == []
    scene.finish()


@pytest.mark.rfc("6665-4.2.1.1")
@pytest.mark.parametrize(("asked", "granted"), [(None, "600"), ("60", "60"), ("3600", "3600"), ("86400", "3600")])
def test_how_long_a_subscription_lasts(asked: str | None, granted: str) -> None:
    scene = Scene()
    assert scene.subscribe(expires=asked).get("Expires") == granted
    scene.network.run(float(granted) - 1)
    assert len(scene.notifier) == 1
    scene.network.run(4)
    assert scene.told[-1] == ("terminated;reason=timeout", "1 riga sunny")
    scene.finish()


@pytest.mark.rfc("6665-4.4.3")
def test_a_poll_is_told_once() -> None:
    scene = Scene()
    assert scene.subscribe(expires="0").get("Expires") == "0"
    scene.network.run(1)
    assert scene.told == [("terminated;reason=timeout", "0 riga sunny")]
    assert len(scene.notifier) == 0
    scene.finish()


@pytest.mark.rfc("6665-4.2.1.4")
def test_a_refresh_prolongs_and_tells_the_whole_state() -> None:
    scene = Scene()
    first = scene.subscribe(expires="60")
    scene.network.run(50)
    again = scene.again(first, expires="60")
    assert (again.status, again.get("Expires"), again.to_tag) == (200, "60", first.to_tag)
    scene.network.run(50)
    assert len(scene.notifier) == 1, "it would have been over"
    assert scene.told == [("active;expires=60", "0 riga sunny"), ("active;expires=60", "1 riga sunny")]
    assert scene.again(first, expires="60", cseq=1).status == 500, "out of order"
    assert scene.again(first, expires="1", cseq=3).status == 423
    assert scene.again(first, event="other", cseq=4).status == 481
    assert scene.again(first, event=None, cseq=4).status == 489
    scene.finish()


@pytest.mark.rfc("6665-4.4.1")
def test_a_refresh_moves_the_remote_target() -> None:
    scene = Scene()
    first = scene.subscribe()
    other = Party(scene.network, "other", answers=(200,))
    scene.network.run(1)
    scene.again(first, contact=f"<sip:peer@{other.address[0]}>")
    scene.network.run(1)
    assert [received.request.method for received in other.requests] == ["NOTIFY"]
    scene.finish()


@pytest.mark.rfc("6665-4.2.1.4")
def test_unsubscribing_brings_a_last_notify_and_then_481() -> None:
    scene = Scene()
    first = scene.subscribe()
    scene.network.run(1)
    before = len(scene.network.wire())
    assert scene.again(first, expires="0").get("Expires") == "0"
    assert scene.network.wire()[before:] == ["200 SUBSCRIBE", "NOTIFY"]
    scene.network.run(1)
    assert scene.told[-1] == ("terminated;reason=timeout", "1 riga sunny")
    assert scene.again(first, cseq=3).status == 481
    scene.notifier.changed("weather", "riga")
    scene.finish()
    assert len(scene.told) == 2


@pytest.mark.rfc("6665-4.2.2")
def test_one_notify_is_under_way_at_a_time_and_changes_gather() -> None:
    scene = Scene(answers=())
    scene.subscribe()
    for change in ("rain", "hail", "fog"):
        scene.notifier.changed("weather", "riga", change)
    scene.notifier.changed("weather", "oslo", "snow")
    scene.network.run(0.1)
    assert scene.told == [("active;expires=600", "0 riga sunny")]
    scene.peer.endpoint.reply(scene.peer.requests[0].transaction, 200)
    scene.network.run(0.1)
    assert scene.told[1:] == [("active;expires=600", "1 riga rainthen hailthen fog")]
    scene.weather.now = "cloudy"
    scene.notifier.changed("weather", "riga")
    scene.notifier.changed("weather", "riga", "thunder")
    scene.peer.endpoint.reply(scene.peer.requests[1].transaction, 200)
    scene.network.run(0.1)
    assert scene.told[2][1] == "2 riga cloudy", "the whole state covers the change"
    scene.finish()


def test_very_many_changes_become_the_whole_state() -> None:
    scene = Scene(answers=())
    scene.subscribe()
    for number in range(1000):
        scene.notifier.changed("weather", "riga", number)
    scene.peer.answers = (200,)
    scene.network.run(1)
    scene.peer.endpoint.reply(scene.peer.requests[0].transaction, 200)
    scene.network.run(1)
    assert scene.told[-1][1] == "1 riga sunny"
    scene.finish()


@pytest.mark.rfc("6665-5.4.10")
@pytest.mark.rfc("6446-5.2")
@pytest.mark.parametrize(
    ("least_interval", "event"), [(5.0, "weather"), (0.0, "weather;max-rate=0.2"), (5.0, "weather;max-rate=2")]
)
def test_notifies_keep_their_distance(least_interval: float, event: str) -> None:
    scene = Scene(least_interval=least_interval)
    scene.subscribe(event=event)
    for second in range(10):
        scene.network.call_later(second, lambda: scene.notifier.changed("weather", "riga", "gust"))
    scene.network.run(30)
    times = scene.network.times("NOTIFY", by=scene.bob.address)
    assert len(times) == 3
    assert all(later - earlier >= 5 for earlier, later in pairwise(times))
    scene.notifier.end(DEACTIVATED)
    scene.network.run(0.1)
    assert scene.told[-1][0] == "terminated;reason=deactivated", "the end waits for nothing"
    scene.finish()


@pytest.mark.parametrize("rate", ["0", "-1", "nan", "inf", "often", "1e-300"])
def test_a_rate_that_makes_no_sense_is_ignored(rate: str) -> None:
    scene = Scene()
    scene.subscribe(event=f"weather;max-rate={rate}")
    scene.network.run(0.1)
    scene.notifier.changed("weather", "riga", "gust")
    scene.network.run(0.1)
    assert len(scene.told) == 2
    scene.finish()


@pytest.mark.rfc("6665-4.2.2")
@pytest.mark.parametrize("answer", [481, 404, 489, 500, 603])
def test_a_notify_that_fails_ends_the_subscription(answer: int) -> None:
    scene = Scene(answers=(answer,))
    scene.subscribe()
    scene.network.run(1)
    assert len(scene.notifier) == len(scene.bob.ua.usages) == 0
    scene.notifier.changed("weather", "riga")
    scene.finish()
    assert len(scene.told) == 1, "nobody is told of it"


@pytest.mark.rfc("6665-4.2.2")
def test_a_notify_that_nobody_answers_ends_the_subscription() -> None:
    scene = Scene(answers=())
    scene.subscribe()
    scene.network.run(31.9)
    assert len(scene.notifier) == 1
    scene.network.run(0.2)
    assert len(scene.notifier) == 0
    scene.finish()


@pytest.mark.rfc("6665-4.2.2")
def test_a_notify_refused_for_now_comes_again() -> None:
    scene = Scene(answers=())
    scene.subscribe()
    scene.network.run(0.1)
    scene.peer.answers = (200,)
    (received,) = scene.peer.requests
    scene.peer.endpoint.reply(received.transaction, 503, headers=(("Retry-After", "10"),))
    scene.network.run(1)
    scene.notifier.changed("weather", "riga", "gust")
    scene.network.run(5)
    assert len(scene.told) == 1, "it was asked to wait"
    scene.network.run(5)
    assert scene.told[1:] == [("active;expires=590", "1 riga sunny")]
    scene.finish()


@pytest.mark.parametrize("ends", [True, False])
def test_a_notify_refused_for_now_for_ever_is_given_up(ends: bool) -> None:
    scene = Scene(answers=())
    scene.peer.react = lambda event: (
        scene.peer.endpoint.reply(event.transaction, 503, headers=(("Retry-After", "1"),))
        if isinstance(event, RequestReceived)
        else None
    )
    scene.subscribe(expires="0" if ends else "3600")
    scene.network.run(30)
    assert len(scene.told) == 6
    assert len(scene.notifier) == 0
    scene.finish()


@pytest.mark.rfc("6665-4.2.2")
def test_a_pending_subscription_sees_nothing_until_it_is_approved() -> None:
    scene = Scene()
    scene.subscribe("private")
    scene.network.run(0.1)
    scene.notifier.changed("weather", "private", "gust")
    scene.network.run(0.1)
    assert scene.told == [("pending;expires=600", "")]
    (subscription,) = scene.notifier.subscriptions("weather", "private")
    subscription.approve()
    subscription.approve()
    scene.network.run(0.1)
    assert scene.told[1:] == [("active;expires=600", "0 private sunny")]
    subscription.end(REJECTED)
    scene.network.run(0.1)
    assert scene.told[2:] == [("terminated;reason=rejected", "")]
    scene.finish()


@pytest.mark.rfc("6665-4.2.2")
def test_ending_says_why_and_when_to_come_again() -> None:
    scene = Scene()
    scene.subscribe()
    scene.network.run(0.1)
    scene.notifier.end(GIVE_UP, retry_after=90)
    scene.notifier.end(REJECTED)
    scene.network.run(0.1)
    assert scene.told[-1] == ("terminated;reason=giveup;retry-after=90", "1 riga sunny")
    scene.finish()


def test_one_subscriber_has_a_bounded_number_of_subscriptions() -> None:
    scene = Scene(per_subscriber=2)
    statuses = [scene.subscribe(call_id=f"s{number}").status for number in range(3)]
    assert statuses == [200, 200, 403]
    scene.network.run(700)
    assert scene.subscribe(call_id="s9").status == 200, "room again"
    scene.finish()


@pytest.mark.rfc("3261-8.2.2.2")
def test_a_subscribe_that_was_forked_on_its_way_counts_once() -> None:
    scene = Scene()
    assert [scene.subscribe().status, scene.subscribe().status] == [200, 482]
    assert len(scene.notifier) == 1
    scene.finish()


@pytest.mark.rfc("3261-12.2.2")
@pytest.mark.parametrize(
    ("method", "status"), [("OPTIONS", 200), ("INFO", 405), ("BYE", 405), ("INVITE", 405), ("NOTIFY", 481)]
)
def test_other_requests_within_a_subscription(method: str, status: int) -> None:
    scene = Scene()
    to = scene.subscribe().require("To")
    data = request_bytes(
        method, "sip:riga@x", to=to, call_id="sub-1", cseq=5, branch="z9hG4bKq", headers=[("Event", "weather")]
    )
    scene.bob.receive(data, scene.bob.flow(scene.peer))
    scene.network.flush()
    replies = [packet.message for packet in scene.network.sent if packet.summary == f"{status} {method}"]
    assert len(replies) == 1
    if status in {200, 405}:
        assert replies[0].get("Allow") == "SUBSCRIBE, NOTIFY, OPTIONS"
    if method == "INVITE":
        ack = request_bytes(
            "ACK", "sip:riga@x", to=replies[0].require("To"), call_id="sub-1", cseq=5, branch="z9hG4bKq"
        )
        scene.bob.receive(ack, scene.bob.flow(scene.peer))
    scene.finish()


def test_a_subscription_of_somebody_else_is_not_refreshed() -> None:
    scene = Scene()
    first = scene.subscribe()
    data = request_bytes(
        "SUBSCRIBE", "sip:riga@x", from_="<sip:eve@x>;tag=e", to=first.require("To"), call_id="sub-1", cseq=9,
        headers=[("Event", "weather"), ("Expires", "0")],
    )  # fmt: skip
    scene.bob.receive(data, scene.bob.flow(scene.peer))
    scene.network.flush()
    assert scene.network.wire()[-1] == "481 SUBSCRIBE"
    assert len(scene.notifier) == 1
    scene.finish()


@pytest.mark.rfc("6665-4.4.4")
def test_the_package_and_the_method_are_named_among_the_capabilities() -> None:
    scene = Scene()
    told = dict(scene.bob.ua.capabilities())
    assert told["Allow-Events"] == "weather"
    assert "SUBSCRIBE" in told["Allow"].split(", ")


def test_an_alarm_can_be_moved_and_dropped() -> None:
    network = Network()
    bob = Phone(network, "bob")
    rang: list[float] = []
    alarm = Alarm(bob.endpoint, lambda: rang.append(network.now))
    alarm.set(1000)
    network.run(1)
    alarm.set(10)
    network.run(1)
    assert 8 < alarm.remaining <= 9
    alarm.set(700)
    network.run(100)
    assert rang == []
    network.run()
    assert [702 <= at <= 703 for at in rang] == [True]
    alarm.set(5)
    alarm.clear()
    network.run()
    alarm.set(5)
    alarm.close()
    network.run()
    assert len(rang) == 1
    assert alarm.remaining == 0


# Too large for a datagram --------------------------------------------------------------------------------------------


@pytest.mark.rfc("6665-4.2.1.2", "3261-18.1.1")
def test_a_first_notify_that_may_go_by_a_connection_leaves_the_response_a_moment() -> None:
    scene = Scene()
    scene.weather.now = "sunny" * 400
    scene.subscribe()
    assert scene.notifies == []
    scene.weather.now = "rain"
    scene.notifier.changed("weather", "riga", "rain")
    scene.network.run(0.12)
    assert scene.notifies == []
    scene.network.run(0.1)
    assert [body[:12] for _, body in scene.told] == ["0 riga sunny", "1 riga rain"], "in order"
    scene.notifier.end(NO_RESOURCE)
    scene.finish()


@pytest.mark.rfc("6665-4.2.1.2")
def test_what_ends_in_that_moment_is_told_first_how_it_was() -> None:
    scene = Scene()
    scene.weather.now = "sunny" * 400
    scene.subscribe()
    scene.notifier.end(NO_RESOURCE)
    scene.network.run(1)
    assert [state.partition(";")[0] for state, _ in scene.told] == ["active", "terminated"]
    scene.finish()


def test_the_next_notify_waits_for_nothing() -> None:
    scene = Scene()
    scene.subscribe()
    scene.network.run(0.1)
    scene.notifier.changed("weather", "riga", "hail" * 400)
    scene.network.flush()
    assert len(scene.notifies) == 2
    scene.notifier.end(NO_RESOURCE)
    scene.finish()
