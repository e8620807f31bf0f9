"""Reads callers' profiles from a CSV file: `number`, then any of `vip`, `segment`, `language`, `age_group`, `agent`."""

import csv
from pathlib import Path

from acd.config.mistakes import Mistakes
from acd.config.reader import NOTHING, read, read_struct
from acd.config.routing import CallerProfile
from acd.config.values import Dialled

_TRUTH = {"": False, "0": False, "no": False, "false": False, "1": True, "yes": True, "true": True}


def read_callers(file: str, mistakes: Mistakes) -> dict[str, CallerProfile]:
    """Return the profiles in a file by number; what is wrong goes to `mistakes`, a line of the file each."""
    profiles: dict[str, CallerProfile] = {}
    try:
        with Path(file).open(encoding="utf-8-sig", newline="") as lines:
            rows = csv.DictReader(lines)
            for row in rows:
                wrong = Mistakes(f"{file}:{rows.line_num}")
                number = read(Dialled, (row.pop("number", None) or "").strip(), ("number",), wrong.report)
                profile = _profile(row, wrong)
                if number in profiles:
                    wrong.report(("number",), "a number that is not there before", number)
                mistakes.lines += wrong.lines
                if number is not NOTHING:
                    profiles[number] = profile
    except OSError as error:
        mistakes.report(("callers", "file"), f"a readable file: {error.strerror}", file)
    except (UnicodeDecodeError, csv.Error):
        mistakes.report(("callers", "file"), "a CSV file in UTF-8", file)
    return profiles


def _profile(row: dict[str | None, str | None], wrong: Mistakes) -> CallerProfile:
    values: dict[str, object] = {}
    for name, written in row.items():
        text = (written or "").strip() if isinstance(written, str) else ""
        if name == "vip":
            values["vip"] = _TRUTH.get(text.lower(), text)
        elif text or name not in CallerProfile.__struct_fields__:
            values[str(name)] = text
    profile: CallerProfile = read_struct(CallerProfile, values, (), wrong.report)
    return profile
