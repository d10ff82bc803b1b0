"""Every picture can be read: contrast, size of words, and marks that differ in more than color.

Contrast is WCAG 2.2's (1.4.3: 4.5 for text; 1.4.11: 3 for marks). Color vision deficiencies are simulated
with the matrices of Machado, Oliveira and Fernandes (2009), at their full severity, in linear RGB.
"""

from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pytest
from matplotlib.colors import to_hex, to_rgba
from matplotlib.text import Text

SMALLEST, TEXT_CONTRAST, MARK_CONTRAST = 8, 4.5, 3
# Euclidean distance in CIE L*a*b*; 2.3 is just noticeable side by side.
DISTINCT = 8
# A line that crosses the box of a word may take so much of it.
CROSSED = 0.08
DEFICIENCIES = {
    "none": np.eye(3),
    "print in gray": [[0.2126, 0.7152, 0.0722]] * 3,
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def linear(rgb):
    rgb = np.asarray(rgb, dtype=float)
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def contrast(one, other):
    light = np.array([linear(color) @ _XYZ[1] for color in (one, other)]) + 0.05
    return light.max(axis=0) / light.min(axis=0)


def lab(rgb, deficiency):
    seen = np.clip(np.asarray(DEFICIENCIES[deficiency]) @ linear(rgb), 0, 1)
    xyz = _XYZ @ seen / _XYZ.sum(axis=1)
    x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def on_white(color):
    red, green, blue, alpha = to_rgba(color)
    return tuple(1 - alpha + alpha * part for part in (red, green, blue))


def marks(ax):
    """What is drawn, as (kind, fill, edge, its other cues): bars and boxes, points and lines, areas."""
    for patch in ax.patches:
        edge = patch.get_edgecolor() if patch.get_linewidth() else (0, 0, 0, 0)
        yield "patch", patch.get_facecolor(), edge, (patch.get_hatch() or "", patch.get_linestyle())
    for line in ax.lines:
        point = line.get_marker() not in ("None", "none", "", None)
        fill = line.get_markerfacecolor() if point else line.get_color()
        is_open = point and to_hex(fill) == "#ffffff"
        cues = (line.get_marker(), line.get_linestyle(), is_open)
        yield "line", fill, line.get_color(), cues


@dataclass(frozen=True)
class Look:
    """What is seen of a picture, which is drawn once for all tests.

    Attributes:
        marks: What is drawn, by `marks`.
        words: Each text, its size in points, its ink, and the pixels behind it.
    """

    marks: list[tuple[object, ...]]
    words: list[tuple[str, float, tuple[float, ...], np.ndarray]]


def look(subject):
    ax = subject.draw(subject.frame(12))
    ax.figure.draw_without_rendering()
    drawn = list(marks(ax))
    words = [text for text in ax.figure.findobj(Text) if text.get_text() and text.get_visible()]
    inks = [to_rgba(text.get_color())[:3] for text in words]
    boxes = [text.get_window_extent() for text in words]
    for text in words:
        text.set_color((0, 0, 0, 0))
    ax.figure.canvas.draw()
    paper = np.asarray(ax.figure.canvas.buffer_rgba())[::-1, :, :3] / 255
    behind = []
    for box in boxes:
        x0, y0, x1, y1 = (max(int(side), 0) for side in box.extents)
        behind.append(paper[y0:y1, x0:x1].reshape(-1, 3))
    texts, sizes = [text.get_text() for text in words], [text.get_fontsize() for text in words]
    return Look(drawn, list(zip(texts, sizes, inks, behind, strict=True)))


@pytest.fixture(scope="module")
def looks():
    return {}


@pytest.fixture
def seen(subject, looks):
    """What is seen of each picture in turn."""
    if subject not in looks:
        looks[subject] = look(subject)
    return looks[subject]


def test_no_word_is_smaller_than_eight_points(seen):
    assert seen.words
    assert [(text, size) for text, size, *_ in seen.words if size < SMALLEST] == []


def test_words_stand_out_from_what_is_behind_them(seen):
    for text, _, ink, behind in seen.words:
        if text.strip() and len(behind):
            ratios = contrast(behind, np.broadcast_to(ink, behind.shape))
            assert (ratios < TEXT_CONTRAST).mean() <= CROSSED, (text, ratios.min())


def test_marks_stand_out_from_the_paper(seen):
    for kind, fill, edge, _ in seen.marks:
        best = max(contrast(on_white(color), (1, 1, 1)) for color in (fill, edge))
        assert best >= MARK_CONTRAST, (kind, to_hex(fill), to_hex(edge))


@pytest.mark.parametrize("deficiency", DEFICIENCIES)
def test_marks_differ_in_more_than_color_or_for_every_eye(seen, deficiency):
    looks = {(kind, to_hex(fill, keep_alpha=True), cues) for kind, fill, _, cues in seen.marks}
    for (kind, one, cues), (other_kind, other, other_cues) in combinations(sorted(looks, key=str), 2):
        if kind == other_kind and cues == other_cues:
            apart = np.linalg.norm(lab(on_white(one), deficiency) - lab(on_white(other), deficiency))
            assert apart >= DISTINCT, (one, other, cues)


def test_the_measures_are_those_of_the_standards():
    assert contrast((0, 0, 0), (1, 1, 1)) == pytest.approx(21)
    assert contrast(on_white("#777777"), (1, 1, 1)) == pytest.approx(4.48, abs=0.01)
    assert lab((1, 1, 1), "none") == pytest.approx([100, 0, 0], abs=0.1)
    # Red and green of one lightness are one color to a deuteranope, and far apart to most people.
    red, green = on_white("#c0392b"), on_white("#5f7a1f")
    assert np.linalg.norm(lab(red, "none") - lab(green, "none")) > 70
    assert np.linalg.norm(lab(red, "deuteranopia") - lab(green, "deuteranopia")) < 25
