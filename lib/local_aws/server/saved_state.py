"""What a start finds, and how it stays true when the local AWS ends uncleanly.

ministack keeps its state in memory and writes it as JSON files on a clean stop; objects of S3 it writes at
once. So after a kill the two would not fit: a table that was dropped would be back, its files not. Hence
every start keeps the last clean state aside, as hard links (ministack replaces files, it never writes into
one), and a start that finds no mark of a clean stop goes back to what was kept.

    <state folder>/state  s3       ministack's
                   firehose        the journals of the delivery streams
                   maintenance     what the maintenance jobs came to
                   clean.json      the mark of a clean stop; absent while running
                   clean/          the last clean state: the folders above, clean.json
                   gateway.json    where the running one is
                   local-aws.log

This module imports the standard library only: the door (`local_aws`) uses it.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from local_aws.json_files import read_json, write_json

MARK = "clean.json"
KEPT = "clean"
_FOLDERS = ("state", "s3", "firehose", "maintenance")


@dataclass(frozen=True)
class Restored:
    """What a start began from.

    Attributes:
        kind: `empty`, `clean` (the state of the last stop) or `unclean` (the one before it was lost).
        saved_at: When that state was saved; None for an empty one.
    """

    kind: str
    saved_at: datetime | None


def restore(state_dir: Path) -> Restored:
    """Bring the state folder to its last clean state, and keep that aside."""
    kept = state_dir / KEPT
    if not (state_dir / MARK).exists() and (kept / MARK).exists():
        for name in _FOLDERS:
            shutil.rmtree(state_dir / name, ignore_errors=True)
            link_tree(kept / name, state_dir / name)
        return Restored("unclean", saved_at(kept))
    if not (state_dir / MARK).exists():
        write_json(state_dir / MARK, {"saved_at": None})
    moment = saved_at(state_dir)
    new = state_dir / f"{KEPT}.new"
    shutil.rmtree(new, ignore_errors=True)
    for name in _FOLDERS:
        link_tree(state_dir / name, new / name)
    link_file(str(state_dir / MARK), str(new / MARK))
    shutil.rmtree(kept, ignore_errors=True)
    new.rename(kept)
    return Restored("clean" if moment else "empty", moment)


def mark_running(state_dir: Path) -> None:
    """Note that from now on the state in memory is newer than the files."""
    (state_dir / MARK).unlink(missing_ok=True)


def mark_saved(state_dir: Path) -> None:
    """Note that everything in memory was saved: the next start is a clean one."""
    sizes = {path.name: path.stat().st_size for path in sorted((state_dir / "state").glob("*.json"))}
    write_json(state_dir / MARK, {"saved_at": datetime.now(UTC).isoformat(), "bytes": sizes})


def damaged_file(state_dir: Path) -> Path | None:
    """The first state file that is not JSON, None where all are well.

    A file as long as it was when it was saved is taken for whole: reading them all takes seconds.
    """
    folder = state_dir if (state_dir / MARK).exists() else state_dir / KEPT
    try:
        sizes = read_json(folder / MARK).get("bytes", {})
    except ValueError:
        return folder / MARK
    for path in sorted((folder / "state").glob("*.json")):
        if path.stat().st_size != sizes.get(path.name):
            try:
                read_json(path)
            except ValueError:
                return path
    return None


def saved_at(folder: Path) -> datetime | None:
    """When the state in a folder was saved, by its mark."""
    moment = read_json(folder / MARK).get("saved_at")
    return datetime.fromisoformat(moment) if moment else None


def link_tree(source: Path, target: Path) -> None:
    """Copy a folder by hard links, by content where the file system has none; no folder is an empty one."""
    target.mkdir(parents=True, exist_ok=True)
    if source.exists():
        shutil.copytree(source, target, copy_function=link_file, dirs_exist_ok=True)


def link_file(source: str, target: str) -> None:
    """Link a file, or copy it."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
