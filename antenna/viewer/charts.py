# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Draws charts as SVG inside the page. They have no script, and their style comes from the style sheet's classes."""

from collections.abc import Iterator, Sequence

from markupsafe import Markup

from antenna.viewer.pages import visible

# Width and height of the drawing, in its own units. The page stretches it to its width.
_WIDTH, _HEIGHT = 720, 120
#: Number of colours in the style sheet. If there are more parts, all further ones share the last colour.
COLOURS = 6
#: Name of the part that stands for all parts without a colour of their own.
OTHERS = "others"

Column = tuple[str, Sequence[tuple[str, int]]]


def bars(columns: Sequence[Column]) -> Markup:
    """Return a chart of bars. A column has a label, and parts with a name and a number, drawn one above the other."""
    names = _names(columns)
    label, most = max(((label, _total(parts)) for label, parts in columns), key=lambda item: item[1], default=("", 0))
    drawn = [shape for index in range(len(columns)) for shape in _column(columns, index, most or 1, names)]
    first, last = (columns[0][0], columns[-1][0]) if columns else ("", "")
    peak = f"at most {most:,}, on {label}" if most else "none"
    captions = [first, peak, last] if len(columns) > 1 else [first, "", ""]
    return Markup(
        '<figure class="chart"><svg viewBox="0 0 {} {}" preserveAspectRatio="none" role="img" '
        'aria-label="Crashes a day: {}">{}</svg>'
        "<figcaption><span>{}</span><span>{}</span><span>{}</span></figcaption></figure>"
    ).format(_WIDTH, _HEIGHT, peak, Markup("").join(drawn), *captions)


def legend(columns: Sequence[Column]) -> list[tuple[str, int]]:
    """Return the names of the parts, each with the number of its colour."""
    return [(name, min(number, COLOURS - 1)) for name, number in _names(columns).items()]


def _total(parts: Sequence[tuple[str, int]]) -> int:
    return sum(number for _, number in parts)


def _names(columns: Sequence[Column]) -> dict[str, int]:
    """Return the names of the parts, numbered from 0 on. The one with the largest sum is first, ``OTHERS`` last."""
    totals: dict[str, int] = {}
    for _, parts in columns:
        for name, number in parts:
            totals[name] = totals.get(name, 0) + number
    ordered = sorted(totals, key=lambda name: (name == OTHERS, -totals[name], name))
    return {name: number for number, name in enumerate(ordered)}


def _column(columns: Sequence[Column], index: int, most: int, names: dict[str, int]) -> Iterator[Markup]:
    label, parts = columns[index]
    width = _WIDTH / len(columns)
    gap = min(2.0, width / 5)
    top = float(_HEIGHT)
    for name, number in sorted(parts, key=lambda part: names[part[0]]):
        height = number / most * _HEIGHT
        top -= height
        yield Markup(
            '<rect class="part{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"><title>{}</title></rect>'
        ).format(
            min(names[name], COLOURS - 1), index * width + gap / 2, top, width - gap, height,
            visible(f"{label}: {number:,} {name}"),
        )  # fmt: skip
