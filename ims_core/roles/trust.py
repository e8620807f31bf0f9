"""What may cross the border of the trust domain, on which handsets stand outside (TS 24.229 section 4.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ims_core.messages.headers import split_params

if TYPE_CHECKING:
    from ims_core.messages.message import Message

_NETWORK_ONLY = frozenset(
    (
        "attestation-info",
        "origination-id",
        "p-asserted-service",
        "p-charging-function-addresses",
        "p-charging-vector",
        "p-dcs-billing-info",
        "p-dcs-laes",
        "p-private-network-indication",
        "p-profile-key",
        "p-served-user",
        "p-user-database",
        "p-visited-network-id",
        "relayed-charge",
        "restoration-info",
        "service-interact-info",
    )
)
FROM_HANDSET: Final = _NETWORK_ONLY | {
    "p-asserted-identity",
    "p-associated-uri",
    "p-called-party-id",
    "p-preferred-identity",
    "remote-party-id",
}
"""Header fields that only the network may say: of a handset they are not taken further (4.4.2 to 4.4.22, 5.2.1)."""
TO_HANDSET: Final = _NETWORK_ONLY | {"p-access-network-info", "p-preferred-identity"}
"""Header fields that no handset is told (5.2.1, RFC 7315 sections 4.4 to 4.6)."""

ACCESS: Final = "P-Access-Network-Info"


def keep_own_access(message: Message) -> None:
    """Drop what a handset says of its access in the network's name: values with ``np`` (5.2.1; RFC 7315 4.4)."""
    if "p-access-network-info" not in message.keys:
        return
    values = message.values(ACCESS)
    own = [value for value in values if not _is_networks(value)]
    if own != values:
        message.remove(ACCESS)
        for value in own:
            message.add(ACCESS, value)


def take_from_handset(message: Message) -> None:
    """Drop from a message of a handset what it may not say."""
    message.remove_all(FROM_HANDSET)
    keep_own_access(message)


def give_to_handset(message: Message) -> None:
    """Drop from a message to a handset what it is not told."""
    message.remove_all(TO_HANDSET)


def _is_networks(value: str) -> bool:
    names = {param.partition("=")[0].strip().lower() for param in split_params(value)[1:]}
    return "np" in names or "network-provided" in names
