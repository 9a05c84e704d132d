"""Charts as SVG."""

import io
from collections.abc import Mapping, Sequence

import matplotlib as mpl
from matplotlib.figure import Figure

COLOURS = ("#2368a8", "#b0812a", "#7b828d", "#3f8f6d", "#a2527a", "#6a5bb0", "#c2543a", "#1d8291")  # of methods
WIDTH = 3.6  # inches, about those of a phone, so that the letters keep their size there
STYLE = {
    "svg.fonttype": "none",  # letters as text, which is small
    "svg.hashsalt": "report",  # else the ids differ from run to run
    "text.parse_math": False,
    "font.size": 8.5,
    "axes.formatter.useoffset": False,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.edgecolor": "#5b616b",
    "grid.color": "#dedbd5",
}


@mpl.rc_context(STYLE)
def bars(groups: Mapping[str, Sequence[float | None]], digits: int) -> bytes:
    """Horizontal bars from zero: {group: a value of each method, None where there is none}."""
    methods = [*zip(*groups.values(), strict=True)]
    figure = Figure((WIDTH, 0.2 + len(groups) * (0.16 * len(methods) + 0.1)), layout="constrained")
    axes = figure.subplots()
    heights = [[value or 0 for value in values] for values in methods]
    options = {"group_spacing": 0.7, "bar_spacing": 0.15, "orientation": "horizontal"}
    drawn = axes.grouped_bar(heights, tick_labels=[*groups], colors=COLOURS, **options)
    for bar, values in zip(drawn.bar_containers, methods, strict=True):
        labels = ["none" if value is None else f"{value:.{digits}f}" for value in values]
        axes.bar_label(bar, labels, padding=3, fontsize=7.5)
    axes.set_xticks([])
    axes.spines.bottom.set_visible(False)
    axes.invert_yaxis()
    axes.margins(x=0.18, y=0.01)
    return _svg(figure)


@mpl.rc_context(STYLE)
def lines(methods: Mapping[int, Mapping[int, float]]) -> bytes:
    """{method's index: {sampling steps: value}}; values that span more than a factor of 50 by their logarithm."""
    figure = Figure((WIDTH, 2.1), layout="constrained")
    axes = figure.subplots()
    for index, points in methods.items():
        axes.plot(*zip(*sorted(points.items()), strict=True), color=COLOURS[index % 8], marker="o", markersize=4.5)
    values = [value for points in methods.values() for value in points.values()]
    axes.set_xscale("log")
    if 0 < 50 * min(values) < max(values):
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:g}")
    axes.minorticks_off()
    steps = sorted({count for points in methods.values() for count in points})
    axes.set_xticks(steps, map(str, steps))
    axes.grid(axis="y")
    return _svg(figure)


def _svg(figure: Figure) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    return file.getvalue()
