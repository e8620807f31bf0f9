"""What to dial and with which accounts, for the person who has just started the server."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING

from acd.config import ToAnnouncement, ToEcho, ToFlow, ToQueue

if TYPE_CHECKING:
    from collections.abc import Iterable

    from acd.config import Account, Config, Number

LONGEST_LIST = 8
"""Of more users with one password only the first and the last are named."""

_ACCOUNTS = {
    True: "Accounts (with passwords, because SIP listens on loopback only):",
    False: "Accounts (without passwords, because SIP does not listen on loopback only):",
}


def guide(config: Config, sip: Iterable[str], http: str | None) -> str:
    """Tell in a few lines how to use the server that listens on ``sip`` ("udp:127.0.0.1:5060") and ``http``.

    Passwords are told only where nobody from another host could use them.
    """
    lines = [f"{config.server.domain} is served on {' and '.join(sip)}" + (f", HTTP on {http}" if http else "")]
    lines += ["", "Dial:"]
    lines += [f"  {number:<8} {_service(config, served)}" for number, served in config.numbers.items()]
    codes = config.feature_codes
    lines.append(
        f"  {codes.log_in} {codes.log_out} {codes.pause} {codes.ready}  "
        "from an agent's phone: log in, log out, pause, ready"
    )
    lines.append("  a user's name, to call another phone")
    if config.sip.authentication == "off":
        return "\n".join([*lines, "", "Any user may register; no password is asked for."])
    local = _is_local(config)
    lines += ["", _ACCOUNTS[local]]
    groups: dict[tuple[str, str], list[str]] = {}
    for account in config.accounts.values():
        groups.setdefault((_roles(config, account), str(account.password)), []).append(account.user)
    for (roles, password), users in groups.items():
        lines.append(f"  {_names(users)}: {roles}" + (f", password {password}" if local else ""))
    return "\n".join(lines)


def _service(config: Config, number: Number) -> str:
    match number:
        case ToFlow(flow=flow):
            keys = ", ".join(f"{key} {config.queues[queue].name}" for key, queue in config.flows[flow].choices.items())
            return f"a menu: {keys}"
        case ToQueue(queue=queue):
            return f"straight into the queue {config.queues[queue].name}"
        case ToEcho():
            return "your own voice back"
        case ToAnnouncement():
            return "an announcement, then it hangs up"


def _roles(config: Config, account: Account) -> str:
    roles = [role for role in ("agent", "subscriber") if role in account.roles]
    queues = config.agents[account.user].queues if account.user in config.agents else ()
    served = f" of {', '.join(config.queues[queue].name for queue in queues)}" if "agent" in roles and queues else ""
    return " and ".join(roles).replace("agent", f"agent{served}")


def _names(users: list[str]) -> str:
    return ", ".join(users) if len(users) <= LONGEST_LIST else f"{users[0]} ... {users[-1]} ({len(users)} users)"


def _is_local(config: Config) -> bool:
    return all(ip_address(listener.host).is_loopback for listener in config.sip.listen)
