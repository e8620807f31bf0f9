"""Collects the mistakes of a configuration, each as one line: where, which key, what was expected."""

import json
import re

from acd.config.reader import NOTHING, Path

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_SECRETS = frozenset({"password", "token"})
_LONGEST = 60


class Mistakes:
    """The mistakes found so far, one for each place; places under `overridden` came from `--set`."""

    def __init__(self, file: str, overridden: frozenset[Path] = frozenset()) -> None:
        self.lines: list[str] = []
        self._file = file
        self._overridden = overridden
        self._reported: set[Path] = set()

    def report(self, path: Path, expectation: str, found: object = NOTHING) -> None:
        """Note that `expectation` was not met at `path`; more of the same place only follows from that."""
        if path in self._reported:
            return
        self._reported.add(path)
        source = "--set" if any(_within(path, known) for known in self._overridden) else self._file
        line = f"{source}: {key(path)}: expected {expectation}"
        if found is not NOTHING and not _SECRETS.intersection(path):
            line += f", found {shown(found)}"
        self.lines.append(line)

    def any_in(self, path: Path) -> bool:
        """Say whether a mistake at `path` or below it is known."""
        return any(known[: len(path)] == path for known in self._reported)

    def any_item_lost_in(self, path: Path) -> bool:
        """Say whether an item of a list under `path` could not be read: those after it have other numbers then."""
        return any(known[: len(path)] == path and isinstance(known[-1], int) for known in self._reported if known)


def _within(one: Path, other: Path) -> bool:
    """Say whether one place is, or is inside, the other."""
    return all(here == there for here, there in zip(one, other, strict=False))


def key(path: Path) -> str:
    """Return a path as TOML writes it: `queues.sales.name`, `agents."a.b"`, `sip.listen[0]`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += ("." if text else "") + (part if _BARE_KEY.fullmatch(part) else json.dumps(part))
    return text or "the file"


def shown(value: object) -> str:
    """Return a value on one line, shortened."""
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
