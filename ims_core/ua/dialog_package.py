"""The ``dialog`` event package: who watches a user is told of the calls of that user (RFC 4235)."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import TYPE_CHECKING, Final

from ims_core.errors import SipError
from ims_core.messages.headers import parse_name_addr
from ims_core.ua.dialog_info import (
    CONFIRMED,
    DIALOG_INFO,
    EARLY,
    PROCEEDING,
    TERMINATED,
    TRYING,
    DialogState,
    Party,
    write_dialog_info,
)
from ims_core.ua.incoming import IncomingCall
from ims_core.ua.outgoing import OutgoingCall
from ims_core.ua.packages import Admission, Lifetimes
from ims_core.ua.session import INVITED

if TYPE_CHECKING:
    from ims_core.messages.message import Request
    from ims_core.ua.dialog import Dialog
    from ims_core.ua.notifier import Notifier
    from ims_core.ua.session import Session

DIALOG: Final = "dialog"


class DialogPackage:
    """Tells of the sessions of a user agent; make it a watcher of that, and give it its ``notifier``.

    ``user_of`` names the user whose call a session is, as the URI that documents carry, or None when nobody may know
    of it. ``admit_watcher`` decides about a SUBSCRIBE: it returns whose calls are asked for and who asks, or raises
    ``SipError``.
    """

    name = DIALOG
    content_type = DIALOG_INFO
    lifetimes = Lifetimes(default=3600, least=60, most=7200)  # 3.4
    least_interval = 1.0  # 3.10 wants the rate bounded

    def __init__(
        self,
        clock: Callable[[], float],
        *,
        user_of: Callable[[Session], str | None],
        admit_watcher: Callable[[Request, str], Admission],
    ) -> None:
        self.admit = admit_watcher
        self.notifier: Notifier | None = None
        self._clock = clock
        self._user_of = user_of
        self._ids = count(1)
        self._users: dict[str, dict[Session, DialogState]] = {}
        self._known: dict[Session, tuple[str, float]] = {}  # whose it is, and since when it is there

    # For the notifier (``packages.EventPackage``) -----------------------------------------------------------

    def state(self, resource: str, version: int, changes: list[object] | None) -> bytes:
        """Write the document of a user: all dialogs, or the last state of those that changed."""
        if changes is None:
            now = self._clock()
            dialogs = [
                state._replace(seconds=int(now - self._known[session][1]))
                for session, state in self._users.get(resource, {}).items()
            ]
            return write_dialog_info(resource, version, dialogs, full=True)
        latest = {change.id: change for change in changes if isinstance(change, DialogState)}
        return write_dialog_info(resource, version, latest.values(), full=False)

    # For the user agent (``useragent.SessionWatcher``) ------------------------------------------------------

    def session_changed(self, session: Session) -> None:
        """Tell that a session is there, rings or was answered."""
        known = self._known.get(session)
        user = self._user_of(session) if known is None else known[0]
        if user is None:
            return
        if known is None:
            self._known[session] = user, self._clock()
            state = describe(session, str(next(self._ids)), is_new=True)
        else:
            state = describe(session, self._users[user][session].id, is_new=False)
        self._users.setdefault(user, {})[session] = state
        self._tell(user, state)

    def session_closed(self, session: Session, cause: str, code: int | None) -> None:
        """Tell that a session is over."""
        if session not in self._known:
            return
        user, _ = self._known.pop(session)
        dialogs = self._users[user]
        state = dialogs.pop(session)
        if not dialogs:
            del self._users[user]
        self._tell(user, state._replace(state=TERMINATED, event=cause, code=code))

    def _tell(self, user: str, state: DialogState) -> None:
        if self.notifier is not None:
            self.notifier.changed(DIALOG, user, state)


def describe(session: Session, name: str, *, is_new: bool) -> DialogState:
    """Describe a session as a dialog called ``name`` (3.7.1); ``is_new``: nothing but its INVITE has happened."""
    direction = "recipient" if isinstance(session, IncomingCall) else "initiator"
    phase, dialog = CONFIRMED, session.dialog
    if session.state == INVITED:
        phase = TRYING if is_new else EARLY
        if isinstance(session, OutgoingCall) and not is_new:
            dialog = _early_dialog(session)
            phase = EARLY if dialog is not None else PROCEEDING
    call_id, local_tag = session.dialog_id
    state = DialogState(name, phase, direction, call_id, local_tag)
    if dialog is None:
        return state
    return state._replace(
        remote_tag=dialog.remote_tag,
        local=_party(dialog.local, session.contact),
        remote=_party(dialog.remote, f"<{dialog.remote_target}>"),
    )


def _early_dialog(session: OutgoingCall) -> Dialog | None:
    """The early dialog with whoever rang last; None when that response made none (RFC 3261 12.1)."""
    tag, fork = next(reversed(session.forks.items()), ("", None))
    try:
        return fork.dialog if fork is not None and tag else None
    except SipError:
        return None


def _party(address: str, contact: str) -> Party:
    try:
        who = parse_name_addr(address)
        return Party(who.uri_text, who.display, parse_name_addr(contact).uri_text)
    except SipError:
        return Party()


def single_user(uri: str) -> Callable[[Session], str | None]:
    """A ``user_of`` for the phone of one user: every call is his."""
    return lambda _: uri
