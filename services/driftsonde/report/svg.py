"""SVG marks as text. A plot is stretched to its place on the page, so strokes do not scale and there is no text in it:
labels are HTML, which stays readable on a phone.

Coordinates: x from 0 to the plot's width in cells, y from 0 (top) to `HEIGHT`.
"""

from collections.abc import Iterable, Sequence

from markupsafe import Markup

HEIGHT = 100

XY = tuple[float, float]


def plot(width: float, label: str, marks: Iterable[Markup], height: int = HEIGHT) -> Markup:
    """A drawing that fills its place; `label` is what a screen reader says instead of it."""
    return Markup(
        '<svg class="plot" viewBox="0 0 {} {}" preserveAspectRatio="none" role="img" aria-label="{}">{}</svg>'
    ).format(_text(width), height, label, Markup("").join(marks))


def rectangle(x: float, y: float, width: float, height: float, css: str, title: str = "") -> Markup:
    """A filled box; with a title it says what it is when pointed at."""
    start = Markup('<rect x="{}" y="{}" width="{}" height="{}" class="{}"').format(
        *(_text(number) for number in (x, y, width, height)), css
    )
    if not title:
        return start + Markup("/>")
    return start + Markup("><title>{}</title></rect>").format(title)


def line(points: Sequence[XY], css: str) -> Markup:
    """A line through the points; a single point becomes a dot, since caps are round."""
    start = f"M{_pair(points[0])}"
    rest = "".join(f"L{_pair(point)}" for point in points[1:]) or "h0"
    return Markup('<path d="{}" class="{}"/>').format(start + rest, css)


def area(upper: Sequence[XY], lower: Sequence[XY], css: str) -> Markup:
    """The surface between two lines over the same x."""
    outline = "L".join(_pair(point) for point in (*upper, *reversed(lower)))
    return Markup('<path d="M{}z" class="{}"/>').format(outline, css)


def dot(point: XY, css: str, title: str) -> Markup:
    """A round mark of the stroke's width, whatever the stretching."""
    return Markup('<path d="M{}h0" class="{}"><title>{}</title></path>').format(_pair(point), css, title)


def share_bar(share: float, css: str) -> Markup:
    """A horizontal bar of `share` (0 to 1) of its place. The number stands beside it, so it is hidden from readers."""
    return Markup(
        '<svg class="bar" aria-hidden="true" width="100%" height="9"><rect width="{}%" height="9" class="{}"/></svg>'
    ).format(_text(100 * min(max(share, 0.0), 1.0)), css)


def _pair(point: XY) -> str:
    return f"{_text(point[0])} {_text(point[1])}"


def _text(number: float) -> str:
    """Two decimals at most: a hundredth of a cell is less than a pixel.

    >>> _text(3.0), _text(0.126), _text(-0.001)
    ('3', '0.13', '0')
    """
    text = f"{number:.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text
