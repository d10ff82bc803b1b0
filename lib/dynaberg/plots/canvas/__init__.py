"""What every picture stands on: the style and the looks, axes and their labels, rows that can be drawn.

Public: the colors, making and finishing axes, words for numbers, and the checks of a frame.
"""

from dynaberg.plots.canvas.axes import (
    BLUE,
    CHANGES,
    GRAY,
    INK,
    ORANGE,
    RED,
    SMALL,
    alt_text,
    counted,
    draw_nothing,
    finish,
    listed,
    new_axes,
    percent,
    seconds_since,
    shorten,
    use_style,
    write_at,
    write_title,
)
from dynaberg.plots.canvas.rows import as_numbers, drawable, first_lines, is_null, require

__all__ = [
    "BLUE",
    "CHANGES",
    "GRAY",
    "INK",
    "ORANGE",
    "RED",
    "SMALL",
    "alt_text",
    "as_numbers",
    "counted",
    "draw_nothing",
    "drawable",
    "finish",
    "first_lines",
    "is_null",
    "listed",
    "new_axes",
    "percent",
    "require",
    "seconds_since",
    "shorten",
    "use_style",
    "write_at",
    "write_title",
]
