"""One notebook, executed in its own kernel, and the result."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbclient.util import ensure_async, run_sync
from tqdm.auto import tqdm

from dynaberg.errors import NotFoundError

CELL_SECONDS, START_SECONDS = 900, 180
# What every notebook imports, without leaving a name behind that a notebook could forget to import.
WARM = "__import__('dynaberg').connect; __import__('dynaberg.plots')"
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
    seated = SeatedNotebook(path, parameters=parameters, environment=environment)
    try:
        return seated.run()
    finally:
        seated.end()


def run_in_order(
    paths: Sequence[Path],
    *,
    parameters: Mapping[str, Mapping[str, Any]],
    environment: Mapping[str, str] | None = None,
) -> Iterator[Stop]:
    """Execute notebooks one after the other; the kernel of the next one starts while one runs.

    Args:
        paths: The notebooks.
        parameters: By a notebook's name, values that replace those in its cell tagged `parameters`.
        environment: Variables for the kernels, on top of those of this process.

    Returns:
        The executed notebooks, as they are done; a failure is the last.
    """
    seated: list[SeatedNotebook] = []
    waiting = iter(paths)

    def seat_next() -> None:
        for path in islice(waiting, 1):
            given = parameters.get(path.stem)
            seated.append(SeatedNotebook(path, parameters=given, environment=environment, warm=True))

    try:
        seat_next()
        for place in range(len(paths)):
            seat_next()
            stop = seated[place].run()
            yield stop
            if stop.failure:
                break
            seated[place].ask_to_end()
    finally:
        for each in seated:
            each.end()


class SeatedNotebook:
    """A notebook with a kernel that has been started, so that it is there when its turn comes.

    Args:
        path: The notebook; its folder is the working directory.
        parameters: Values that replace those in the cell tagged `parameters`.
        environment: Variables for the kernel, on top of those of this process.
        warm: Let the kernel import the library while it waits.
    """

    def __init__(
        self,
        path: Path,
        *,
        parameters: Mapping[str, Any] | None = None,
        environment: Mapping[str, str] | None = None,
        warm: bool = False,
    ) -> None:
        self._path, self._notebook = path, nbformat.read(path, as_version=4)
        if parameters:
            cell = tagged(self._notebook, "parameters")[0]
            cell.source += "".join(f"\n{name} = {value!r}" for name, value in parameters.items())
        self._client = NotebookClient(
            self._notebook,
            timeout=CELL_SECONDS,
            startup_timeout=START_SECONDS,
            kernel_name="python3",
            resources={"metadata": {"path": str(path.parent)}},
            store_widget_state=False,
            # The kernel warns on the terminal that its loopback sockets are not encrypted.
            extra_arguments=[
                "--IPKernelApp.log_level=ERROR",
                *([f"--IPKernelApp.exec_lines={WARM}"] if warm else ()),
            ],
        )
        self._kernel = self._client.create_kernel_manager()
        # Of free TCP ports, two kernels that start at once may choose the same, and one then waits for ever.
        self._sockets = tempfile.TemporaryDirectory(prefix="dynaberg-")
        self._kernel.transport, self._kernel.ip = "ipc", str(Path(self._sockets.name, "kernel"))
        self._client.start_new_kernel(env={**os.environ, **(environment or {})})

    def run(self) -> Stop:
        """Execute the cells; one that fails is the last, and is described in the result's `failure`."""
        bar = tqdm(
            total=len(self._notebook.cells),
            desc=f"  {self._path.stem}",
            unit="cell",
            leave=False,
            disable=None,
        )
        self._client.on_cell_complete = lambda **_: bar.update()
        began, failure = time.perf_counter(), ""
        try:
            self._client.execute(cleanup_kc=False)
        except (CellExecutionError, CellTimeoutError) as error:
            failure = _describe_failure(self._notebook, error)
        except DeadKernelError:
            failure = "The kernel died; the machine may be short of memory."
        finally:
            bar.close()
        return Stop(self._path.stem, self._notebook, time.perf_counter() - began, failure)

    def ask_to_end(self) -> None:
        """Let the kernel end by itself, while something else goes on."""
        run_sync(self._ask)()

    def end(self) -> None:
        """End the kernel, and wait until it has ended."""
        run_sync(self._end)()

    async def _ask(self) -> None:
        if await ensure_async(self._kernel.is_alive()):
            await ensure_async(self._kernel.request_shutdown())

    async def _end(self) -> None:
        # One that has run nothing has nothing to save.
        used = self._client.kc is not None
        if self._client.kc is not None:
            self._client.kc.stop_channels()
        await ensure_async(self._kernel.shutdown_kernel(now=not used))
        self._sockets.cleanup()


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
