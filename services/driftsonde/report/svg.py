"""SVG marks as text. A plot is stretched to its place on the page, so strokes do not scale and there is no text in it:
labels are HTML, which stays readable on a phone.

Coordinates: x from 0 to the plot's width in cells, y from 0 (top) to `HEIGHT`.
"""

from collections.abc import Iterable, Sequence

from markupsafe import Markup, escape

HEIGHT = 100

XY = tuple[float, float]


def plot(width: float, label: str, marks: Iterable[Markup], height: int = HEIGHT) -> Markup:
    """A drawing that fills its place; `label` is what a screen reader says instead of it."""
    return Markup(
        f'<svg class="plot" viewBox="0 0 {_text(width)} {height}" preserveAspectRatio="none" role="img" '
        f'aria-label="{escape(label)}">{"".join(marks)}</svg>'
    )


def rectangle(x: float, y: float, width: float, height: float, css: str, title: str = "") -> Markup:
    """A filled box; with a title it says what it is when pointed at."""
    place = f'x="{_text(x)}" y="{_text(y)}" width="{_text(width)}" height="{_text(height)}"'
    end = f"><title>{escape(title)}</title></rect>" if title else "/>"
    return Markup(f'<rect {place} class="{escape(css)}"{end}')


def line(points: Sequence[XY], css: str) -> Markup:
    """A line through the points; a single point becomes a dot, since caps are round."""
    rest = "".join(f"L{_pair(point)}" for point in points[1:]) or "h0"
    return Markup(f'<path d="M{_pair(points[0])}{rest}" class="{escape(css)}"/>')


def area(upper: Sequence[XY], lower: Sequence[XY], css: str) -> Markup:
    """The surface between two lines over the same x."""
    outline = "L".join(_pair(point) for point in (*upper, *reversed(lower)))
    return Markup(f'<path d="M{outline}z" class="{escape(css)}"/>')


def dot(point: XY, css: str, title: str) -> Markup:
    """A round mark of the stroke's width, whatever the stretching."""
    return Markup(f'<path d="M{_pair(point)}h0" class="{escape(css)}"><title>{escape(title)}</title></path>')


def share_bar(share: float, css: str, limit: float | None = None) -> Markup:
    """A horizontal bar of `share` (0 to 1) of its place, with a mark at `limit`. The numbers stand beside it, so it is hidden
    from readers."""
    width, mark = _text(100 * min(max(share, 0.0), 1.0)), ""
    if limit is not None:
        at = _text(100 * min(max(limit, 0.0), 0.995))
        mark = f'<rect x="{at}%" y="-3" width="2" height="15" class="limit-mark"/>'
    return Markup(
        f'<svg class="bar" aria-hidden="true" width="100%" height="9"><rect width="{width}%" height="9" '
        f'class="{escape(css)}"/>{mark}</svg>'
    )


def _pair(point: XY) -> str:
    return f"{_text(point[0])} {_text(point[1])}"


def _text(number: float) -> str:
    """Two decimals at most: a hundredth of a cell is less than a pixel.

    >>> _text(3.0), _text(0.126), _text(-0.001)
    ('3', '0.13', '0')
    """
    text = f"{number:.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text
