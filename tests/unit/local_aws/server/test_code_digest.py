"""The digest of the code: the same for the same files wherever they lie, another for any other."""

from __future__ import annotations

import shutil
from pathlib import Path

from local_aws.server.process import FOLDER, code_digest


def test_what_changes_the_code_digest(tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere"
    shutil.copytree(FOLDER, copy, ignore=shutil.ignore_patterns("__pycache__"))
    assert code_digest(copy) == code_digest()
    (copy / "notes.txt").write_text("no code")
    assert code_digest(copy) == code_digest()
    file = copy / "athena" / "tables" / "engine.py"
    file.write_text(file.read_text() + "\n# another\n")
    changed = code_digest(copy)
    assert changed != code_digest()
    file.rename(copy / "engine.py")
    assert code_digest(copy) not in (changed, code_digest())
