"""Who cannot see a picture reads its finding, in the notebook, and what to see in it, in the gallery."""

from itertools import pairwise
from pathlib import Path

import nbformat
import pytest
from IPython.core.formatters import DisplayFormatter
from IPython.core.pylabtools import select_figure_formats

from dynaberg import plots

NOTEBOOKS = sorted((Path(__file__).parents[3] / "notebooks").glob("*.ipynb"))


def test_the_words_of_a_picture_are_its_finding_and_its_axes(subject):
    ax = subject.draw(subject.frame(6))
    words = plots.alt_text(ax.figure)
    assert words.startswith(" ".join(ax.get_title(loc="left").replace(r"\$", "$").split()))
    assert words.endswith(".")
    assert "\n" not in words
    if ax.axison and ax.get_xlabel():
        assert ax.get_xlabel().split()[-1] in words


def test_a_notebook_keeps_the_words_next_to_the_image(every_subject):
    subject = every_subject["hourly"]
    figure = subject.draw(subject.frame(24)).figure
    shell = type("Shell", (), {"display_formatter": DisplayFormatter()})()
    select_figure_formats(shell, {"png"})
    data, metadata = shell.display_formatter.format(figure)
    assert data["image/png"].startswith("iVBORw0KGgo"), "a PNG, in base64"
    assert data["text/plain"] == metadata["image/png"]["alt"] == plots.alt_text(figure)
    assert "The busiest hour is 19:00" in data["text/plain"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_paragraph_below_a_picture_is_whole(path):
    cells = nbformat.read(path, as_version=4).cells
    for cell, below in pairwise(cells):
        if "figure" in cell.metadata.get("tags", ()):
            words = below.source.partition("\n\n")[0]
            assert words.rstrip(")").endswith("."), f"a lead-in to the next cell, not a description: {words}"
