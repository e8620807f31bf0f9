"""Turns plain TOML values into the structures of the model and reports every mistake, not only the first.

msgspec stops at the first mistake; a person who edits a file wants them all at once. So this walks the type
annotations itself and leaves only the single values to msgspec.
"""

import difflib
import json
import types
from collections.abc import Callable, Mapping
from datetime import date
from enum import Enum
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

import msgspec
from msgspec import Struct
from msgspec.structs import FieldInfo, fields

from acd.config.values import Secret

Path = tuple[str | int, ...]


class Nothing(Enum):
    """The mark of a value that could not be read (its mistake is reported) or was not given."""

    NOTHING = 0


NOTHING: Final = Nothing.NOTHING
Report = Callable[[Path, str, object], None]
"""Takes where, what was expected, and what was found (NOTHING: nothing to show)."""


class Unquoted(Struct, frozen=True):
    """A value from a command line, where `5060` may be meant as a number or as a text."""

    value: object
    text: str

    def __str__(self) -> str:
        return self.text


_PLAIN = {
    str: "a text in quotes",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    date: 'a date, like "2026-10-01"',
}


def expected(kind: Any) -> str:
    """Say in words which values a type takes."""
    origin = get_origin(kind)
    if origin is Annotated:
        return next((note.description for note in kind.__metadata__ if note.description), expected(kind.__origin__))
    if origin is Literal:
        return " or ".join(json.dumps(choice) for choice in get_args(kind))
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(expected(arm) for arm in get_args(kind) if arm is not type(None)))
    if origin is tuple:
        return f"a list, each item {expected(get_args(kind)[0])}"
    if origin is Mapping or (isinstance(kind, type) and issubclass(kind, Struct) and not hasattr(kind, "parse")):
        return "a table"
    if hasattr(kind, "parse") and kind is not Secret:
        try:
            kind.parse("?")
        except ValueError as error:
            return str(error)
    return _PLAIN.get(kind, _PLAIN[str])


def read(kind: Any, raw: object, path: Path, report: Report) -> Any:
    """Return `raw` as a `kind`, or NOTHING when it is none; every mistake under it goes to `report`."""
    if isinstance(raw, Unquoted):
        mistakes: list[tuple[Path, str, object]] = []
        as_text = read(kind, raw.text, path, lambda *mistake: mistakes.append(mistake))
        return read(kind, raw.value, path, report) if mistakes else as_text
    composed = _COMPOSED.get(get_origin(kind))
    if composed is not None:
        return composed(kind, raw, path, report)
    if hasattr(kind, "parse"):
        return _parse(kind, raw, path, report)
    if isinstance(kind, type) and issubclass(kind, Struct):
        return read_struct(kind, raw, path, report)
    return _read_value(kind, raw, path, report)


def _read_value(kind: Any, raw: object, path: Path, report: Report) -> Any:
    if get_origin(kind) is Literal:
        # `True in (1,)` holds in Python, so the types are compared as well
        if any(raw == choice and type(raw) is type(choice) for choice in get_args(kind)):
            return raw
    else:
        try:
            value = msgspec.convert(raw, kind)
        except msgspec.ValidationError:
            pass
        else:
            if value == value:  # noqa: PLR0124 - nan is within no bounds
                return value
    report(path, expected(kind), raw)
    return NOTHING


def read_struct(kind: type[Struct], raw: object, path: Path, report: Report, **given: object) -> Any:
    """Read a table into a structure; `given` are fields that the file does not hold.

    A required field that cannot be read becomes None, so that the rest is still checked: once a mistake is
    reported the result is fit for looking for more mistakes, and for nothing else.
    """
    if not isinstance(raw, Mapping):
        report(path, "a table", raw)
        raw, report = {}, _ignore
    known = {info.name: info for info in fields(kind) if info.name not in given}
    for key in raw:
        if key not in known:
            report((*path, key), _instead(key, known), NOTHING)
    values = dict(given)
    for name, info in known.items():
        value = _read_field(info, raw, path, report)
        if value is not NOTHING:
            values[name] = value
        elif info.required:
            values[name] = None
    return kind(**values)


