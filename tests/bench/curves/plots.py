"""Draws a curve as SVG, without anything in it that changes from day to day."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

mpl.rcParams["svg.hashsalt"] = "tidemark"


def draw(file: Path, title: str, x: str, y: str, points: Sequence[dict[str, Any]], of: str, *, log: bool) -> None:
    """Draw `points[…][of]` against `points[…]["x"]`, each with its label."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    across, up = [point["x"] for point in points], [point[of] for point in points]
    axes.plot(across, up, marker="o", color="#1f6f8b")
    for point, here, there in zip(points, across, up, strict=True):
        axes.annotate(point["label"], (here, there), xytext=(4, 6), textcoords="offset points", fontsize=8)
    if log:
        axes.set_xscale("log")
    axes.set_ylim(bottom=0, top=max(up) * 1.2)
    axes.set_title(title)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.grid(visible=True, alpha=0.3)
    figure.savefig(file, metadata={"Date": None})
