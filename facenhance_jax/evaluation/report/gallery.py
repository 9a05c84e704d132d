"""The page's pictures as HTML: strips over time, and the worst clips at their worst frame."""

from html import escape
from statistics import fmean

from facenhance_jax.evaluation.report import pictures, words
from facenhance_jax.evaluation.report.reading import Found, Kept

BESIDE_A_STRIP = ("psnr", "ssim", "acd_i", "landmarks")


def strips(found: Found, most: int) -> str:
    """The first clip of each expression; "" where no frames were kept. `most`: where the error's colours end."""
    firsts = [kept for kept in found.kept if kept.is_first]
    if not firsts:
        return ""
    return (
        "<p>Frames from the first to the last: low-res as they went in, enhanced as they came out, the real ones, and "
        f"how far the last two are apart.</p>{_scale(most)}" + "".join(_clip(found, kept, most) for kept in firsts)
    )


def worst(found: Found, most: int) -> str:
    """The worst clip by each metric, at the frame that differs most from the real one; "" where none was kept."""
    bad = [kept for kept in found.kept if kept.worst]
    if not bad:
        return ""
    cards = "".join(_moment(found, kept, most) for kept in bad)
    more = "".join(_clip(found, kept, most) for kept in bad if not kept.is_first)
    return (
        "<p>Of all clips the worst by each metric, at the frame that differs most from the real one.</p>"
        f'<div class="cards">{cards}</div>{more}'
    )


def _scale(most: int) -> str:
    return (
        f'<p class="scale"><span>error 0</span>{_image(pictures.colours()[None], "black over red to pale yellow")}'
        f'<span>{most} grey levels or more <span class="soft">|enhanced − real|, mean over the colours</span></span>'
        "</p>"
    )


def _clip(found: Found, kept: Kept, most: int) -> str:
    """The photo with the clip's numbers, and its strip in halves, which a narrow page puts below one another."""
    line = found.line(kept)
    facts = "".join(
        f"<dt>{escape(words.metric(found, name)['label'])}</dt><dd>{words.number(found, name, line.numbers[name])}</dd>"
        for name in BESIDE_A_STRIP
        if name in line.numbers
    )
    shown, side = pictures.columns(len(kept.real)), kept.real.shape[1]
    rows = "".join(f"<li>{row}</li>" for row in pictures.ROWS)
    parts, start = "", 0
    halves = pictures.halves(kept, most)
    for half in halves:
        count = half.shape[1] // side
        frames = ", ".join(str(frame + 1) for frame in shown[start : start + count])
        alt = f"{kept.clip}: {', '.join(pictures.ROWS[:-1])} and {pictures.ROWS[-1]} of frames {frames}"
        parts += (
            f'<div class="half" style="--shown:{count};--part:{half.shape[1] / halves[0].shape[1]:g}">'
            f'<ol class="rows" aria-hidden="true">{rows}</ol>{_image(half, alt)}</div>'
        )
        start += count
    return (
        f'<figure class="clip" id="clip-{escape(kept.stem)}"><figcaption>{_image(kept.identity, "the photo")}'
        f'<h3>{escape(line.expression or kept.clip)}</h3><div class="soft">{_name(kept)}</div>'
        f'<dl class="facts">{facts}</dl></figcaption>'
        f'<div class="strip" style="--all:{len(shown)}">{parts}</div></figure>\n'
    )


def _moment(found: Found, kept: Kept, most: int) -> str:
    line, frame = found.line(kept), pictures.worst_frame(kept) + 1
    said = ""
    for name in (name for name in kept.worst if name in line.numbers):
        mean = fmean(other.numbers[name] for other in found.lines if other.way == kept.key and name in other.numbers)
        said += (
            f"<li>{escape(words.metric(found, name)['label'])} {words.number(found, name, line.numbers[name])} "
            f'<span class="soft">(mean of all {words.number(found, name, mean)})</span></li>'
        )
    rows = "".join(f"<li>{row}</li>" for row in pictures.ROWS)
    alt = f"{kept.clip}, frame {frame}: {', '.join(pictures.ROWS[:-1])} and {pictures.ROWS[-1]}"
    return (
        f'<figure class="moment">{_image(pictures.moment(kept, most), alt)}<ol aria-hidden="true">{rows}</ol>'
        f'<figcaption><h3><a href="#clip-{escape(kept.stem)}">{_name(kept)}</a>, frame {frame}</h3>'
        f"<ul>{said}</ul></figcaption></figure>\n"
    )


def _name(kept: Kept) -> str:
    """The clip's name, which may go on in the next line after a slash."""
    return escape(kept.clip).replace("/", "/<wbr>")


def _image(pixels: pictures.Picture, alt: str) -> str:
    height, width, _ = pixels.shape
    return f'<img width="{width}" height="{height}" alt="{escape(alt)}" src="{pictures.data_uri(pixels)}">'
