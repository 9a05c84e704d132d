"""Tables of an evaluation's results (see `results`): for a terminal, and as Markdown with the paper's numbers."""

from collections.abc import Mapping, Sequence
from typing import Any

BLOCKS = (
    ("psnr", "ssim", "face_psnr", "face_ssim", "fvd", "fvd_half"),
    ("acd", "acd_i", "acd_real", "faceless", "temporal", "colour_shift", "background_drift"),
    ("landmarks", "landmarks_mouth", "landmarks_brows", "acting_mouth", "acting_brows", "sharpness")
    + ("seconds_per_frame",),
)
PAPER = ("fvd", "psnr", "ssim", "acd", "acd_i")  # the paper's columns
PAPER_HEADS = ["", "frames x size", "data", "FVD", "PSNR", "SSIM", "ACD", "ACD-I"]
SECONDS = {"label": "s a frame", "unit": "seconds, compiling not counted", "best": "low", "digits": 3}
Published = tuple[str, ...]  # as the paper prints them, in the order of `PAPER`; "" where there is none

# Published numbers on MUG's test set, copied from the paper, not measured here.
TABLE1: dict[str, tuple[str, Published, Published]] = {  # {layout: the system's name, before, after}
    "videogan": ("VideoGAN", ("712.55", "22.30", ".83", ".09", ".73"), ("91.31", "30.88", ".94", ".01", ".09")),
    "imaginator": ("ImaGINator", ("2205.26", "20.29", ".85", ".08", ".29"), ("111.99", "30.27", ".93", ".01", ".05")),
    "motiongan": ("MotionGAN", ("654.98", "23.96", ".89", ".011", ".29"), ("167.01", "31.08", ".95", ".010", ".11")),
    "fevgan": ("FEV-GAN", ("452.46", "24.02", ".88", ".09", ".23"), ("85.74", "31.08", ".93", ".01", ".09")),
}
TABLE2: tuple[tuple[str, str, Published], ...] = (  # system, clips, numbers
    ("ImaGINator", "32 x 192", ("415.53", "22.32", ".88", ".08", ".17")),
    ("VDM", "16 x 64", ("108.02", "", "", "", "")),
    ("LDM", "40 x 128", ("126.28", "", "", "", "")),
    ("LFDM", "40 x 128", ("117.24", "22.94", ".79", ".04", ".20")),
    ("FacEnhance", "32 x 192", ("95.38", "30.88", ".94", ".01", ".07")),
)
TABLE3: tuple[tuple[str, Published], ...] = (
    ("without E_exp", ("110.13", "30.97", ".93", ".01", ".08")),
    ("without the previous frame", ("126.60", "31.55", ".94", ".01", ".06")),
    ("without noise on it", ("721.03", "22.35", ".72", ".01", ".10")),
    ("full", ("95.38", "30.88", ".94", ".01", ".07")),
)


def label(row: Mapping[str, Any]) -> str:
    """The name of a row of results.json, such as "enhanced, 8 steps"."""
    steps = row["steps"]
    return row["method"] if steps is None else f"{row['method']}, {steps} step{'s' * (steps > 1)}"


def about(metrics: Mapping[str, Mapping[str, Any]], name: str) -> Mapping[str, Any]:
    """A metric's label, unit, better side and digits; `metrics` as in results.json, which has none for the seconds."""
    return SECONDS if name == "seconds_per_frame" else metrics[name]


