"""What the template page.html puts into words: an evaluation's pictures, charts and tables."""

import io
from base64 import b64encode
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from jaxtyping import UInt8
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image

from facenhance_jax import __version__
from facenhance_jax.evaluation import tables
from facenhance_jax.evaluation.report import charts
from facenhance_jax.evaluation.report.pictures import VIEWS, Kept, error_scale
from facenhance_jax.evaluation.report.reading import Line

BY_CLIP = ("psnr", "ssim", "face_psnr", "temporal", "acd_i", "landmarks")  # and by expression
BY_STEPS = (*tables.PAPER, "landmarks", "temporal", "seconds_per_frame")
CAPTIONS = ("Against the real frames", "Identity, flicker and colour", "Expression and time")  # of tables.BLOCKS
DEPENDS = {"seed": "seed", "shared_noise": "one noise for all frames", "resize": "resize", "model": "model (SHA-256)"}
SECONDS = {"label": "s a frame", "unit": "seconds, compiling not counted", "best": "low", "digits": 3}
Table = tuple[str, Sequence[str], Sequence[Sequence[str]]]  # caption, heads, rows


class Page:
    """An evaluation (see `reading.read`) as the template asks for it."""

    def __init__(self, results: Mapping[str, Any], lines: Sequence[Line], clips: Sequence[Kept]):
        self.results, self.lines, self.clips, self.rows = results, lines, clips, results["rows"]
        keys = [kept.line["method"] for kept in clips[:1]]
        self.shown = next((row for row in self.rows if row["key"] in keys), None)  # what the pictures are of
        self.metrics = results["metrics"] | {"seconds_per_frame": SECONDS}
        self.error_end = error_scale(clips)
        self.compared = self._compared()
        self._names: dict[str, str] = {}  # of the pictures on the page, by address

    def html(self) -> str:
        """The whole page; the same folder gives the same text."""
        options = {"autoescape": True, "undefined": StrictUndefined, "trim_blocks": True, "lstrip_blocks": True}
        environment = Environment(loader=FileSystemLoader(Path(__file__).parent), **options)
        environment.filters["label"] = tables.label
        names = {"page": self, "views": VIEWS, "by_clip": BY_CLIP, "tables": tables, "colours": charts.COLOURS}
        return environment.get_template("page.html").render(names, version=__version__)

    def _compared(self) -> list[Mapping[str, Any]]:
        """A row of each method, with the shown number of steps or else its most; the baselines last."""
        steps = self.shown and self.shown["steps"]
        order = sorted(self.rows, key=lambda row: (row["steps"] is None, row["steps"] == steps, row["steps"]))
        return [row for row in {row["method"]: row for row in order}.values() if row["key"] != "real"]

    def head(self, metric: str) -> str:
        """A metric's name, with an arrow towards its better side."""
        about = self.metrics[metric]
        return f"{about['label']} {'↑' if about['best'] == 'high' else '↓'}"

    def number(self, metric: str, numbers: Mapping[str, Any]) -> str:
        """A metric's number in a row or line, and how many clips have one where not all do."""
        if metric not in numbers:
            return "–"
        count = numbers.get("clips", {}).get(metric)
        partly = f"\n{count} of {numbers['n']} clips" if count else ""
        return f"{numbers[metric]:.{self.metrics[metric]['digits']}f}{partly}"

    def picture(self, pixels: UInt8[np.ndarray, "h w 3"], alt: str) -> Markup:
        """An <svg> of the picture, which is embedded (as WebP) only where it is the first time on the page."""
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, format="webp", quality=85)
        address, (height, width, _) = _address("webp", file.getvalue()), pixels.shape
        inner = '<use href="#{0}"/>' if address in self._names else '<image id="{0}" href="{1}"/>'
        name = self._names.setdefault(address, f"picture-{len(self._names)}")
        outer = f'<svg role="img" aria-label="{{2}}" viewBox="0 0 {width} {height}">{inner}</svg>'
        return Markup(outer).format(name, address, alt)

    def strip(self, kept: Kept) -> list[tuple[Kept, int]]:
        """A clip with each of its shown frames."""
        return [(kept, frame) for frame in kept.shown_frames]

    def worst(self) -> list[tuple[Kept, int]]:
        """The worst clips, each with its worst frame."""
        return [(kept, kept.worst_frame) for kept in self.clips if kept.worst]

    def column(self, kept: Kept, frame: int) -> Markup:
        """The views of a frame, one below the other."""
        alt = f"{kept.line['clip']}, frame {frame + 1}: {', '.join(VIEWS)}"
        return self.picture(np.concatenate(kept.views(frame, self.error_end)), alt)

    def by_expression(self) -> tuple[dict[str, str], Table]:
        """Means over the clips of each expression: charts by metric, and the same as a table."""
        expressions = dict.fromkeys(line["expression"] for line in self.lines)
        means = {of: [self._means(of, row["key"]) for row in self.compared] for of in expressions}
        drawn, rows = {}, {}
        for metric in BY_CLIP:
            groups = {of: [numbers.get(metric) for numbers in each] for of, each in means.items()}
            if any(value is not None for values in groups.values() for value in values):
                drawn[metric] = _address("svg+xml", charts.bars(groups, self.metrics[metric]["digits"]))
        for of, each in means.items():
            rows |= {f"{of}, {tables.label(row)}": numbers for row, numbers in zip(self.compared, each, strict=True)}
        return drawn, self._table("Mean over the clips of each expression", rows, BY_CLIP)

    def _means(self, expression: str, method: str) -> dict[str, float]:
        """The mean of each metric over the clips that have it."""
        lines = [line for line in self.lines if (line["expression"], line["method"]) == (expression, method)]
        values = {metric: [line[metric] for line in lines if metric in line] for metric in self.metrics}
        return {metric: fmean(found) for metric, found in values.items() if found}

    def by_steps(self) -> dict[str, str]:
        """Charts by metric, of the methods that were run with several numbers of steps."""
        drawn = {}
        for metric in BY_STEPS:
            methods = {}
            for index, name in enumerate(row["method"] for row in self.compared):
                points = {row["steps"]: row[metric] for row in self.rows if row["method"] == name and metric in row}
                methods |= {index: points} if len(points) > 1 else {}
            if methods:
                drawn[metric] = _address("svg+xml", charts.lines(methods))
        return drawn

    def numbers(self) -> list[Table]:
        """All metrics of all rows."""
        rows = {tables.label(row): row for row in self.rows}
        return [
            self._table(f"{caption}, over all clips", rows, block)
            for caption, block in zip(CAPTIONS, tables.BLOCKS, strict=True)
        ]

    def _table(self, caption: str, rows: Mapping[str, Mapping[str, Any]], metrics: Sequence[str]) -> Table:
        """A column for each of the metrics that a row has."""
        present = [metric for metric in metrics if any(metric in numbers for numbers in rows.values())]
        cells = [[name, *(self.number(metric, numbers) for metric in present)] for name, numbers in rows.items()]
        return caption, ["Method", *map(self.head, present)], cells

    def settings(self) -> list[Table]:
        """What the numbers depend on: the clips and extractors, and what each method used."""
        pairs = list(self.results["settings"].items())
        for group, about in self.results["extractors"].items():
            pairs += [(f"{group}, {name}", value) for name, value in about.items()]
        fields = [field for field in DEPENDS if any(field in row for row in self.rows)]
        rows = [[tables.label(row), *(_plain(row.get(field, "–")) for field in fields)] for row in self.rows]
        return [
            ("Clips and extractors", [], [[name.replace("_", " "), _plain(value)] for name, value in pairs]),
            ("Methods", ["Method", *(DEPENDS[field] for field in fields)], rows),
        ]


def _plain(value: Any) -> str:
    return ("no", "yes")[value] if isinstance(value, bool) else str(value)


def _address(kind: str, content: bytes) -> str:
    return f"data:image/{kind};base64,{b64encode(content).decode()}"
