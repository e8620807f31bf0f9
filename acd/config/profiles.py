"""Service profiles in a configuration: tables, or the XML of the Cx interface in a file of its own."""

from collections.abc import Mapping
from pathlib import Path as FilePath

from msgspec import Struct

from acd.config.ims import PublicIdentityUri
from acd.config.mistakes import Mistakes
from acd.config.reader import NOTHING, Path
from acd.config.values import Text
from ims_core.profiles import cx, tables
from ims_core.profiles.mistakes import ProfileError
from ims_core.profiles.model import ServiceProfile


class ProfileTable(Struct, frozen=True, kw_only=True):
    """One `[profiles.NAME]` table: criteria, or the file that has them, of the identity if it has several."""

    file: Text | None = None
    identity: PublicIdentityUri | None = None
    criteria: tuple[tables.CriterionTable, ...] = ()


def read_profiles(written: Mapping[str, ProfileTable], mistakes: Mistakes) -> dict[str, ServiceProfile]:
    """Return the profiles by name; what is wrong goes to `mistakes`, and leaves an empty profile."""
    return {
        name: read_profile(name, table, ("profiles", name), mistakes) or ServiceProfile(name)
        for name, table in written.items()
    }


def read_profile(name: str, table: ProfileTable, path: Path, mistakes: Mistakes) -> ServiceProfile | None:
    """Return the profile that a table at `path` says; None: it cannot be used, and `mistakes` has why."""
    if table.file is not None and table.criteria:
        mistakes.report((*path, "criteria"), "none of them beside file, which has its own")
    if table.file is None and table.identity is not None:
        mistakes.report((*path, "file"), "the file that has the profile of the identity; the key is missing")
    if mistakes.any_item_lost_in(path):
        return None
    try:
        if table.file is None:
            return tables.read(name, table.criteria)
        content = _content(table.file, path, mistakes)
        return None if content is None else cx.read(name, content, table.identity or "")
    except ProfileError as error:
        if table.file is None:
            report(error, path, mistakes)
        else:
            inside = Mistakes(table.file)
            report(error, (), inside)
            mistakes.lines += inside.lines
        return None


def _content(file: str, path: Path, mistakes: Mistakes) -> bytes | None:
    try:
        return FilePath(file).read_bytes()
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "its name is none"
        mistakes.report((*path, "file"), f"a readable file: {why}", file)
        return None


def report(error: ProfileError, path: Path, mistakes: Mistakes) -> None:
    """Report the mistakes of a profile that stands at `path`, but what follows from those known already."""
    for mistake in error.mistakes:
        place: Path = (*path, *mistake.path)
        if not mistakes.any_in(place):  # a condition lacks what could not be read of it
            mistakes.report(place, mistake.expected, NOTHING if mistake.found is None else mistake.found)
