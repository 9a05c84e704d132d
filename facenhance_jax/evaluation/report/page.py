"""The page: strips of frames first, then the worst clips, charts, all numbers, and what they were computed with."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from html import escape
from itertools import product
from statistics import fmean

from facenhance_jax import __version__
from facenhance_jax.evaluation import tables
from facenhance_jax.evaluation.report import charts, gallery, pictures, words
from facenhance_jax.evaluation.report.reading import Found, Row
from facenhance_jax.report.style import CSS

BY_EXPRESSION = ("psnr", "ssim", "face_psnr", "acd_i", "landmarks", "temporal")
BY_STEPS = ("psnr", "ssim", "fvd", "acd", "acd_i", "landmarks", "temporal", "seconds_per_frame")
NUMBERS = {  # a table each, so that all columns are in sight on a wide screen; other metrics join the last
    "Against the real frames": ("psnr", "ssim", "face_psnr", "face_ssim", "fvd", "fvd_half"),
    "Identity, flicker and colour": ("acd", "acd_i", "faceless", "temporal", "colour_shift", "background_drift"),
    "Expression and time": ("landmarks", "landmarks_mouth", "landmarks_brows", "seconds_per_frame"),
}
OF_WAYS = {"model": "model (SHA-256)", "seed": "seed", "shared_noise": "one noise for all frames", "resize": "resize"}
COLOURS = 6  # ways that a chart can tell apart
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"  # so the browser too lets nothing out or in
TITLE = "Enhanced clips beside the real ones"


def page(found: Found) -> str:
    """The whole page; the same folder gives the same text. A section that has nothing to show is left out."""
    most = pictures.scale(found.kept)
    sections = {
        "strips": ("Strips", gallery.strips(found, most)),
        "worst": ("The worst clips", gallery.worst(found, most)),
        "expressions": ("By expression", _expressions(found)),
        "steps": ("Steps against quality", _steps(found)),
        "numbers": ("All numbers", _numbers(found)),
        "published": ("Beside published numbers", _published(found)),
        "settings": ("Settings", _settings(found)),
    }
    there = [(key, title, body) for key, (title, body) in sections.items() if body]
    links = "".join(f'<li><a href="#{key}">{title}</a></li>' for key, title, _ in there)
    main = "\n".join(
        f'<section id="{key}" aria-labelledby="{key}-title"><h2 id="{key}-title">{title}</h2>\n{body}</section>'
        for key, title, body in there
    )
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        f"<title>{TITLE}</title>\n<style>{CSS}</style>\n</head>\n<body>\n"
        f'<header><h1>{TITLE}</h1>\n{_lede(found)}\n<nav aria-label="On this page"><ul>{links}</ul></nav></header>\n'
        f"<main>\n{main}\n</main>\n<footer>Written by facenhance_jax {__version__}.</footer>\n</body>\n</html>\n"
    )


def _lede(found: Found) -> str:
    way = f" The pictures are of: {words.label(found.shown)}." if found.shown and found.kept else ""
    lede = f"<p>{escape(words.what(found) + way)}</p>"
    if words.is_drawn(found):
        lede += '<p class="note">The people on this page are drawn by a program (synthetic). None of them exists.</p>'
    return lede


def _compared(found: Found) -> list[Row]:
    """One row of each way, the shown one first and the baselines last: with the shown number of steps, or the most."""
    there = {line.way for line in found.lines} - {"real"}
    steps = found.shown["steps"] if found.shown else None
    of: dict[str, Row] = {}
    for row in sorted(found.rows, key=lambda row: (row["steps"] == steps, row["steps"] or 0)):
        if row["key"] in there:
            of[row["way"]] = row
    return sorted(of.values(), key=lambda row: (row["steps"] is None, row is not found.shown, found.rows.index(row)))


def _legend(names: Mapping[int, str]) -> str:
    swatch = '<svg aria-hidden="true" viewBox="0 0 10 10"><rect class="way-{}" width="10" height="10"/></svg>'
    items = "".join(f"<li>{swatch.format(way)}{escape(name)}</li>" for way, name in names.items())
    return f'<ul class="legend">{items}</ul>'


def _chart(found: Found, name: str, drawing: str) -> str:
    unit = f'<span class="soft">{escape(words.metric(found, name)["unit"])}</span>'
    return f"<figure><figcaption><strong>{words.head(found, name)}</strong> {unit}</figcaption>{drawing}</figure>"


def _expressions(found: Found) -> str:
    """Bars of the mean over each expression's clips, and the same as a table."""
    ways = _compared(found)
    names = [name for name in BY_EXPRESSION if any(name in line.numbers for line in found.lines)]
    if not ways or not names:
        return ""
    means, drawn = _means(found), ""
    of = list(dict.fromkeys(line.expression for line in found.lines))
    models, baselines = ([row for row in ways if (row["steps"] is None) == kind] for kind in (False, True))
    charted = [*models[: COLOURS - len(baselines)], *baselines]
    for name in names:
        groups = {e or "none": [means.get((e, row["key"], name)) for row in charted] for e in of}
        about = words.metric(found, name)
        drawn += _chart(found, name, charts.bars(f"{about['label']} by expression", groups, about["digits"]))
    rows = []
    for expression, row in product(of, ways):
        cells = (_cell(found, name, means.get((expression, row["key"], name))) for name in names)
        rows.append([escape(f"{expression}, {words.label(row)}"), *cells])
    heads = ["Expression and way", *(words.head(found, name) for name in names)]
    table = words.table("Mean over the clips of each expression", heads, rows)
    more = f" The charts show {len(charted)} of {len(ways)} ways, the table all." if len(charted) < len(ways) else ""
    return (
        f"<p>Means over the clips of each expression.{more}</p>{_legend(dict(enumerate(map(words.label, charted))))}"
        f'<div class="charts">{drawn}</div><details><summary>The same as a table</summary>{table}</details>'
    )


