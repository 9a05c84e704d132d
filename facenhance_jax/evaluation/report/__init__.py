"""An evaluation as something to look at: a page that needs nothing beside itself, and its pictures as PNG files."""

from pathlib import Path

import numpy as np

from facenhance_jax.evaluation.report import pictures
from facenhance_jax.evaluation.report.page import page
from facenhance_jax.evaluation.report.reading import Kept, read
from facenhance_jax.media import check_output, strip
from facenhance_jax.media.writing import replacing
from facenhance_jax.messages import InputError

PATTERNS = ("strip-*.png", "worst-*.png")  # what an earlier report left in the folder of pictures


def write(folder: Path | str, output: Path | str | None = None) -> tuple[Path, Path, int]:
    """Reads an evaluation's folder; writes `output` (default: report.html in it) and, beside that, its pictures.

    These go into report-pictures/ (for report.html): strip-NNNN.png, photo, low-res, enhanced, real and error of at
    most eight frames, and worst-NNNN.png, the last four of the frame that differs most. Returns both places and how
    many pictures there are. Raises InputError where the folder is not whole, or nothing can be written.
    """
    place = Path(output) if output else Path(folder) / "report.html"
    found = read(folder)
    check_output(place, (".html", ".htm"))
    beside = _beside(place)
    text, most = page(found), pictures.scale(found.kept)
    try:
        with replacing(place) as file, replacing(beside) as part:  # both are whole before either is in its place
            part.mkdir()
            for kept in found.kept:
                (part / f"strip-{kept.stem}.png").write_bytes(pictures.png(_strip(kept, most)))
                if kept.worst:
                    (part / f"worst-{kept.stem}.png").write_bytes(pictures.png(pictures.moment(kept, most)))
            count = len(list(part.iterdir()))
            file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{place}: could not be written ({error.strerror}); choose another place") from error
    return place, beside, count


def _beside(place: Path) -> Path:
    """The folder of pictures. Raises InputError where that name is taken by something else than an earlier report's."""
    beside = place.with_name(f"{place.stem}-pictures")
    if beside.exists():
        known = {file for pattern in PATTERNS for file in beside.glob(pattern)}
        if not beside.is_dir() or set(beside.iterdir()) - known:
            raise InputError(f"{beside}: is in the way of the pictures; move it, or give the page another name")
    return beside


def _strip(kept: Kept, most: int) -> np.ndarray:
    shown = pictures.columns(len(kept.real))
    labels = [*pictures.ROWS[:-1], f"{pictures.ROWS[-1]} 0-{most}"]
    rows = zip(labels, map(list, pictures.rows(kept, shown, most)), strict=True)
    return strip([("photo", [kept.identity]), *rows])
