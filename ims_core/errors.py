"""Errors that carry the SIP status they map to (RFC 3261 section 21)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from ims_core.messages.message import Request

REASONS: dict[int, str] = {
    100: "Trying",
    180: "Ringing",
    181: "Call Is Being Forwarded",
    182: "Queued",
    183: "Session Progress",
    200: "OK",
    202: "Accepted",
    300: "Multiple Choices",
    301: "Moved Permanently",
    302: "Moved Temporarily",
    380: "Alternative Service",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    406: "Not Acceptable",
    407: "Proxy Authentication Required",
    408: "Request Timeout",
    413: "Request Entity Too Large",
    415: "Unsupported Media Type",
    416: "Unsupported URI Scheme",
    420: "Bad Extension",
    421: "Extension Required",
    422: "Session Interval Too Small",
    423: "Interval Too Brief",
    430: "Flow Failed",
    439: "First Hop Lacks Outbound Support",
    440: "Max-Breadth Exceeded",
    469: "Bad Info Package",
    480: "Temporarily Unavailable",
    481: "Call/Transaction Does Not Exist",
    482: "Loop Detected",
    483: "Too Many Hops",
    486: "Busy Here",
    487: "Request Terminated",
    488: "Not Acceptable Here",
    489: "Bad Event",
    491: "Request Pending",
    494: "Security Agreement Required",
    500: "Server Internal Error",
    501: "Not Implemented",
    503: "Service Unavailable",
    504: "Server Time-out",
    505: "Version Not Supported",
    513: "Message Too Large",
    580: "Precondition Failure",
    600: "Busy Everywhere",
    603: "Decline",
}


class SipError(Exception):
    """A fault that the sender of a request is told with ``status`` and ``reason``.

    ``headers`` are extra header fields of that response, as ``(name, value)`` pairs, ``body`` is its body, of the
    ``content_type``, if it has one. ``request`` is what the parser could read of the request at fault, where that is
    enough to be answered.
    """

    status: ClassVar[int] = 500

    def __init__(
        self,
        reason: str | None = None,
        *,
        headers: tuple[tuple[str, str], ...] = (),
        body: bytes = b"",
        content_type: str = "",
    ) -> None:
        self.request: Request | None = None
        self.reason = reason or REASONS[self.status]
        self.headers = headers
        self.body = body
        self.content_type = content_type

    def __str__(self) -> str:
        return f"{self.status} {self.reason}"


class AlternativeService(SipError):
    """The call cannot be made here, but by the service that the body tells (21.3.5)."""

    status = 380


class BadRequest(SipError):
    """The request cannot be understood because of malformed syntax (21.4.1)."""

    status = 400


class NotFound(SipError):
    """The user does not exist at the domain in the Request-URI (21.4.5)."""

    status = 404


class UnsupportedScheme(SipError):
    """The scheme of the Request-URI is unknown to the server (21.4.14)."""

    status = 416


class Forbidden(SipError):
    """The server understood the request and refuses to fulfil it (21.4.4)."""

    status = 403


class MethodNotAllowed(SipError):
    """The method is understood and not allowed here (21.4.6); Allow tells what is."""

    status = 405


class NotAcceptable(SipError):
    """No representation that the sender accepts can be given (21.4.7)."""

    status = 406


class MessageTooLarge(SipError):
    """The message is longer than the server takes (21.5.7)."""

    status = 513


class RequestEntityTooLarge(SipError):
    """The body is larger than the server takes (21.4.11)."""

    status = 413


class UnsupportedMediaType(SipError):
    """The format of the body is not supported (21.4.13); Accept tells what is."""

    status = 415


class BadExtension(SipError):
    """The request requires an extension that is not understood (21.4.15)."""

    status = 420


class ExtensionRequired(SipError):
    """The request needs an extension that its sender does not name (21.4.16); Require tells which."""

    status = 421


class IntervalTooBrief(SipError):
    """The expiration of the resource is too short (21.4.17)."""

    status = 423


class FlowFailed(SipError):
    """The flow to the user agent that the edge proxy is to use is gone (RFC 5626 section 11.5)."""

    status = 430


class FirstHopLacksOutbound(SipError):
    """The proxy next to the user agent does not keep its flow (RFC 5626 section 11.6)."""

    status = 439


class NoSuchDialog(SipError):
    """The request matches no existing dialog or transaction (21.4.19)."""

    status = 481


class TemporarilyUnavailable(SipError):
    """The user is known but cannot be reached now (21.4.18)."""

    status = 480


class MaxBreadthExceeded(SipError):
    """The request may not have as many branches at a time as its targets need (RFC 5393 section 5.3.3)."""

    status = 440


class LoopDetected(SipError):
    """The request has come here before by another way (21.4.20)."""

    status = 482


class TooManyHops(SipError):
    """Max-Forwards has reached zero (21.4.21)."""

    status = 483


class Busy(SipError):
    """The called end is busy, or a call that is to be replaced is past replacing (21.4.24, RFC 3891)."""

    status = 486


class RequestPending(SipError):
    """A request within the same dialog is still pending (21.4.27)."""

    status = 491


class SecurityAgreementRequired(SipError):
    """The security of the first hop has to be agreed on first (RFC 3329 section 2.3.1); Security-Server tells how."""

    status = 494


class NotAcceptableHere(SipError):
    """The session description cannot be accepted (21.4.26)."""

    status = 488


class BadEvent(SipError):
    """The event package is not understood (RFC 6665 section 8.3.2); Allow-Events tells which are."""

    status = 489


class NoRoute(SipError):
    """The next hop cannot be reached by any listener of ours."""

    status = 500

    def __init__(self) -> None:
        super().__init__("No way to the next hop")


class NotImplementedHere(SipError):
    """The method is unknown to the server (21.5.2); Allow tells what is known."""

    status = 501


class ServiceUnavailable(SipError):
    """The server cannot take the request now (21.5.4); Retry-After tells when to come again."""

    status = 503


class ServerTimeout(SipError):
    """The server did not get an answer in time from who is needed to serve the request (21.5.5)."""

    status = 504


class VersionNotSupported(SipError):
    """The SIP protocol version of the request is not supported (21.5.6)."""

    status = 505


class PreconditionFailure(SipError):
    """What the offer makes a precondition cannot be met (RFC 3312 section 8)."""

    status = 580


class Declined(SipError):
    """The called end was asked and does not want it (21.6.2)."""

    status = 603


class LocalProtocolError(Exception):
    """The caller of this library asked for something the protocol state does not allow."""
