"""Provisional responses that are repeated until the caller acknowledges them by PRACK (RFC 3262 section 3)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from ims_core.errors import BadRequest, NoSuchDialog
from ims_core.ua.repetition import Repetition

if TYPE_CHECKING:
    from ims_core.flow import Flow
    from ims_core.messages.message import Request, Response
    from ims_core.transactions.endpoint import Endpoint
    from ims_core.transactions.machines import ServerTransaction


def without_reliable(options: str) -> str:
    """Return a list of option tags without that of reliable responses: the peer may send none then."""
    return ", ".join(option for option in options.split(", ") if option != "100rel")


class ReliableResponses:
    """The reliable provisional responses to one INVITE: one on its way, the others wait for its PRACK.

    ``on_silence`` is called when one was repeated for 64*T1 in vain.
    """

    def __init__(self, endpoint: Endpoint, invite: ServerTransaction, on_silence: Callable[[], None]) -> None:
        self._endpoint = endpoint
        self._invite = invite
        self._cseq = invite.request.cseq.number
        self._on_silence = on_silence
        self._rseq = 1 + endpoint.ids.number(2**31 - 1)  # "chosen uniformly from 1 to 2**31 - 1"
        self._queue: deque[Response] = deque()
        self._current: _Repeated | None = None

    @property
    def hold_2xx(self) -> bool:
        """Whether a response with a session description is unacknowledged: no 2xx may overtake it (section 3)."""
        return any(response.body for response in self._queue) or (
            self._current is not None and self._current.has_description
        )

    def send(self, response: Response, required: str = "") -> None:
        """Send ``response`` reliably, after those before it are acknowledged; it may require an option besides."""
        response.add("Require", f"100rel, {required}" if required else "100rel")
        self._queue.append(response)
        if self._current is None:
            self._send_next()

    def match(self, prack: Request) -> bool:
        """Find what a PRACK is for; tell whether that carried a description.

        Raises ``NoSuchDialog`` when it "does not match any unacknowledged reliable provisional response".
        """
        current = self._current
        if current is None or _rack(prack) != (current.rseq, self._cseq, "INVITE"):
            raise NoSuchDialog("No such response to acknowledge")
        return current.has_description

    def acknowledged(self) -> None:
        """The one on its way has arrived: send the next."""
        if self._current is not None:
            self._current.close()
            self._current = None
        if self._queue:
            self._send_next()

    def finish(self) -> None:
        """The INVITE gets its final response: repeat no more, but know the PRACK that is still to come."""
        self._queue.clear()
        if self._current is not None:
            self._current.close()

    def _send_next(self) -> None:
        response = self._queue.popleft()
        response.add("RSeq", str(self._rseq))
        self._endpoint.respond(self._invite, response)
        self._current = _Repeated(self._endpoint, self._invite.flow, response, self._rseq, self._give_up)
        self._rseq += 1

    def _give_up(self) -> None:
        """No PRACK came."""
        self.finish()
        self._on_silence()


class _Repeated(Repetition):
    """The response on its way: "starts at T1 seconds and doubles with each retransmission", up to 64*T1."""

    __slots__ = ("has_description", "rseq")

    def __init__(
        self, endpoint: Endpoint, flow: Flow, response: Response, rseq: int, on_silence: Callable[[], None]
    ) -> None:
        super().__init__(endpoint, flow, response.encode(), on_silence)
        self.rseq = rseq
        self.has_description = bool(response.body)


def _rack(prack: Request) -> tuple[int, int, str]:
    """Read ``RAck: 776656 1 INVITE``. Raises ``BadRequest``."""
    parts = prack.require("RAck").split()
    numbers = parts[:2]
    if len(parts) != 3 or not all(text.isascii() and text.isdigit() and len(text) <= 10 for text in numbers):
        raise BadRequest("Bad RAck header")
    return int(parts[0]), int(parts[1]), parts[2]