def _ignore(path: Path, expectation: str, found: object) -> None:
    """Report nothing: what is missing in something that is no table goes without saying."""


def _read_field(info: FieldInfo, raw: Mapping[str, object], path: Path, report: Report) -> Any:
    if info.name in raw:
        return read(info.type, raw[info.name], (*path, info.name), report)
    if info.required:
        if isinstance(info.type, type) and issubclass(info.type, Struct) and not hasattr(info.type, "parse"):
            return read_struct(info.type, {}, (*path, info.name), report)
        report((*path, info.name), f"{expected(info.type)}; the key is missing", NOTHING)
    return NOTHING


def _read_union(kind: Any, raw: object, path: Path, report: Report) -> Any:
    """Read `X | None` (None is "" or left out), kinds of different shape, or structures by their first key."""
    arms = [arm for arm in get_args(kind) if arm is not type(None)]
    if len(arms) == 1:
        return None if raw == "" else read(arms[0], raw, path, report)
    by_shape = {_shape(arm): arm for arm in arms}
    if len(by_shape) == len(arms):
        arm = by_shape.get(_shape_of(raw))
        if arm is not None:
            return read(arm, raw, path, report)
        report(path, expected(kind), raw)
        return NOTHING
    by_key = {fields(arm)[0].name: arm for arm in arms}
    chosen = [by_key[key] for key in by_key if isinstance(raw, Mapping) and key in raw]
    if len(chosen) == 1:
        return read_struct(chosen[0], raw, path, report)
    report(path, f"a table with exactly one of the keys {', '.join(by_key)}", raw)
    return NOTHING


def _shape(kind: Any) -> type:
    """Return what TOML writes a kind as: a table, a list (or a single text of it), or a number."""
    origin = get_origin(kind)
    if origin is Annotated:
        return _shape(kind.__origin__)
    if origin is tuple:
        return list
    return Mapping if origin is Mapping or issubclass(kind, Struct) else float


def _shape_of(raw: object) -> type:
    if isinstance(raw, Mapping):
        return Mapping
    return list if isinstance(raw, list | str) else float


def _read_list(kind: Any, raw: object, path: Path, report: Report) -> Any:
    """Read a list; a single text stands for a list of one."""
    item = get_args(kind)[0]
    if isinstance(raw, str):
        raw = [raw]
    if not isinstance(raw, list):
        report(path, expected(kind), raw)
        return NOTHING
    values = [read(item, value, (*path, index), report) for index, value in enumerate(raw)]
    return tuple(value for value in values if value is not NOTHING)


def _read_mapping(kind: Any, raw: object, path: Path, report: Report) -> Any:
    """Read a table whose keys are free; a structure with a field `id` gets its key as that."""
    if not isinstance(raw, Mapping):
        report(path, "a table", raw)
        return NOTHING
    key_kind, value_kind = get_args(kind)
    result = {}
    for key, item in raw.items():
        where = (*path, key)
        name = read(key_kind, key, where, lambda at, words, _: report(at, f"the key to be {words}", NOTHING))
        if isinstance(value_kind, type) and any(info.name == "id" for info in fields(value_kind)):
            value = read_struct(value_kind, item, where, report, id=key)
        else:
            value = read(value_kind, item, where, report)
        if name is not NOTHING:
            result[name] = value
        elif not hasattr(key_kind, "parse"):  # it still counts as defined: who refers to it made no mistake
            result[key] = value
    return result


def _parse(kind: Any, raw: object, path: Path, report: Report) -> Any:
    if isinstance(raw, str):
        try:
            return kind.parse(raw)
        except ValueError:
            pass
    report(path, expected(kind), NOTHING if issubclass(kind, Secret) else raw)
    return NOTHING


def _instead(key: str, known: Mapping[str, object]) -> str:
    close = difflib.get_close_matches(key, known, n=1)
    if close:
        return f"{close[0]} (did you mean that?); this key is unknown"
    return f"one of {', '.join(known)}; this key is unknown"


_COMPOSED: dict[Any, Callable[[Any, object, Path, Report], Any]] = {
    Union: _read_union,
    types.UnionType: _read_union,
    tuple: _read_list,
    Mapping: _read_mapping,
}
