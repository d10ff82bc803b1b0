"""The digest of the code: the same for the same files wherever they lie, another for any other."""

from __future__ import annotations

import shutil
from pathlib import Path

from local_aws.server.source_code import FOLDER, digest


def test_what_changes_the_digest(tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere"
    shutil.copytree(FOLDER, copy, ignore=shutil.ignore_patterns("__pycache__"))
    assert digest(copy) == digest()
    (copy / "notes.txt").write_text("no code")
    assert digest(copy) == digest()
    file = copy / "athena" / "engine.py"
    file.write_text(file.read_text() + "\n# another\n")
    changed = digest(copy)
    assert changed != digest()
    file.rename(copy / "engine.py")
    assert digest(copy) not in (changed, digest())
