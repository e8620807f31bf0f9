"""The table that `make bench` prints and the file it leaves behind."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.sampling import Figure, Result, Scale, Side


@dataclass(frozen=True, slots=True)
class Single:
    """A figure of ours that has no peer; `value` is None with the reason in `error` when it was not measured."""

    name: str
    title: str
    unit: str
    value: float | None
    error: str | None = None


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}"


def verdict(result: Result) -> str:
    """Say in a word or two how the figure stands to its mark, or that it must not be trusted."""
    if result.ratio is None:
        return "not measured"
    said = [] if result.met is None else ["reached" if result.met else "missed"]
    return ", ".join([*said, "NOT TO BE TRUSTED"] if result.doubts() else said)


def _mark(figure: Figure) -> str:
    return "" if figure.mark is None else f"{'≥' if figure.higher_is_better else '≤'} {figure.mark}"


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
    for single in singles:
        value = f"{_number(single.value)} {single.unit}" if single.error is None else f"not measured: {single.error}"
        lines.append(f"{single.title}: {value}")
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
        "singles": [asdict(single) for single in singles],
    }
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{now:%Y%m%dT%H%M%SZ}.json"
    path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    return path
