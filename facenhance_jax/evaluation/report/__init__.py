"""An evaluation as one page with everything in it, and its strips of frames as exact PNG pictures."""

from pathlib import Path

from facenhance_jax.evaluation.report.page import html
from facenhance_jax.evaluation.report.reading import read
from facenhance_jax.media import check_output, write_png
from facenhance_jax.media.writing import replacing
from facenhance_jax.messages import InputError


def write(folder: Path | str, output: Path | str | None = None) -> tuple[Path, Path, int]:
    """Reads an evaluation's folder; writes the page `output` (default: report.html in it) and a folder of pictures.

    That folder, report-pictures for report.html, gets the strip of each kept clip as strip-NNNN.png. Returns both paths
    and the number of pictures. Raises InputError where the folder is not whole, or nothing can be written.
    """
    output = Path(output or Path(folder) / "report.html")
    results, lines, clips = read(Path(folder))
    check_output(output, (".html", ".htm"))
    album = output.with_name(f"{output.stem}-pictures")
    if album.is_file() or {*album.glob("*")} - {*album.glob("strip-*.png")}:
        raise InputError(f"{album}: is in the way of the pictures; move it, or give the page another name")
    text = html(results, lines, clips)
    try:
        with replacing(output) as file, replacing(album) as part:  # both are whole before either is in place
            part.mkdir()
            for kept in clips:
                write_png(part / f"strip-{kept.stem}.png", kept.strip(kept.shown_frames))
            file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{output}: could not be written ({error.strerror}); choose another place") from error
    return output, album, len(clips)
