"""An INVITE that takes the place of a call (RFC 3891)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import quote

from ims_core.errors import BadRequest, Busy, Declined, Forbidden, NoSuchDialog
from ims_core.messages.headers import parse_params, split_params
from ims_core.ua.session import ANSWERED, CONFIRMED, INVITED, Session

if TYPE_CHECKING:
    from ims_core.messages.message import Request
    from ims_core.ua.useragent import UserAgent

REPLACES: Final = "replaces"
"""The option tag."""


class Replaces(NamedTuple):
    """A Replaces value: the dialog as the one who is to replace it sees it (RFC 3891 section 6.1).

    ``to_tag`` is the tag of the side that gets the INVITE, ``from_tag`` the tag of the other side.
    """

    call_id: str
    to_tag: str
    from_tag: str
    early_only: bool = False

    def __str__(self) -> str:
        tail = ";early-only" if self.early_only else ""
        return f"{self.call_id};to-tag={self.to_tag};from-tag={self.from_tag}{tail}"

    @property
    def as_uri_header(self) -> str:
        """What stands after the ``?`` of a Refer-To URI to have the INVITE carry it (RFC 3891 section 4)."""
        return f"Replaces={quote(str(self), safe='')}"


def parse_replaces(text: str) -> Replaces:
    """Parse a Replaces value. Raises ``BadRequest``: each tag must be there exactly once."""
    call_id, *rest = split_params(text)
    names = [param.partition("=")[0].strip().lower() for param in rest]
    params = parse_params(rest)
    if not call_id.strip() or names.count("to-tag") != 1 or names.count("from-tag") != 1:
        raise BadRequest("Malformed Replaces")
    return Replaces(call_id.strip(), params["to-tag"], params["from-tag"], "early-only" in params)


def replaces_of(session: Session, *, early_only: bool = False) -> Replaces:
    """The Replaces value with which the peer of ``session`` is to replace it. Needs a dialog with the peer."""
    assert session.dialog is not None
    dialog = session.dialog
    return Replaces(dialog.call_id, dialog.remote_tag, dialog.local_tag, early_only)


class Replacements:
    """Finds the call that an INVITE with Replaces is to replace.

    ``find`` looks sessions up by Call-ID, our tag and the peer's, as ``UserAgent.find`` does.

    ``may_replace`` decides whether the sender of the request may take over the session: section 4 wants that to be
    as strict as the right to make the call, and the owner knows what identity was proved.
    """

    def __init__(
        self,
        find: Callable[[str, str, str], Session | None],
        may_replace: Callable[[Request, str, Session], bool],
        *,
        remembered: int = 256,
    ) -> None:
        self._find = find
        self._may_replace = may_replace
        self._remembered = remembered
        self._ended: OrderedDict[tuple[str, str, str], None] = OrderedDict()

    def session_changed(self, session: Session) -> None:
        """What goes on is found by looking it up."""

    def session_closed(self, session: Session, cause: str, code: int | None) -> None:
        """Remember a call that is over: who comes to replace it is told 603, not 481."""
        if session.dialog is not None:
            self._ended[*session.dialog_id, session.dialog.remote_tag] = None
            while len(self._ended) > self._remembered:
                self._ended.popitem(last=False)

    def match(self, request: Request, identity: str) -> Session | None:
        """Return the session that a new INVITE replaces, None when it carries no Replaces.

        The owner answers the INVITE and hangs up the session found. Raises ``BadRequest`` (400), ``NoSuchDialog``
        (481), ``Busy`` (486, confirmed but early-only), ``Forbidden`` and ``Declined`` (603, over already): section 3.
        """
        values = request.whole_values("Replaces")
        if not values:
            return None
        if len(values) > 1 or request.method != "INVITE":
            raise BadRequest("Replaces must stand once, in an INVITE")
        wanted = parse_replaces(values[0])
        session = self._find(wanted.call_id, wanted.to_tag, wanted.from_tag)
        if session is None and wanted.from_tag == "0":  # 6.1: that is the missing tag of RFC 2543 as well
            session = self._find(wanted.call_id, wanted.to_tag, "")
        if session is None:
            raise Declined if (wanted.call_id, wanted.to_tag, wanted.from_tag) in self._ended else NoSuchDialog
        if session.state == INVITED and session.dialog is not None:
            raise NoSuchDialog("An early dialog can be replaced by whom it was made by")  # "not initiated by this UA"
        if not self._may_replace(request, identity, session):
            raise Forbidden
        if session.state in {ANSWERED, CONFIRMED} and wanted.early_only:
            raise Busy
        if session.state not in {INVITED, ANSWERED, CONFIRMED}:
            raise Declined
        return session


def serve_replaces(
    ua: UserAgent, may_replace: Callable[[Request, str, Session], bool], *, remembered: int = 256
) -> Replacements:
    """Have ``ua`` name ``replaces`` in Supported; whoever takes its calls must then ask ``Replacements.match``."""
    replacements = Replacements(ua.find, may_replace, remembered=remembered)
    ua.support(REPLACES)
    ua.watchers.append(replacements)
    return replacements