def _means(found: Found) -> dict[tuple[str, str, str], float]:
    """{(expression, way's key, metric): mean over the clips that have a value}."""
    values: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    for line in found.lines:
        for name, value in line.numbers.items():
            values[line.expression, line.way, name].append(value)
    return {key: fmean(found) for key, found in values.items()}


def _steps(found: Found) -> str:
    """Lines of the metrics against the sampler's steps; "" unless some way was run with several."""
    names = list(dict.fromkeys(row["way"] for row in found.rows if row["steps"]))
    rows = {way: [row for row in found.rows if row["way"] == name] for way, name in enumerate(names)}
    rows = {way: found for way, found in rows.items() if len({row["steps"] for row in found}) > 1 and way < COLOURS}
    drawn = ""
    for name in BY_STEPS:
        ways = {way: [(row["steps"], row[name]) for row in runs if name in row] for way, runs in rows.items()}
        ways = {way: points for way, points in ways.items() if points}
        if ways:
            about = words.metric(found, name)
            drawing = charts.lines(f"{about['label']} against sampling steps", ways, about["digits"])
            drawn += _chart(found, name, drawing)
    if not drawn:
        return ""
    legend = _legend({way: names[way] for way in rows})
    return f'<p>Across: denoising steps a frame.</p>{legend}<div class="charts">{drawn}</div>'


def _cell(found: Found, name: str, value: float | None, beside: str = "") -> str:
    if value is None:
        return '<span aria-hidden="true">–</span><span class="hidden">none</span>'
    return words.number(found, name, value) + (f"<small>{beside}</small>" if beside else "")


def _numbers(found: Found) -> str:
    """Every row and metric; what the columns mean; what is absent, with the reasons."""
    known = [name for names in NUMBERS.values() for name in names]
    others = [name for name in found.results["metrics"] if name not in known]
    drawn = ""
    for caption, names in NUMBERS.items():
        wanted = [*names, *others] if caption == [*NUMBERS][-1] else names
        there = [name for name in wanted if any(name in row for row in found.rows)]
        if there:
            heads = ["Way", "n", *(words.head(found, name) for name in there)]
            rows = [_row(found, row, there) for row in found.rows]
            drawn += words.table(f"{caption}, over all clips", heads, rows)
    about = [words.metric(found, name) for name in (*known, *others) if any(name in row for row in found.rows)]
    meanings = "".join(f"<dt>{escape(m['label'])}</dt><dd>{escape(m['unit'])}</dd>" for m in about if m["unit"])
    return f'{drawn}{_protocol(found)}<h3>What the columns are</h3><dl class="meanings">{meanings}</dl>{_absent(found)}'


def _protocol(found: Found) -> str:
    """What FVD depends on beside the frames; "" where there is none."""
    if "fvd" not in found.results["extractors"]:
        return ""
    text = (
        f"FVD: {tables.fvd_protocol(found.results)}. It compares at equal n, frames and size only; the real clips' "
        "FVD/2 is the floor of the others'."
    )
    return f"<p>{escape(text)}</p>"


def _published(found: Found) -> str:
    """The paper's Table 2 with our rows; "" for a generator's clips, which it does not tell of."""
    if "generator" in found.results["settings"]:
        return ""
    heads = ["System", *tables.PAPER_HEADS[1:]]
    rows = [[escape(cell or "–") for cell in row] for row in tables.beside_published(found.results)]
    note = (
        "The rows marked as published are the FacEnhance paper's Table 2. They were measured on MUG, with other "
        "features for ACD and other numbers of clips: they do not compare with ours unless the data are MUG's."
    )
    return f"<p>{note}</p>{words.table('The paper’s Table 2, and these clips', heads, rows)}"


def _row(found: Found, row: Row, names: Sequence[str]) -> list[str]:
    partly = {name: f"{count} of {row['n']} clips" for name, count in row["clips"].items()}
    cells = [_cell(found, name, row.get(name), partly.get(name, "")) for name in names]
    return [escape(words.label(row)), str(row["n"]), *cells]


def _absent(found: Found) -> str:
    reasons = [f"{group}: {why}" for group, why in found.results["absent"].items()]
    reasons += [f"{words.label(row)}, {name}: {why}" for row in found.rows for name, why in row["absent"].items()]
    items = "".join(f"<li>{escape(reason)}</li>" for reason in reasons)
    return f"<h3>What is absent, and why</h3><ul>{items}</ul>" if items else ""


def _settings(found: Found) -> str:
    """What the numbers depend on: the clips, the extractors and the models, with their hashes."""
    results = found.results
    about = list(words.flat({**results["settings"], **results["extractors"]}))
    for field, title in OF_WAYS.items():
        values = {words.label(row): words.plain(row[field]) for row in found.rows if field in row}
        alike = len(values) > 1 and len(set(values.values())) == 1
        about += [(f"all, {title}", [*values.values()][0])] if alike else [(f"{w}, {title}", values[w]) for w in values]
    pairs = [[escape(name.replace("_", " ")), escape(str(value))] for name, value in about]
    return words.table("What the numbers depend on", [], pairs, "plain")