def cells(metrics: Mapping[str, Mapping[str, Any]], row: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    """A row's numbers for these metrics; "-" where it has none."""
    return [f"{row[name]:.{about(metrics, name)['digits']}f}" if name in row else "-" for name in names]


def text(results: Mapping[str, Any]) -> str:
    """All numbers, for a terminal; "-" where a number is missing, and the reasons at the end."""
    rows, metrics = results["rows"], results["metrics"]
    chosen = ([name for name in block if any(name in row for row in rows)] for block in BLOCKS)
    blocks = [aligned(rows, names, metrics) + "\n" for names in chosen if names]
    return "\n".join([*blocks, *notes(results)])


def aligned(rows: Sequence[Mapping[str, Any]], names: Sequence[str], metrics: Mapping[str, Mapping[str, Any]]) -> str:
    """A table for a terminal with a column for each name; `rows` and `metrics` as in results.json."""
    width = max(len(label(row)) for row in rows)
    lines = [" " * width + "".join(f"{about(metrics, name)['label']:>12}" for name in names)]
    for row in rows:
        lines.append(f"{label(row):{width}}" + "".join(f"{cell:>12}" for cell in cells(metrics, row, names)))
    return "\n".join(lines)


def notes(results: Mapping[str, Any]) -> list[str]:
    """What the numbers were measured on, and why some are missing."""
    settings = results["settings"]
    size = f"{settings['size']} x {settings['size']}"
    frames = f"{settings['frames']} frame{'s' * (settings['frames'] > 1)}"
    lines = [f"{settings['n']} clips of {frames}, {size}: {settings['data']}."]
    if "generator" in settings:
        lines.append(f"Low-res frames: {settings['generator']}.")
    if "fvd" in results["extractors"]:
        lines.append(
            f"FVD: {fvd_protocol(results)}. FVD/2: one half of the clips compared with the real clips of the other "
            'half; the row "real" has its floor. Compare FVD only at equal n, frames and size.'
        )
    if "acd" in results["extractors"]:
        lines.append(f"ACD, ACD-I: {results['extractors']['acd']['extractor']}.")
    lines += filter(None, [scoring(results)])
    lines += [f"{group} not computed: {why}." for group, why in results["absent"].items() if why != "not asked for"]
    said: dict[str, list[str]] = {}
    for row in results["rows"]:
        few = [f"{name} in {count} of {row['n']} clips." for name, count in row["clips"].items()]
        for text in few + [f"no {name} in some or all: {why}." for name, why in row["absent"].items()]:
            said.setdefault(text, []).append(label(row))
    made = len(results["rows"]) - 1  # without the row "real"
    lines += [f"{'all' if len(of) == made > 1 else '; '.join(of)}: {text}" for text, of in said.items()]
    return lines


def fvd_protocol(results: Mapping[str, Any]) -> str:
    """What FVD was computed on, for example "n 26, 40 frames, 128 x 128, stride 1"."""
    fvd = results["extractors"]["fvd"]
    size, count = fvd["size"], results["settings"]["n"]
    return f"n {count}, {fvd['frames']} frames, {size} x {size}, stride {fvd['stride']}"


def scoring(results: Mapping[str, Any]) -> str:
    """How long scoring a clip and its real frames takes, relative to enhancing it; "" if that was not timed."""
    made = next((row for row in results["rows"] if row["steps"]), {})
    real = next((row for row in results["rows"] if row["key"] == "real"), {})
    of_real = real.get("scoring", {})
    groups = {name: seconds + of_real.get(name, 0) for name, seconds in made.get("scoring", {}).items()}
    if not groups or not made["seconds_per_frame"]:
        return ""
    each = ", ".join(f"{name} {seconds:.3f}" for name, seconds in groups.items())
    share = sum(groups.values()) / made["seconds_per_frame"]
    return f"Scoring took {share:.2f} of the time of {label(made)}; seconds a frame: {each}."


def everything(results: Mapping[str, Any]) -> str:
    """All numbers of all methods, as Markdown."""
    heads, *rows = all_numbers(results)
    return _markdown(heads, rows)


def all_numbers(results: Mapping[str, Any]) -> list[list[str]]:
    """The rows of the table of everything, the labels first."""
    names = [name for block in BLOCKS for name in block]
    return grid(results["metrics"], {label(row): row for row in results["rows"]}, names)


def grid(
    metrics: Mapping[str, Mapping[str, Any]], rows: Mapping[str, Mapping[str, Any]], names: Sequence[str]
) -> list[list[str]]:
    """The labels of those metrics that any row has, then each row's name and numbers."""
    names = [name for name in names if any(name in row for row in rows.values())]
    heads = ["", *(about(metrics, name)["label"] for name in names)]
    return [heads, *([first, *cells(metrics, row, names)] for first, row in rows.items())]


def before_after(before: Mapping[str, Any], after: Mapping[str, Any], layout: str) -> str:
    """Table 1: a generator's frames before and after enhancement, with the paper's numbers for that system.

    `before` is an evaluation of `clip_sets.Before`.
    """
    rows = []
    if layout in TABLE1:
        system, *published = TABLE1[layout]
        for when, clips, numbers in zip(("before", "after"), ("32 x 64", "32 x 192"), published, strict=True):
            rows.append([f"{system}, {when}", clips, "MUG, published", *numbers])
    settings = after["settings"]
    for results, when in ((before, "before"), (after, "after")):
        for row in results["rows"]:
            if row["key"] == "upsampled" if results is before else row["steps"]:
                steps = f", {row['steps']} steps" if row["steps"] else ""
                clips = f"{_clips(results, row)}{', enlarged from 64' if results is before else ''}"
                first = [f"{layout}, {when}{steps}", clips, f"{settings['data']}, ours"]
                rows.append([*first, *cells(results["metrics"], row, PAPER)])
    return _markdown(PAPER_HEADS, rows)


def against_published(results: Mapping[str, Any]) -> str:
    """Table 2: the paper's numbers, on MUG, and ours."""
    return _markdown(PAPER_HEADS, beside_published(results))


def beside_published(results: Mapping[str, Any]) -> list[list[str]]:
    """The rows of Table 2; the columns are `PAPER_HEADS`."""
    return _with_ours([[name, clips, "MUG, published", *numbers] for name, clips, numbers in TABLE2], results)


def ablations(results: Mapping[str, Any]) -> str:
    """Table 3: the paper's numbers, on MUG, and ours."""
    published = [[name, "32 x 192", "MUG, published", *numbers] for name, numbers in TABLE3]
    return _markdown(PAPER_HEADS, _with_ours(published, results))


def _with_ours(published: list[list[str]], results: Mapping[str, Any]) -> list[list[str]]:
    rows = list(published)
    for row in results["rows"]:
        first = [label(row), _clips(results, row), f"{results['settings']['data']}, ours"]
        rows.append([*first, *cells(results["metrics"], row, PAPER)])
    return rows


def _clips(results: Mapping[str, Any], row: Mapping[str, Any]) -> str:
    settings, compared = results["settings"], results["extractors"].get("fvd")
    text = f"{settings['frames']} x {settings['size']}, n {row['n']}"
    if compared and (compared["frames"], compared["size"]) != (settings["frames"], settings["size"]):
        text += f", FVD of {compared['frames']} x {compared['size']}"
    return text


def _markdown(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---", *["---:"] * (len(heads) - 1)], *rows]
    return "\n".join("| " + " | ".join(cell or " " for cell in line) + " |" for line in lines) + "\n"
