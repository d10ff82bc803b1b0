"""JupyterLab in a real browser: started on a copy of the project, driven by its own commands."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import local_aws

ROOT = Path(__file__).parents[2]
SHOTS = ROOT / "build" / "screenshots"
OVERRIDES = {
    "@jupyterlab/apputils-extension:notification": {"fetchNews": "false"},
    # A picture of the whole notebook needs all of its cells to be drawn, and no blank screen after the last.
    "@jupyterlab/notebook-extension:tracker": {"windowingMode": "none", "scrollPastEnd": False},
}
PANEL = ".jp-NotebookPanel .jp-WindowedPanel-outer"
# Chromium draws at most 16,384 pixels.
TALLEST = 16_000
READY = """() => {
    const panel = window.jupyterapp?.shell.currentWidget;
    const kernel = panel?.sessionContext?.session?.kernel;
    const connected = kernel?.connectionStatus === 'connected' && kernel.status === 'idle';
    return panel?.sessionContext?.isReady && connected;
}"""
CELLS = "() => window.jupyterapp.shell.currentWidget.context.model.toJSON().cells"
# Also true where a cell fails, which ends the run.
DONE = """() => {
    const cells = window.jupyterapp.shell.currentWidget.context.model.toJSON().cells
        .filter(cell => cell.cell_type === 'code');
    const failed = cells.some(cell => cell.outputs.some(output => output.output_type === 'error'));
    return failed || cells.at(-1).execution_count === cells.length;
}"""


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def open_lab(folder: Path) -> Iterator[str]:
    """The address of a JupyterLab over a copy of the notebooks, with a local AWS of its own."""
    shutil.copy(ROOT / "cdk.context.json", folder)
    shutil.copytree(ROOT / "notebooks", folder / "notebooks", ignore=shutil.ignore_patterns(".ipynb_*"))
    shutil.copytree(ROOT / "data", folder / "data", ignore=shutil.ignore_patterns("local"))
    (folder / "config" / "labconfig").mkdir(parents=True)
    overrides = folder / "config" / "labconfig" / "default_setting_overrides.json"
    overrides.write_text(json.dumps(OVERRIDES), encoding="utf-8")
    port = free_port()
    own = {
        "DYNABERG_TARGET": "local",
        "DYNABERG_LOCAL_PORT": str(free_port()),
        "JUPYTER_CONFIG_DIR": str(folder / "config"),
        "JUPYTERLAB_WORKSPACES_DIR": str(folder / "workspaces"),
    }
    flags = ["--no-browser", f"--port={port}", "--ServerApp.port_retries=0", "--IdentityProvider.token="]
    flags += ["--LabApp.expose_app_in_browser=True", "--allow-root", f"--ServerApp.root_dir={folder}"]
    with (folder / "lab.log").open("w") as log:
        command = [sys.executable, "-m", "jupyterlab", *flags]
        lab = subprocess.Popen(command, env={**os.environ, **own}, stdout=log, stderr=log)
        try:
            wait_for_answer(f"http://127.0.0.1:{port}/api/status", lab)
            yield f"http://127.0.0.1:{port}/lab"
        finally:
            lab.terminate()
            lab.wait(timeout=60)
            local_aws.stop(folder / "data" / "local")


def wait_for_answer(address: str, process: subprocess.Popen[bytes], seconds: float = 120) -> None:
    """Wait until a server answers, or fail if it ends before."""
    until = time.monotonic() + seconds
    while time.monotonic() < until and process.poll() is None:
        try:
            urllib.request.urlopen(address, timeout=5).close()
        except OSError:
            time.sleep(0.2)
        else:
            return
    raise AssertionError(f"JupyterLab did not answer at {address}.")


def run_all(page: Any, address: str, name: str) -> tuple[list[dict[str, Any]], float]:
    """Open a notebook, run all of its cells, save it, and return them and the seconds that they took."""
    page.goto(f"{address}/tree/notebooks/{name}.ipynb?reset")
    page.wait_for_function(READY, timeout=120_000)
    began = time.perf_counter()
    page.evaluate("() => window.jupyterapp.commands.execute('notebook:run-all-cells')")
    page.wait_for_function(DONE, timeout=600_000)
    seconds = time.perf_counter() - began
    page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
    cells: list[dict[str, Any]] = page.evaluate(CELLS)
    return cells, seconds


def set_theme(page: Any, theme: str) -> None:
    """Change to the light or the dark theme."""
    words = {"theme": f"JupyterLab {theme.title()}"}
    page.evaluate("words => window.jupyterapp.commands.execute('apputils:change-theme', words)", words)
    page.wait_for_timeout(300)
    # JupyterLab covers itself while it loads a theme.
    page.wait_for_selector("#jupyterlab-splash", state="detached")


def shoot(page: Any, picture: Path) -> None:
    """Take a picture of the whole notebook, in a window as tall as it; several if no window can be."""
    size = page.viewport_size
    hidden = page.eval_on_selector(PANEL, "panel => panel.scrollHeight - panel.clientHeight")
    page.set_viewport_size({**size, "height": min(size["height"] + hidden, TALLEST)})
    page.wait_for_timeout(300)
    whole, step = page.eval_on_selector(PANEL, "panel => [panel.scrollHeight, panel.clientHeight]")
    tops = range(0, whole, step)
    for number, top in enumerate(tops, start=1):
        page.eval_on_selector(PANEL, "(panel, top) => { panel.scrollTop = top }", top)
        page.wait_for_timeout(100)
        part = picture if len(tops) == 1 else picture.with_stem(f"{picture.stem}_{number}")
        page.screenshot(path=part)
    page.set_viewport_size(size)


def sideways(page: Any, selector: str) -> list[str]:
    """What is wider than its place, and would have to be scrolled sideways."""
    found: list[str] = page.eval_on_selector_all(
        selector,
        """found => found.filter(e => e.scrollWidth > e.clientWidth + 1)
            .map(e => `${e.scrollWidth} > ${e.clientWidth}: ${e.innerText.slice(0, 60)}`)""",
    )
    return found


def height_of_cells(page: Any) -> float:
    """How many pixels there are from the top of the first cell to the end of the last."""
    height: float = page.eval_on_selector_all(
        ".jp-NotebookPanel .jp-Cell",
        "cells => cells.at(-1).getBoundingClientRect().bottom - cells[0].getBoundingClientRect().top",
    )
    return height


def cut_code(page: Any) -> list[str]:
    """Lines of code that are longer than their cell is wide, and by how many pixels."""
    found: list[str] = page.eval_on_selector_all(
        ".jp-NotebookPanel .jp-CodeCell .cm-scroller",
        """found => found.filter(e => e.scrollWidth > e.clientWidth).flatMap(e => {
            const over = line => {
                const range = document.createRange();
                range.selectNodeContents(line);
                const padding = parseFloat(getComputedStyle(line).paddingRight);
                const end = range.getBoundingClientRect().right - e.getBoundingClientRect().left + padding;
                return Math.ceil(end - e.clientWidth);
            };
            return [...e.querySelectorAll('.cm-line')]
                .filter(line => over(line) > 0)
                .map(line => `${over(line)} pixels: ${line.textContent}`);
        })""",
    )
    return found
