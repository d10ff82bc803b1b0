"""One notebook, executed in its own kernel, and the result."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from tqdm.auto import tqdm

from dynaberg.errors import NotFoundError

CELL_SECONDS = 900
REPOSITORY = "https://github.com/dynaberg/dynaberg"


@dataclass(frozen=True)
class Stop:
    """One notebook of the walk, executed until its end or its first failure.

    Attributes:
        name: File name without its extension.
        notebook: The executed notebook.
        seconds: How long it took.
        failure: What went wrong, and where, in words; empty if nothing did.
    """

    name: str
    notebook: nbformat.NotebookNode
    seconds: float
    failure: str = ""

    @property
    def title(self) -> str:
        """The notebook's heading."""
        return _title(self.notebook)

    @property
    def headline(self) -> str:
        """What its cell tagged `headline` printed: the result, in one sentence."""
        texts = (o.text for c in tagged(self.notebook, "headline") for o in c.outputs if "text" in o)
        return " ".join("".join(texts).split())


def find_notebooks(folder: Path, names: Sequence[str] = ()) -> list[Path]:
    """The notebooks of a folder in the order of their names, or those that are named."""
    known = {path.stem: path for path in sorted(folder.glob("[0-9][0-9]_*.ipynb"))}
    if not known:
        hint = f"They come with the repository: git clone {REPOSITORY}, and run this in its folder."
        raise NotFoundError(f"{folder} holds no notebooks.", hint=hint)
    wanted = [name.removesuffix(".ipynb") for name in names]
    for name in wanted:
        if not any(name in (stem, stem[:2]) for stem in known):
            raise NotFoundError.among("notebook", name, known)
    return [path for stem, path in known.items() if not wanted or stem in wanted or stem[:2] in wanted]


def read_title(path: Path) -> str:
    """A notebook's heading, read without executing it."""
    return _title(nbformat.read(path, as_version=4))


def run_notebook(
    path: Path, *, parameters: Mapping[str, Any] | None = None, environment: Mapping[str, str] | None = None
) -> Stop:
    """Execute one notebook in its own kernel.

    Args:
        path: The notebook; its folder is the working directory.
        parameters: Values that replace those in the cell tagged `parameters`.
        environment: Variables for the kernel, on top of those of this process.

    Returns:
        The executed notebook; a failing cell ends it and is described in `failure`.
    """
    notebook = nbformat.read(path, as_version=4)
    if parameters:
        cell = tagged(notebook, "parameters")[0]
        cell.source += "".join(f"\n{name} = {value!r}" for name, value in parameters.items())
    bar = tqdm(total=len(notebook.cells), desc=f"  {path.stem}", unit="cell", leave=False, disable=None)
    client = NotebookClient(
        notebook,
        timeout=CELL_SECONDS,
        kernel_name="python3",
        resources={"metadata": {"path": str(path.parent)}},
        store_widget_state=False,
        # The kernel warns on the terminal that its loopback sockets are not encrypted.
        extra_arguments=["--IPKernelApp.log_level=ERROR"],
        on_cell_complete=lambda **_: bar.update(),
    )
    began, failure = time.perf_counter(), ""
    try:
        client.execute(env={**os.environ, **(environment or {})})
    except (CellExecutionError, CellTimeoutError) as error:
        failure = _describe_failure(notebook, error)
    except DeadKernelError:
        failure = "The kernel died; the machine may be short of memory."
    finally:
        bar.close()
    return Stop(path.stem, notebook, time.perf_counter() - began, failure)


def tagged(notebook: nbformat.NotebookNode, tag: str) -> list[nbformat.NotebookNode]:
    """The cells that carry a tag."""
    return [cell for cell in notebook.cells if tag in cell.metadata.get("tags", ())]


def _title(notebook: nbformat.NotebookNode) -> str:
    return str(notebook.cells[0].source).splitlines()[0].lstrip("# ")


def _describe_failure(notebook: nbformat.NotebookNode, error: Exception) -> str:
    """Which cell failed, its code, and the error, as a reader of a terminal wants it."""
    for number, cell in enumerate(notebook.cells, start=1):
        for output in cell.get("outputs", ()):
            if output.output_type == "error":
                code = "\n".join(f"      {line}" for line in cell.source.splitlines())
                return f"cell {number} failed:\n\n{code}\n\n    {output.ename}: {output.evalue}"
    return f"{type(error).__name__}: {error}"
