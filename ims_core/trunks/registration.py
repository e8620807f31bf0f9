"""A registration of ours with somebody else's registrar (RFC 3261 section 10.2).

    start ─► REGISTER ─► 200: registered, refreshed before it expires
                       ├ 401, 407: answered; refused once more: the password is wrong, tried again after a long pause
                       ├ 423: asks for as long as the registrar wants
                       └ else: the next server, and after the last one a pause that grows (RFC 5626 section 4.5)
    stop ──► REGISTER with "expires=0"

While a refresh fails the registration counts until it expires.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from ims_core.errors import SipError
from ims_core.locate.courier import Several
from ims_core.messages.headers import parse_name_addr
from ims_core.messages.message import Request, Response
from ims_core.messages.uri import parse_uri
from ims_core.security.credentials import Challenged, Credentials
from ims_core.transactions.machines import TIMEOUT
from ims_core.ua.alarm import Alarm

if TYPE_CHECKING:
    from ims_core.flow import Flow
    from ims_core.locate.courier import Outbound
    from ims_core.ua.useragent import UserAgent

BASE_PAUSE: Final = 30.0  # RFC 5626 section 4.5: "base-time (if all failed)"
LONGEST_PAUSE: Final = 1800.0  # "max-time"
LONGEST_EXPIRES: Final = 86_400  # that a 423 can demand
REFUSED: Final = frozenset((401, 403, 404, 407))  # that no other server will see otherwise


class State(StrEnum):
    """Where a registration stands."""

    UNREGISTERED = "unregistered"
    TRYING = "trying"  # the first REGISTER is under way, or was without success
    REGISTERED = "registered"
    REFUSED = "refused"  # the registrar does not take the credentials


class Account(Struct, frozen=True):
    """What is registered and where: ``aor`` with the registrar of ``domain``, reached by ``servers``.

    ``contact`` is the user part of the Contact, by which the registrar's calls to us are known.
    """

    aor: str
    domain: str
    servers: tuple[str, ...]
    credentials: Credentials
    contact: str
    expires: int = 3600


class Registration:
    """Keeps ``account`` registered from ``start`` to ``stop``; ``on_change`` is called after each change of ``state``.

    ``reason`` says why there is none. ``service_route`` is what requests of ours are to be sent by (RFC 3608), and
    ``flow`` how the registrar was reached. ``chance`` returns numbers from 0 to 1.
    """

    def __init__(
        self,
        ua: UserAgent,
        account: Account,
        on_change: Callable[[Registration], None],
        *,
        chance: Callable[[], float],
    ) -> None:
        self.account = account
        self.state = State.UNREGISTERED
        self.reason = ""
        self.service_route: tuple[str, ...] = ()
        self.flow: Flow | None = None
        self.failures = 0
        self._ua = ua
        self._on_change = on_change
        self._chance = chance
        ids = ua.endpoint.ids
        self._call_id, self._tag, self._cseq = ids.call_id(), ids.tag(), 0
        self._challenged = Challenged(account.credentials, ids.tag)
        self._asks = account.expires
        self._server = 0
        self._under_way: Outbound | None = None
        self._is_stopping = False
        self._contact = ""
        self._refresh = Alarm(ua.endpoint, self._again)
        self._expiry = Alarm(ua.endpoint, self._expired)

    @property
    def expires_in(self) -> float:
        """The seconds that the registration is still good for, 0 when there is none."""
        return self._expiry.remaining

    @property
    def server(self) -> str:
        """The URI of the server that is registered with, or tried."""
        return self.account.servers[self._server]

    @property
    def is_settled(self) -> bool:
        """Whether no REGISTER is under way."""
        return self._under_way is None

    def start(self) -> None:
        """Begin to register."""
        self._change(State.TRYING)
        self._again()

    def stop(self) -> None:
        """Take the registration back, if there is one; nothing is tried again."""
        self._is_stopping = True
        self._refresh.close()
        self._expiry.close()
        if self.state is State.REGISTERED:
            self._again()
        self._change(State.UNREGISTERED)

    def close(self) -> None:
        """Mind it no more: another one goes on with the same Contact."""
        self._is_stopping = True
        self._under_way = None
        self._refresh.close()
        self._expiry.close()

    # What comes back (``context.TransactionUser``) ----------------------------------------------------------

    def receive_response(self, outbound: Outbound, response: Response) -> None:
        """Take what the registrar says."""
        status = response.status
        if outbound is not self._under_way or status < 200:
            return
        self._under_way = None
        if status in {401, 407} and self._challenged.learn(response):
            self._send()
        elif self._is_stopping:
            return
        elif status < 300:
            self._registered(response, outbound.flow)
        elif status == 423 and self._asks < (wanted := _seconds(response.get("Min-Expires"))) <= LONGEST_EXPIRES:
            self._asks = wanted
            self._send()
        elif status in REFUSED:
            self._wait(LONGEST_PAUSE, f"{status} {response.reason}", State.REFUSED)
        else:
            self._failed(f"{status} {response.reason}", _seconds(response.get("Retry-After")))

    def request_failed(self, outbound: Outbound, cause: str) -> None:
        """Take note that the registrar does not answer."""
        if outbound is self._under_way:
            self._under_way = None
            if not self._is_stopping:
                self._failed("no answer" if cause == TIMEOUT else "cannot be reached")

    # Inside -------------------------------------------------------------------------------------------------

    def _again(self) -> None:
        self._challenged.begin()
        self._send()

    def _send(self) -> None:
        account = self.account
        self._cseq += 1
        request = Request("REGISTER", f"sip:{account.domain}")
        request.add("Max-Forwards", "70")
        request.add("From", f"<{account.aor}>;tag={self._tag}")
        request.add("To", f"<{account.aor}>")
        request.add("Call-ID", self._call_id)  # 10.2: "SHOULD use the same Call-ID header field value"
        request.add("CSeq", f"{self._cseq} REGISTER")
        request.add("Expires", str(0 if self._is_stopping else self._asks))
        request.add("Supported", "path")  # RFC 3327 section 5.1
        request.add("Allow", self._ua.allow)
        self._challenged.sign(request)
        try:
            hop = Several((self.server,))
            self._under_way = self._ua.courier.request(request, hop, self, prepare=self._prepare)
        except SipError as error:
            self._under_way = None
            if not self._is_stopping:
                self._failed(str(error))

    def _prepare(self, request: Request, flow: Flow) -> None:
        self._contact = self._ua.contact_for(flow, self.account.contact)
        request.add("Contact", self._contact)

    def _registered(self, response: Response, flow: Flow) -> None:
        granted = self._granted(response)
        if granted <= 0:
            self._failed("registered for no time")
            return
        self.failures = 0
        self.flow = flow
        self.service_route = tuple(response.values("Service-Route"))
        # TS 24.229 5.1.1.4.1: 600 seconds before the expiry, or at half of the time "if 1200 seconds or less"
        self._refresh.set(granted - 600 if granted > 1200 else granted / 2)
        self._expiry.set(granted)
        self._change(State.REGISTERED)

    def _granted(self, response: Response) -> int:
        """Return for how long: what our Contact in the 200 says, else Expires, else what was asked (10.2.4)."""
        try:
            ours = parse_uri(parse_name_addr(self._contact).uri_text).same_resource
            for value in response.values("Contact"):
                contact = parse_name_addr(value)
                if contact.uri.same_resource == ours and "expires" in contact.params:
                    return _seconds(contact.params["expires"])
        except SipError:
            pass  # of somebody else, with whom we share the address of record
        told = response.get("Expires")
        return self._asks if told is None else _seconds(told)

    def _failed(self, reason: str, rest: float = 0.0) -> None:
        """Try the next server; after the last one wait for longer each time, or as long as the registrar says."""
        self._server = (self._server + 1) % len(self.account.servers)
        if self._server and not rest:
            self._note(reason, self.state)
            self._again()
            return
        longest = min(LONGEST_PAUSE, BASE_PAUSE * 2.0 ** min(self.failures, 16))
        # it waits "between 50 and 100 % of the upper-bound wait time"
        pause = longest * (1 + self._chance()) / 2
        self.failures += 1
        self._wait(max(pause, min(rest, LONGEST_PAUSE)), reason, self.state)

    def _wait(self, seconds: float, reason: str, state: State) -> None:
        self._refresh.set(seconds)
        if state is State.REFUSED:
            self._expiry.clear()
        self._note(reason, state)

    def _note(self, reason: str, state: State) -> None:
        if (state, reason) != (self.state, self.reason):
            self.state, self.reason = state, reason
            self._on_change(self)

    def _expired(self) -> None:
        self._change(State.TRYING, "expired")

    def _change(self, state: State, reason: str = "") -> None:
        self._note(reason, state)


def _seconds(text: str | None) -> int:
    """Return the seconds of an Expires, Min-Expires or Retry-After; 0 when it cannot be read."""
    digits = (text or "").partition(";")[0].partition("(")[0].strip()
    return int(digits) if digits.isascii() and digits.isdecimal() and len(digits) < 10 else 0
