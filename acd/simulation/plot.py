"""The picture of a simulation: how long the queue was, how long callers waited, and when.

matplotlib is imported here only; nothing of it needs a screen.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from math import ceil
from typing import TYPE_CHECKING

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MultipleLocator

from acd.cdr import Outcome
from acd.simulation.figures import ALL, quantile
from acd.simulation.report import shown

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes

    from acd.simulation.report import Told
    from acd.simulation.run import Run

BINS = 120
TITLE_LENGTH = 130
BARS = 50
INK, MUTED, GRID = "#22303c", "#6b7a88", "#e3e8ec"
BLUE, ORANGE, RED = "#2f6fa7", "#e08a1e", "#b8433c"
_STEPS_OF_TIME = (300.0, 600.0, 900.0, 1800.0, 3600.0, 7200.0, 10800.0, 21600.0, 43200.0, 86400.0)


def draw(file: Path, runs: Sequence[Run], told: Told, time_of_day: float) -> None:
    """Draw all replications into a file whose ending names the format; `time_of_day` is that of the start in seconds.

    Raises OSError where it cannot be written and ValueError for a format that matplotlib does not know.
    """
    picture = Figure(figsize=(11, 7.2), dpi=120, facecolor="white", layout="constrained")
    grid = picture.add_gridspec(2, 2, height_ratios=(1, 1))
    _queue_length(picture.add_subplot(grid[0, :]), runs, time_of_day)
    _histogram(picture.add_subplot(grid[1, 0]), runs, told)
    _over_time(picture.add_subplot(grid[1, 1]), runs, time_of_day)
    picture.suptitle(_title(told), x=0.01, ha="left", fontsize=11, color=INK)
    picture.savefig(file)


def _title(told: Told) -> str:
    figures = told.scopes.get(ALL, {})
    parts = [
        f"{figures[name].name.lower()} {shown(figures[name].mean, figures[name].unit)}"
        for name in ("service_level_of_offered", "average_speed_of_answer_seconds", "abandonment_rate", "occupancy")
        if name in figures
    ]
    runs = told.made["replications"]
    first = f"{told.callers:,} callers in {runs} run{'' if runs == 1 else 's'}: " + ", ".join(parts)
    second = f"{told.made['arrivals']} · service {told.made['service']} · patience {told.made['patience']}"
    return f"{first}\n{textwrap.shorten(second, TITLE_LENGTH, placeholder=' …')}"


def lengths(run: Run, width: float) -> list[float]:
    """The mean number of waiting callers in each bin of `width` seconds from the start of a run."""
    size = ceil((run.end - run.start) / width)
    # Of a step up at `at` the bin itself gets the part behind it and every bin after that all of it.
    whole, part = [0.0] * (size + 1), [0.0] * (size + 1)
    for caller in run.callers:
        until = caller.at + caller.waited if caller.outcome else run.over
        for at, step in ((caller.at, 1), (until, -1)):
            place = (at - run.start) / width
            index = int(place)
            if index < size:
                part[index] += step * (index + 1 - place)
                whole[index + 1] += step
    return [before + inside for before, inside in zip(accumulate(whole), part, strict=True)][:size]


def _queue_length(axes: Axes, runs: Sequence[Run], time_of_day: float) -> None:
    _style(axes, "Callers waiting", "mean of the runs; the band holds nine out of ten" if len(runs) > 1 else "")
    width = (runs[0].end - runs[0].start) / BINS
    by_bin = list(zip(*(lengths(run, width) for run in runs), strict=True))
    middles = [time_of_day + (n + 0.5) * width for n in range(len(by_bin))]
    if len(runs) > 1:
        ordered = [sorted(values) for values in by_bin]
        low, high = ([quantile(values, share) or 0.0 for values in ordered] for share in (0.05, 0.95))
        axes.fill_between(middles, low, high, color=BLUE, alpha=0.18, linewidth=0)
    axes.plot(middles, [sum(values) / len(values) for values in by_bin], color=BLUE, linewidth=1.8)
    axes.set_ylim(bottom=0)
    _time_axis(axes, runs[0], time_of_day, ticks=12)


def _histogram(axes: Axes, runs: Sequence[Run], told: Told) -> None:
    answered = sorted(_waits(runs, Outcome.ANSWERED))
    abandoned = list(_waits(runs, Outcome.ABANDONED))
    _style(axes, "Waits", "")
    axes.set_xlabel("seconds; the last bar holds all longer waits", color=MUTED, fontsize=9)
    everybody = sorted((*answered, *abandoned))
    longest = max(1.0, quantile(everybody, 0.99) or 0.0)
    total = sum(len(run.counted) for run in runs)
    edges = [longest * n / BARS for n in range(BARS + 1)]
    if total and everybody:
        axes.hist(
            [[min(wait, longest) for wait in waits] for waits in (answered, abandoned)],
            bins=edges,
            weights=[[100 / total] * len(answered), [100 / total] * len(abandoned)],
            stacked=True,
            color=(BLUE, ORANGE),
            label=("answered", "abandoned"),
        )
        axes.set_title(
            f"Waits    median {quantile(answered, 0.5) or 0:.1f} s, 90 % {quantile(answered, 0.9) or 0:.1f} s, "
            f"99 % {quantile(answered, 0.99) or 0:.1f} s of the answered",
            loc="left",
            fontsize=10,
            color=INK,
        )
    for threshold in sorted(set(told.thresholds.values())):
        if threshold < longest:
            axes.axvline(threshold, color=RED, linewidth=1, linestyle="--", label=f"{threshold:g} s")
    axes.set_xlim(0, longest)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g} %"))
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, fontsize=9, labelcolor=INK)


def _over_time(axes: Axes, runs: Sequence[Run], time_of_day: float) -> None:
    _style(axes, "Wait of the answered by time of arrival", "seconds")
    span = runs[0].end - runs[0].start
    width = span / min(48, max(6, round(span / 900)))
    bins: dict[int, list[float]] = {}
    for run in runs:
        for caller in run.callers:
            if caller.outcome is Outcome.ANSWERED:
                bins.setdefault(int((caller.at - run.start) / width), []).append(caller.waited)
    times = [time_of_day + (n + 0.5) * width for n in sorted(bins)]
    for share, name, colour in ((0.5, "median", BLUE), (0.9, "90 %", ORANGE), (0.99, "99 %", RED)):
        waits = [quantile(sorted(bins[n]), share) or 0.0 for n in sorted(bins)]
        axes.plot(times, waits, color=colour, linewidth=1.6, label=name)
    axes.set_ylim(bottom=0)
    _time_axis(axes, runs[0], time_of_day, ticks=6)
    if bins:
        axes.legend(frameon=False, fontsize=9, labelcolor=INK)


def _waits(runs: Iterable[Run], outcome: Outcome) -> Iterator[float]:
    return (caller.waited for run in runs for caller in run.counted if caller.outcome is outcome)


def _style(axes: Axes, title: str, hint: str) -> None:
    axes.set_title(title, loc="left", fontsize=10, color=INK)
    if hint:
        axes.set_title(hint, loc="right", fontsize=9, color=MUTED)
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=MUTED, labelsize=9, length=3)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(MUTED)


def _time_axis(axes: Axes, run: Run, time_of_day: float, *, ticks: int) -> None:
    """Tell times of day; where nothing was counted yet, grey."""
    span = run.end - run.start
    step = next((step for step in _STEPS_OF_TIME if span / step <= ticks), _STEPS_OF_TIME[-1])
    axes.xaxis.set_major_locator(MultipleLocator(step))
    axes.xaxis.set_major_formatter(FuncFormatter(_clock if span <= 86400 else _day_and_clock))
    axes.set_xlim(time_of_day, time_of_day + span)
    if run.counted_from > run.start:
        axes.axvspan(time_of_day, time_of_day + run.counted_from - run.start, color=GRID, alpha=0.6, linewidth=0)
        axes.annotate(
            "warm-up",
            (time_of_day, 1),
            xycoords=("data", "axes fraction"),
            xytext=(4, -12),
            textcoords="offset points",
            fontsize=8,
            color=MUTED,
        )


def _clock(value: float, _: object) -> str:
    return f"{int(value // 3600) % 24:02d}:{int(value // 60) % 60:02d}"


def _day_and_clock(value: float, position: object) -> str:
    return f"day {int(value // 86400) + 1} {_clock(value, position)}"
