"""What an evaluation's rows, metrics and settings are called on the page, as text and as tables."""

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from facenhance_jax.evaluation.report.reading import Found, Row

SECONDS = {"label": "s a frame", "unit": "seconds to make a frame, compiling not counted", "best": "low", "digits": 3}
SAYS = {"high": ("↑", "higher is better"), "low": ("↓", "lower is better")}


def metric(found: Found, name: str) -> Mapping[str, Any]:
    """label, unit, best, digits; also of seconds_per_frame, and of a metric that results.json does not describe."""
    plain = {"label": name, "unit": "", "best": "", "digits": 3}
    return SECONDS if name == "seconds_per_frame" else found.results["metrics"].get(name, plain)


def label(row: Row) -> str:
    """For example "enhanced, 8 steps"."""
    return row["way"] if row["steps"] is None else f"{row['way']}, {row['steps']} step{'s' * (row['steps'] != 1)}"


def number(found: Found, name: str, value: float) -> str:
    return f"{value:.{metric(found, name)['digits']}f}"


def is_drawn(found: Found) -> bool:
    return found.results["settings"]["drawn"]


def what(found: Found) -> str:
    """What was evaluated, in one sentence."""
    settings = found.results["settings"]
    side, count = settings["size"], settings["n"]
    data = Path(settings["data"]).name if Path(settings["data"]).is_absolute() else settings["data"]
    return f"{count} clip{'s' * (count != 1)} of {settings['frames']} frames, {side} × {side}: {data}."


def flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """("fvd, frames", "32") and so on, from objects within objects."""
    for name, value in values.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{name}, ")
        else:
            yield prefix + name, plain(value)


def plain(value: Any) -> str:
    """A setting's value for a person."""
    if isinstance(value, bool):
        return ("no", "yes")[value]
    return "none" if value is None else str(value)


def head(found: Found, name: str) -> str:
    """A metric's name for the head of a column, with an arrow towards the better side."""
    about = metric(found, name)
    if about["best"] not in SAYS:
        return escape(about["label"])
    arrow, meaning = SAYS[about["best"]]
    return f'{escape(about["label"])} <span aria-hidden="true">{arrow}</span><span class="hidden"> ({meaning})</span>'


def table(caption: str, heads: Sequence[str], rows: Sequence[Sequence[str]], kind: str = "") -> str:
    """A table in a box of its own that scrolls; `heads` and `rows` are HTML, a row's first cell is its heading."""
    top = "".join(f'<th scope="col">{cell}</th>' for cell in heads)
    body = "".join(
        f'<tr><th scope="row">{first}</th>{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>'
        for first, *cells in rows
    )
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{escape(caption)}"><table class="{kind}">'
        f"<caption>{escape(caption)}</caption>{f'<thead><tr>{top}</tr></thead>' if heads else ''}"
        f"<tbody>{body}</tbody></table></div>"
    )
