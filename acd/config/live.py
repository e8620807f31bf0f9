"""Which parts of a configuration can be changed while the engine runs, and which need a restart."""

from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from acd.config.model import Config, Sections

LIVE = frozenset(
    (
        "accounts",
        "agents",
        "calendars",
        "callers",
        "dialling",
        "feature_codes",
        "flows",
        "numbers",
        "emergency",
        "fallback",
        "outbound",
        "profiles",
        "queues",
        "subscribers",
        "trunks",
    )
)
# Of the sections that are read at the start, the keys that are looked at each time.
LIVE_KEYS = {
    "server": ("drain_seconds", "language"),
    "sip": ("reservation_seconds",),
    "media": ("workers", "rtpengine"),
    "limits": ("calls", "call_seconds"),
}


class Installed(Struct, frozen=True):
    """What came of a change.

    `policy` is the number of the policy that calls are offered by now, `changed` names the sections of the
    configuration that differ, `needs_restart` the keys that stay as they are until the next start.
    """

    policy: int
    changed: tuple[str, ...]
    needs_restart: tuple[str, ...]


def follow(present: Config, wanted: Config) -> tuple[Config, tuple[str, ...], tuple[str, ...]]:
    """Return `wanted` as far as it can be had without a restart, the sections that differ, and the keys left out."""
    kept: dict[str, Any] = {}
    needs_restart = []
    for section in Sections.__struct_fields__:
        before, after = getattr(present, section), getattr(wanted, section)
        if section in LIVE or before == after:
            continue
        fixed = {
            key: getattr(before, key)
            for key in before.__struct_fields__
            if key not in LIVE_KEYS.get(section, ()) and getattr(before, key) != getattr(after, key)
        }
        needs_restart += [f"{section}.{key}" for key in fixed]
        kept[section] = replace(after, **fixed)
    config = replace(wanted, **kept)
    changed = tuple(name for name in Config.__struct_fields__ if getattr(config, name) != getattr(present, name))
    return config, changed, tuple(needs_restart)
