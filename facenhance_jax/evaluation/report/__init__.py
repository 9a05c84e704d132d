"""An evaluation as one page with everything in it, and as PNG pictures."""

from pathlib import Path

import numpy as np

from facenhance_jax.evaluation.report.page import Page
from facenhance_jax.evaluation.report.pictures import VIEWS, Kept
from facenhance_jax.evaluation.report.reading import read
from facenhance_jax.media import check_output, strip, write_png
from facenhance_jax.media.writing import replacing
from facenhance_jax.messages import InputError


def write(folder: Path | str, output: Path | str | None = None) -> tuple[Path, Path, int]:
    """Reads an evaluation's folder; writes the page `output` (default: report.html in it) and a folder of pictures.

    That folder, report-pictures for report.html, gets strip-NNNN.png (the photo, and the low-res, enhanced, real and
    error pictures of at most eight frames) and worst-NNNN.png (these four of the frame that differs most). Returns both
    paths and the number of pictures. Raises InputError where the folder is not whole, or nothing can be written.
    """
    output = Path(output) if output else Path(folder) / "report.html"
    page = Page(*read(folder))
    check_output(output, (".html", ".htm"))
    album = output.with_name(f"{output.stem}-pictures")
    others = {*album.glob("*")} - {*album.glob("strip-*.png"), *album.glob("worst-*.png")}
    if others or album.is_file():
        raise InputError(f"{album}: is in the way of the pictures; move it, or give the page another name")
    text = page.html()
    try:
        with replacing(output) as file, replacing(album) as part:  # both are whole before either is in place
            part.mkdir()
            for kept in page.clips:
                _write_pictures(part, kept, page.error_end)
            count = len(list(part.iterdir()))
            file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{output}: could not be written ({error.strerror}); choose another place") from error
    return output, album, count


def _write_pictures(folder: Path, kept: Kept, most: int) -> None:
    columns = [kept.views(frame, most) for frame in kept.shown_frames]
    rows = zip((*VIEWS[:-1], f"error 0-{most}"), map(list, zip(*columns, strict=True)), strict=True)
    write_png(folder / f"strip-{kept.stem}.png", strip([("photo", [kept.identity]), *rows]))
    if kept.worst:
        write_png(folder / f"worst-{kept.stem}.png", np.concatenate(kept.views(kept.worst_frame, most), axis=1))
