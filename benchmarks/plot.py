"""One picture of a run: how every goal was met, as a share of its bound."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import matplotlib as mpl

from benchmarks.measure import Goal, Result

__all__ = ["draw"]

MET: Final = "#2c7a4b"
MISSED: Final = "#b3261e"
ROW_INCHES: Final = 0.34


def draw(results: Sequence[Result], title: str, path: Path) -> None:
    """Bars longer than the line at 1 are goals met; the axis is logarithmic, because some are met many times over."""
    mpl.use("agg")
    from matplotlib import pyplot as plt

    goals = [goal for result in reversed(results) for goal in reversed(result.goals)]
    figure, axes = plt.subplots(figsize=(11, 1.3 + ROW_INCHES * len(goals)), layout="constrained")
    colours = [MET if goal.met else MISSED for goal in goals]
    bars = axes.barh([goal.name for goal in goals], [_share(goal) for goal in goals], color=colours, height=0.62)
    axes.bar_label(bars, [_words(goal) for goal in goals], padding=4, fontsize=8)
    axes.axvline(1, color="#22252d", linewidth=1)
    axes.set_xscale("log")
    axes.margins(x=0.25)
    axes.set_xlabel("times the goal (1 = just met)")
    axes.set_title(title, loc="left", fontsize=9)
    axes.tick_params(axis="y", labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=130)
    plt.close(figure)


def _share(goal: Goal) -> float:
    return goal.measured / goal.bound if goal.at_least else goal.bound / goal.measured


def _words(goal: Goal) -> str:
    return f"{goal.measured:.3g} ({'≥' if goal.at_least else '≤'} {goal.bound:g})"
