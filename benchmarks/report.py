"""The table that `make bench` prints and the file it leaves behind."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.sampling import Figure, Result, Scale, Side, meets

REACHED, MISSED = "reached", "missed"


@dataclass(frozen=True, slots=True)
class Single:
    """A figure of ours that has no peer; `value` is None with the reason in `error` when it was not measured.

    Without a `mark` it only tells.
    """

    name: str
    title: str
    unit: str
    value: float | None
    error: str | None = None
    mark: float | None = None
    higher_is_better: bool = False

    @property
    def met(self) -> bool | None:
        """Tell whether the mark is reached; None without a value or a mark."""
        return meets(self.value, self.mark, higher_is_better=self.higher_is_better)


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}"


def verdict(result: Result) -> str:
    """Say in a word or two how the figure stands to its mark, or that it must not be trusted."""
    if result.ratio is None:
        return "not measured"
    said = [] if result.met is None else [REACHED if result.met else MISSED]
    return ", ".join([*said, "NOT TO BE TRUSTED"] if result.doubts() else said)


def _mark(figure: Figure | Single) -> str:
    return "" if figure.mark is None else f"{'≥' if figure.higher_is_better else '≤'} {figure.mark}"


def _told(single: Single) -> str:
    if single.error is not None:
        return f"{single.title}: not measured: {single.error}"
    judged = "" if single.met is None else f", mark {_mark(single)}, {REACHED if single.met else MISSED}"
    return f"{single.title}: {_number(single.value)} {single.unit}{judged}"


def marks(results: Sequence[Result], singles: Sequence[Single]) -> str:
    """Count in a line the marks reached and missed, and name those missed, not measured and not to be trusted."""
    met = {result.figure.name: result.met for result in results if result.figure.mark is not None}
    met |= {single.name: single.met for single in singles if single.mark is not None}
    named = {
        MISSED: [name for name, reached in met.items() if reached is False],
        "not measured": [name for name, reached in met.items() if reached is None],
        "not to be trusted": [each.figure.name for each in results if each.met is not None and each.doubts()],
    }
    said = [f"{len(names)} {how} ({', '.join(names)})" for how, names in named.items() if names]
    return "Marks: " + ", ".join([f"{sum(map(bool, met.values()))} {REACHED}", *said])


def _rows(results: Sequence[Result]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [("figure", "unit", "ims-acd", "peer", "", "ratio", "mark", "verdict")]
    for result in results:
        figure = result.figure
        rows.append(
            (
                figure.title,
                figure.unit,
                _number(result.median(Side.OURS)),
                _number(result.median(Side.PEER)),
                figure.peer,
                "-" if result.ratio is None else f"{result.ratio:.3g}",
                _mark(figure),
                verdict(result),
            )
        )
    return rows


def table(results: Sequence[Result], singles: Sequence[Single]) -> str:
    """Return the figures as text: the comparisons, what speaks against trusting them, then our own figures."""
    lines = []
    if results:
        rows = _rows(results)
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        for row in rows:
            cells = [
                cell.rjust(width) if 2 <= column <= 3 or column == 5 else cell.ljust(width)
                for column, (cell, width) in enumerate(zip(row, widths, strict=True))
            ]
            lines.append("  ".join(cells).rstrip())
        lines.insert(1, "-" * max(map(len, lines)))
    for result in results:
        if told := ", ".join(f"{hop} {_number(cost)}" for hop, cost in result.by_hop.items()):
            lines.append(f"  {result.figure.name}, by hop: {told} {result.figure.unit}")
        lines += [f"  {result.figure.name}: {doubt}" for doubt in result.doubts()]
    if results and singles:
        lines.append("")
    lines += map(_told, singles)
    return "\n".join(lines)


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def save(directory: Path, results: Sequence[Result], singles: Sequence[Single], scale: Scale) -> Path:
    """Write everything measured, every run with its doubts, as JSON and return the file's path."""
    now = datetime.now(UTC)
    document = {
        "at": now.isoformat(timespec="seconds"),
        "machine": {
            "processor": _processor(),
            "cores": os.cpu_count(),
            "kernel": platform.release(),
            "python": platform.python_version(),
        },
        "scale": asdict(scale),
        "comparisons": [
            {
                "name": result.figure.name,
                "title": result.figure.title,
                "unit": result.figure.unit,
                "peer": result.figure.peer,
                "mark": result.figure.mark,
                "higher_is_better": result.figure.higher_is_better,
                "ours": result.median(Side.OURS),
                "theirs": result.median(Side.PEER),
                "ratio": result.ratio,
                "reached": result.met,
                "by_hop": result.by_hop,
                "doubts": result.doubts(),
                "runs": {
                    side.name.lower(): [asdict(sample) for sample in runs] for side, runs in result.samples.items()
                },
            }
            for result in results
        ],
        "singles": [{**asdict(single), "reached": single.met} for single in singles],
    }
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{now:%Y%m%dT%H%M%SZ}.json"
    path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    return path
