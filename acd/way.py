"""How somebody is called who is not in this process."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from ims_core.locate.courier import Hop
    from ims_core.security.credentials import Credentials


class Way(NamedTuple):
    """How to call somebody: the URI to name, the next hop, and the route to take from there (RFC 3327, RFC 3608).

    To a ``number`` outside the way is a ``trunk``, which knows ``caller``, a name-addr, and answers by ``credentials``.
    """

    target: str
    hop: Hop
    route: tuple[str, ...] = ()
    trunk: str = ""
    number: str = ""
    caller: str = ""
    credentials: Credentials | None = None
