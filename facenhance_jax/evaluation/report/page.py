"""What the template page.html puts into words: an evaluation's pictures, charts and tables."""

import io
from base64 import b64encode
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import matplotlib as mpl
from matplotlib.figure import Figure
from PIL import Image

from facenhance_jax import __version__
from facenhance_jax.evaluation import tables
from facenhance_jax.evaluation.report import charts
from facenhance_jax.evaluation.report.reading import ERROR_END, Kept
from facenhance_jax.settings import flat

BY_CLIP = (
    "psnr",
    "ssim",
    "face_psnr",
    "sharpness",
    "temporal",
    "acd_i",
    "landmarks",
    "acting_mouth",
)  # and by expression
BY_STEPS = (*tables.PAPER, "sharpness", "landmarks", "temporal", "seconds_per_frame")
SAMPLING = ("seed", "solver", "temperature", "shared_noise", "resize", "low_res", "model")


@mpl.rc_context(charts.STYLE)
def html(found: Mapping[str, Any], lines: Sequence[Mapping[str, Any]], clips: Sequence[Kept]) -> str:
    """The whole page, of what `reading.read` returns; the same folder gives the same text."""
    rows, metrics = found["rows"], found["metrics"]
    shown = next((row for row in rows if row["key"] in {kept.line["method"] for kept in clips}), rows[0])
    compared = [row for row in rows if row["steps"] in (shown["steps"], None) and row["key"] != "real"]
    made = [row for row in rows if row["steps"]]
    absent = {"not computed": found["absent"]}
    many = len({row["steps"] for row in made}) > 1
    loader = jinja2.FileSystemLoader(Path(__file__).parent)
    environment = jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True, undefined=jinja2.StrictUndefined)
    of_clips = {f"{kept.line['clip']}, {kept.why}": kept.line for kept in clips}
    return environment.get_template("page.html").render(
        results=found,
        notes=tables.notes(found),
        error_end=ERROR_END,
        shown=tables.label(shown),
        of_clips=tables.grid(metrics, of_clips | {"mean of all clips": shown}, BY_CLIP),
        strips=[(kept, _strip(kept)) for kept in clips],
        by_expression=[_chart(metrics, m, charts.by_expression(lines, compared, m)) for m in BY_CLIP if m in shown],
        by_steps=[_chart(metrics, m, charts.by_steps(made, m)) for m in BY_STEPS if many and m in shown],
        numbers=tables.all_numbers(found),
        published=[] if "generator" in found["settings"] else [tables.PAPER_HEADS, *tables.beside_published(found)],
        settings=[["facenhance_jax", __version__], *flat(found["settings"] | found["extractors"] | absent)],
        sampling=[["", *SAMPLING], *([tables.label(row), *map(row.get, SAMPLING)] for row in rows)],
    )


def _chart(metrics: Mapping[str, Any], metric: str, figure: Figure) -> tuple[str, str]:
    about = tables.about(metrics, metric)
    file = io.BytesIO()
    figure.savefig(file, format="svg", metadata={"Date": None})
    return f"{about['label']}, {about['best']} is good", _address("svg+xml", file)


def _strip(kept: Kept) -> list[tuple[str, str]]:
    halves = []
    for frames in filter(None, (kept.shown_frames[:4], kept.shown_frames[4:])):
        file = io.BytesIO()
        Image.fromarray(kept.strip(frames)).save(file, format="webp", quality=85)
        halves.append((f"frames {', '.join(str(frame + 1) for frame in frames)}", _address("webp", file)))
    return halves


def _address(kind: str, file: io.BytesIO) -> str:
    return f"data:image/{kind};base64,{b64encode(file.getvalue()).decode()}"
