"""A wheel of this repository, built with the packages that are installed; nothing is fetched."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
BUILT_FROM = ("lib", "pyproject.toml", "README.md", "LICENSE", "NOTICE")


def build_wheel(folder: Path) -> Path:
    """Build the wheel as `python -m build` does: a source archive first, and the wheel from that.

    Both come from a copy of the sources, so that nothing is written into the clone.

    Args:
        folder: An empty folder.
    """
    source, built = folder / "source", folder / "wheel"
    source.mkdir()
    for name in BUILT_FROM:
        if (ROOT / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
            shutil.copytree(ROOT / name, source / name, ignore=ignored)
        else:
            shutil.copy(ROOT / name, source)
    archive = f"from setuptools import build_meta; build_meta.build_sdist({str(built)!r})"
    subprocess.run([sys.executable, "-c", archive], cwd=source, check=True, capture_output=True, timeout=600)
    (archived,) = built.glob("*.tar.gz")
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*build, "--wheel-dir", str(built), str(archived)], check=True, timeout=600)
    (path,) = built.glob("*.whl")
    return path
