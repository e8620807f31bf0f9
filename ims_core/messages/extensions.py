"""Option tags: the extensions that a message supports, and those that it requires of us (RFC 3261 section 19.2)."""

from __future__ import annotations

from collections.abc import Container
from typing import TYPE_CHECKING

from ims_core.errors import BadExtension

if TYPE_CHECKING:
    from ims_core.messages.message import Message


def names_option(message: Message, name: str, option: str) -> bool:
    """Whether the header field of that name, say Supported, lists ``option``; case does not matter (7.3.1)."""
    return name.lower() in message.keys and any(value.lower() == option for value in message.values(name))


def check_required(message: Message, supported: Container[str] = (), *, name: str = "Require") -> None:
    """Refuse what demands an extension that is not ``supported``, lower case (8.2.2.3). Raises ``BadExtension``."""
    if name.lower() in message.keys:
        unknown = [option for option in message.values(name) if option and option.lower() not in supported]
        if unknown:
            raise BadExtension(headers=(("Unsupported", ", ".join(unknown)),))
