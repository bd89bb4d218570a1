# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Charts as SVG, drawn into the page: no script, and no style but classes."""

from collections.abc import Iterator, Sequence

from markupsafe import Markup

from antenna.viewer.pages import visible

_WIDTH, _HEIGHT, _LABEL = 720, 120, 14
#: Colours of the style sheet: as many parts can be told apart. The last one is for all others together.
COLOURS = 6
OTHERS = "others"

Column = tuple[str, Sequence[tuple[str, int]]]


def bars(columns: Sequence[Column]) -> Markup:
    """Return a chart of bars: each column has a label, and parts with a name and a number, one above the other."""
    names = _names(columns)
    most = max((sum(number for _, number in parts) for _, parts in columns), default=0) or 1
    drawn = [shape for index in range(len(columns)) for shape in _column(columns, index, most, names)]
    first, last = (columns[0][0], columns[-1][0]) if columns else ("", "")
    return Markup(
        '<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="Crashes a day, at most {}">{}'
        '<text x="0" y="{}">{}</text><text class="end" x="{}" y="{}">{}</text></svg>'
    ).format(
        _WIDTH, _HEIGHT + _LABEL, f"{most:,}", Markup("").join(drawn), _HEIGHT + 12, first, _WIDTH, _HEIGHT + 12, last
    )


def legend(columns: Sequence[Column]) -> list[tuple[str, int]]:
    """Return the names of the parts, each with the number of its colour."""
    return [(name, min(number, COLOURS - 1)) for name, number in _names(columns).items()]


def _names(columns: Sequence[Column]) -> dict[str, int]:
    """Return the names of the parts, the most frequent first, with the number of each."""
    totals: dict[str, int] = {}
    for _, parts in columns:
        for name, number in parts:
            totals[name] = totals.get(name, 0) + number
    ordered = sorted(totals, key=lambda name: (name == OTHERS, -totals[name], name))
    return {name: number for number, name in enumerate(ordered)}


def _column(columns: Sequence[Column], index: int, most: int, names: dict[str, int]) -> Iterator[Markup]:
    label, parts = columns[index]
    width = _WIDTH / len(columns)
    left, top = index * width, float(_HEIGHT)
    for name, number in sorted(parts, key=lambda part: names[part[0]]):
        height = number / most * (_HEIGHT - _LABEL)
        top -= height
        yield Markup(
            '<rect class="part{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"><title>{}</title></rect>'
        ).format(
            min(names[name], COLOURS - 1),
            left + 1,
            top,
            max(1.0, width - 2),
            height,
            visible(f"{label}: {number:,} {name}"),
        )
    total = sum(number for _, number in parts)
    if total == most:
        # At the right edge the number would not fit from the left of its bar.
        end = index > len(columns) / 2
        yield Markup('<text{} x="{:.1f}" y="{:.1f}">{}</text>').format(
            Markup(' class="end"') if end else "", left + (width - 1 if end else 1), top - 2, f"{total:,}"
        )
