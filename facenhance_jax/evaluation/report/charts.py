"""Charts of lines of clips.csv or rows of results.json."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from facenhance_jax.evaluation import tables

STYLE = {  # while they are drawn and saved
    "svg.fonttype": "none",  # letters as text, which is small
    "svg.hashsalt": "report",  # else the ids differ from run to run
    "text.parse_math": False,
}


def by_expression(lines: Sequence[Mapping[str, Any]], rows: Sequence[Mapping[str, Any]], metric: str) -> Figure:
    """Bars from zero for the methods of the rows: means over the clips of each expression that have a number."""
    values = {(line["expression"], row["key"]): [] for line in lines for row in rows}
    for line in lines:
        if metric in line and line["method"] in {key for _, key in values}:
            values[line["expression"], line["method"]].append(line[metric])
    expressions = [*dict.fromkeys(line["expression"] for line in lines)]
    figure = Figure((3.6, 0.3 + len(rows) * (0.2 + 0.18 * len(expressions))), layout="constrained")
    axes = figure.subplots()
    means = {tables.label(row): [np.mean(values[of, row["key"]] or np.nan) for of in expressions] for row in rows}
    for bars in axes.grouped_bar(means, tick_labels=expressions, orientation="horizontal").bar_containers:
        axes.bar_label(bars, fmt="%.4g", padding=3, fontsize=7)
    axes.invert_yaxis()
    axes.margins(x=0.2)
    figure.legend(loc="outside upper left")
    return figure


def by_steps(rows: Sequence[Mapping[str, Any]], metric: str) -> Figure:
    """A line for each method against the number of denoising steps, by its logarithm."""
    figure = Figure((3.6, 2.5), layout="constrained")
    axes = figure.subplots()
    for name in dict.fromkeys(row["method"] for row in rows):
        points = sorted((row["steps"], row[metric]) for row in rows if row["method"] == name and metric in row)
        axes.plot(*zip(*points, strict=True), marker="o", label=name)
    steps = sorted({row["steps"] for row in rows})
    axes.set_xscale("log")
    axes.set_xticks(steps, map(str, steps))
    axes.minorticks_off()
    figure.legend(loc="outside upper left")
    return figure
