"""An endpoint alone on the network."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ims_core.flow import Address, Flow, format_address
from ims_core.transactions.endpoint import (
    CancelReceived,
    Endpoint,
    Event,
    RequestFailed,
    RequestReceived,
    ResponseReceived,
)
from ims_core.transactions.machines import TimerValues
from tests.kit.network import Network, seeded_ids


class Party:
    """An endpoint alone, under one address on UDP and TCP: it keeps what happens in ``events``.

    ``react`` is called for each event; ``answers`` are statuses given to every new request, at once.
    """

    def __init__(
        self,
        network: Network,
        name: str,
        *,
        address: Address | None = None,
        timers: TimerValues | None = None,
        answers: Iterable[int] = (),
    ) -> None:
        self.network = network
        self.name = name
        self.address = address or network.new_address()
        listeners = [(transport, self.address) for transport in ("UDP", "TCP")]
        self.advertised = dict.fromkeys(listeners, format_address(self.address))
        self.endpoint = Endpoint(
            clock=network.clock, ids=seeded_ids(f"{name} {network.seed}"), sent_by=self.advertised, timers=timers
        )
        self.events: list[Event] = []
        self.answers = tuple(answers)
        self.react: Callable[[Event], None] = self._give_answers
        network.attach(self, *listeners)

    def flow(self, remote: Address | Party, transport: str = "UDP") -> Flow:
        """The flow from here to there."""
        return Flow(transport, self.address, remote.address if isinstance(remote, Party) else remote)

    @property
    def requests(self) -> list[RequestReceived]:
        """The requests that came."""
        return [event for event in self.events if isinstance(event, RequestReceived)]

    @property
    def statuses(self) -> list[int | str]:
        """The statuses of the responses that came, failures by their cause; those to a CANCEL left out."""
        return [
            event.response.status if isinstance(event, ResponseReceived) else event.cause
            for event in self.events
            if isinstance(event, ResponseReceived | RequestFailed) and event.transaction.request.method != "CANCEL"
        ]

    def assert_idle(self) -> None:
        """Nothing is left over."""
        assert self.endpoint.transactions() == {"client": 0, "server": 0}
        assert self.endpoint.next_deadline() is None

    # What the network calls

    def receive(self, data: bytes, flow: Flow) -> None:
        self.endpoint.receive(data, flow)
        self._drain()

    def connection_failed(self, flow: Flow) -> None:
        self.endpoint.transport_failed(flow)
        self._drain()

    def handle_timer(self) -> None:
        self.endpoint.handle_timer()
        self._drain()

    def data_to_send(self) -> list[tuple[Flow, bytes]]:
        return self.endpoint.data_to_send()

    def next_deadline(self) -> float | None:
        return self.endpoint.next_deadline()

    def _drain(self) -> None:
        while (event := self.endpoint.next_event()) is not None:
            self.events.append(event)
            self.react(event)

    def _give_answers(self, event: Event) -> None:
        if isinstance(event, RequestReceived):
            for status in self.answers:
                self.endpoint.reply(event.transaction, status)
        elif isinstance(event, CancelReceived):
            self.endpoint.reply(event.transaction, 487)
