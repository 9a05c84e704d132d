"""Charts as inline SVG. Colours and letters come from the page's style: classes way-0, way-1, ..."""

import math
from collections.abc import Mapping, Sequence
from html import escape

WIDTH = 360  # units; a unit is at least 0.8 pixels on a phone, so letters of 12 stay readable
LETTERS_LEFT, LETTERS_RIGHT = 80, 52  # room beside bars: their names, their values
BAR, GAP = 11, 9  # a bar's height, and the space between groups
HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 200, 52, 14, 12, 26  # of a line chart, and its margins

Points = Sequence[tuple[float, float]]


def bars(title: str, groups: Mapping[str, Sequence[float | None]], digits: int) -> str:
    """Horizontal bars from zero: {group: a value for each way, None where there is none}."""
    most = max((value for values in groups.values() for value in values if value is not None), default=0) or 1
    room, parts, top = WIDTH - LETTERS_LEFT - LETTERS_RIGHT, [], 2
    for name, values in groups.items():
        middle = top + BAR * len(values) / 2
        parts.append(_letters(LETTERS_LEFT - 8, middle, name, "end"))
        for way, value in enumerate(values):
            length = 0 if value is None else room * max(value, 0) / most
            text = "none" if value is None else f"{value:.{digits}f}"
            parts.append(
                f'<rect class="way-{way}" x="{LETTERS_LEFT}" y="{top}" width="{length:.1f}" height="{BAR - 2}"/>'
                + _letters(LETTERS_LEFT + length + 5, top + (BAR - 2) / 2, text, "start", "small")
            )
            top += BAR
        top += GAP
    axis = f'<path class="axis" d="M{LETTERS_LEFT} 0V{top - GAP}"/>'
    return _svg(title, top - GAP + 2, [*parts, axis])


def lines(title: str, ways: Mapping[int, Points], digits: int) -> str:
    """Values against sampling steps, which are spaced by their logarithm; {way's number: its (steps, value)}.

    Values that span more than a factor of 50 are spaced by their logarithm too.
    """
    points = [point for found in ways.values() for point in found]
    counts, values = sorted({x for x, _ in points}), [y for _, y in points]
    ticks, is_log = value_ticks(min(values), max(values))
    along = _axis([*counts], LEFT + 8, WIDTH - RIGHT, is_log=True)
    up = _axis([*ticks, *values], HEIGHT - BOTTOM, TOP, is_log=is_log)
    parts = []
    for tick in ticks:
        parts.append(f'<path class="grid" d="M{LEFT} {up(tick):.1f}H{WIDTH - RIGHT + 6}"/>')
        parts.append(_letters(LEFT - 6, up(tick), _short(tick, digits), "end", "small"))
    last = -math.inf
    for count in counts:
        if along(count) - last >= 24:  # else its number would touch the one before
            last = along(count)
            parts.append(_letters(last, HEIGHT - BOTTOM / 2 + 2, f"{count:g}", "middle", "small"))
    for way, found in ways.items():
        path = "L".join(f"{along(x):.1f} {up(y):.1f}" for x, y in sorted(found))
        parts.append(f'<path class="line way-{way}" d="M{path}"/>')
        for x, y in sorted(found):
            tip = f"<title>{x:g} step{'s' * (x != 1)}: {y:.{digits}f}</title>"
            parts.append(f'<circle class="way-{way}" cx="{along(x):.1f}" cy="{up(y):.1f}" r="3.5">{tip}</circle>')
    return _svg(title, HEIGHT, parts)


def value_ticks(least: float, most: float) -> tuple[list[float], bool]:
    """Round values that cover least to most, and whether they are powers of ten: for more than a factor of 50."""
    if least > 0 and most / least > 50:
        return [10.0**power for power in range(math.floor(math.log10(least)), math.ceil(math.log10(most)) + 1)], True
    span = most - least or abs(most) or 1.0
    rough = span / 3
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)
    first, last = math.floor(least / step + 1e-9), math.ceil(most / step - 1e-9)
    return [step * count for count in range(first, max(last, first + 1) + 1)], False


def _axis(values: Sequence[float], start: float, end: float, *, is_log: bool):
    place = math.log if is_log else float
    low, high = place(min(values)), place(max(values))
    span = high - low or 1.0
    return lambda value: start + (end - start) * (place(value) - low) / span


def _short(value: float, digits: int) -> str:
    """A tick's number: no more digits than it needs."""
    return f"{value:.{digits}f}".rstrip("0").rstrip(".") if digits and abs(value) >= 10**-digits else f"{value:g}"


def _letters(x: float, y: float, text: str, anchor: str, kind: str = "") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _svg(title: str, height: float, parts: Sequence[str]) -> str:
    return f'<svg role="img" aria-label="{escape(title)}" viewBox="0 0 {WIDTH} {height:.0f}">{"".join(parts)}</svg>'
