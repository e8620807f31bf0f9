"""A service profile as the S-CSCF keeps it (TS 29.228 Annex B.2.2).

A profile is a list of *criteria*, each a trigger and the application server that sees the requests which fire it. A
trigger is made of *service point triggers* in groups: in the conjunctive form one of every group must hold, in the
disjunctive form every one of some group (Annex C). One that is in several groups stands in each of them.

The numbers of the enumerations are those of the Cx interface.
"""

from __future__ import annotations

from enum import Enum, IntEnum
from itertools import pairwise

from ims_core.patterns import NamePattern, Pattern
from ims_core.structs import Value


class SessionCase(IntEnum):
    """For whom the S-CSCF handles a request (TS 29.228 Annex B.2.3, ``SessionCase``); a REGISTER is originating."""

    ORIGINATING = 0
    TERMINATING_REGISTERED = 1
    TERMINATING_UNREGISTERED = 2
    ORIGINATING_UNREGISTERED = 3
    ORIGINATING_CDIV = 4  # by a user whose call an application server has diverted (TS 24.229 5.4.3.3)


class Registration(IntEnum):
    """What a REGISTER does (``RegistrationType``)."""

    INITIAL = 0
    RE = 1
    DE = 2


class DefaultHandling(IntEnum):
    """What becomes of a request when its application server does not serve it."""

    SESSION_CONTINUED = 0
    SESSION_TERMINATED = 1


class ProfilePart(IntEnum):
    """For whom a criterion is there at all: for a user who is registered, or for one who is not."""

    REGISTERED = 0
    UNREGISTERED = 1


class Method(Value):
    """The request is of this method; with ``registrations`` one of these REGISTERs, without of any kind."""

    name: str
    registrations: frozenset[Registration] = frozenset()


class RequestUri(Value):
    """The Request-URI holds the pattern: as it is written, or what of it table F.1 of TS 29.228 speaks of.

    That is host and port of a SIP URI, what follows the scheme of a tel URI: so ``^`` and ``$`` are the ends of either.
    """

    pattern: Pattern


class Header(Value):
    """There is a header field of such a name, and with ``content`` one whose value holds that.

    ``name`` is the pattern of a whole name in its long form: one that held parts of names would take ``To`` for a part
    of ``History-Info``.
    """

    name: NamePattern
    content: Pattern | None = None


class Case(Value):
    """The request is handled in this session case."""

    case: SessionCase


class SessionDescription(Value):
    """There is a line of such a type in a session description, and with ``content`` one whose value holds that."""

    line: Pattern
    content: Pattern | None = None


Point = Method | RequestUri | Header | Case | SessionDescription


class ServicePointTrigger(Value):
    """One condition: something of the request is so, or ``negated``, is not so."""

    point: Point
    negated: bool = False


Group = tuple[ServicePointTrigger, ...]


class Form(Enum):
    """How the groups of a trigger belong together (TS 29.228 Annex C)."""

    CONJUNCTIVE = "conjunctive"
    DISJUNCTIVE = "disjunctive"


class Trigger(Value):
    """Groups of conditions in one of the normal forms. Raises ``ValueError`` where a group, or all, is empty."""

    form: Form
    groups: tuple[Group, ...]

    def __post_init__(self) -> None:
        if not self.groups or not all(self.groups):
            raise ValueError("a trigger without conditions is no trigger")


class Server(Value):
    """An application server: its SIP URI, and what is done towards it.

    ``service_info`` goes to it in the body of a third-party REGISTER, and with ``include_register_request`` and
    ``include_register_response`` what the user's own registration was, too (TS 24.229 5.4.1.7).
    """

    uri: str
    default_handling: DefaultHandling = DefaultHandling.SESSION_CONTINUED
    service_info: str = ""
    include_register_request: bool = False
    include_register_response: bool = False


class Criterion(Value):
    """An initial filter criterion; the lowest ``priority`` is asked first. Without a trigger it holds for all requests.

    ``part`` None: for users registered or not.
    """

    priority: int
    server: Server
    trigger: Trigger | None = None
    part: ProfilePart | None = None


class ServiceProfile(Value):
    """The criteria of a profile in the order of their priorities. Raises ``ValueError`` where two have the same."""

    name: str
    criteria: tuple[Criterion, ...] = ()

    def __post_init__(self) -> None:
        for one, next_one in pairwise(self.criteria):
            if one.priority >= next_one.priority:
                raise ValueError("criteria are in the order of their priorities, which differ")
