"""What a start finds, and how it stays true when the local AWS ends uncleanly.

ministack keeps its state in memory and writes it as JSON files on a clean stop; objects of S3 it writes at
once. So after a kill the two would not fit: a table that was dropped would be back, its files not. So
all of it is kept aside together, at the start and at every checkpoint while it runs, as hard links (files
are replaced, never written into). There are two places for that, and the older one is overwritten, so that
one is whole at any moment. A start that finds no mark of a clean stop goes back to the newest whole one.

    <state folder>/state  s3       ministack's
                   firehose        the journals of the delivery streams
                   maintenance     the results of the maintenance jobs
                   glue            the federated catalogs
                   clean.json      the mark of a clean stop; absent while running
                   clean/  checkpoint/
                                   kept aside: the folders above, with clean.json as the mark of a whole one
                   gateway.json    where the running one is
                   local-aws.log

This module imports the standard library only: the door (`local_aws`) uses it.
"""

from __future__ import annotations

import os
import shutil
import sys
import zlib
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from local_aws.json_files import read_json, synchronize, write_json

MARK = "clean.json"
KEPT = ("clean", "checkpoint")
_FOLDERS = ("state", "s3", "firehose", "maintenance", "glue")


@dataclass(frozen=True)
class Restored:
    """What a start found.

    Attributes:
        kind: `empty`, `clean` (the state of the last stop) or `unclean` (what came after that was lost).
        saved_at: When that state was saved; None for an empty one.
        damaged: A file of a newer checkpoint, which was passed over for it.
    """

    kind: str
    saved_at: datetime | None
    damaged: Path | None = None


class Checkpoint:
    """The state that is being kept aside: links at once, made to last by `finish`."""

    def __init__(self, state_dir: Path, saved_at: datetime | None) -> None:
        whole = [folder for folder in kept(state_dir) if mark_of(folder) is not None]
        last = whole[0] if whole else state_dir / KEPT[1]
        self._mark = {"saved_at": saved_at and saved_at.isoformat(), "number": number(last) + 1}
        self._folder = next(state_dir / name for name in KEPT if state_dir / name != last)
        (self._folder / MARK).unlink(missing_ok=True)
        self._new: list[Path] = []
        for name in _FOLDERS:
            self._new += mirror(state_dir / name, self._folder / name)

    def finish(self) -> None:
        """Wait until it is on the disk, and mark it all as whole."""
        # Whether the state could be written is asked of each file; the many others go to the disk at once.
        for path in self._new:
            if path.parent == self._folder / "state":
                synchronize(path)
        os.sync()
        write_json(self._folder / MARK, self._mark | {"files": checksums(self._folder)}, durable=True)


def restore(state_dir: Path) -> Restored:
    """Bring the state folder to its last whole state, and keep that aside."""
    found = kept(state_dir)
    if not found or (state_dir / MARK).exists():
        if not (state_dir / MARK).exists():
            write_json(state_dir / MARK, {"saved_at": None})
        moment = saved_at(state_dir)
        Checkpoint(state_dir, moment).finish()
        return Restored("clean" if moment else "empty", moment)
    flaws = {folder: flaw_of(folder) for folder in found}
    whole = next((folder for folder in found if flaws[folder] is None), None)
    if whole is None:
        raise ValueError(f"{flaws[found[0]]} is damaged")
    for folder in found[: found.index(whole)]:
        # The next checkpoint is written over it, and not over the whole one.
        (folder / MARK).unlink()
    for name in _FOLDERS:
        if (whole / name).exists():
            mirror(whole / name, state_dir / name)
    return Restored("unclean", saved_at(whole), flaws[found[0]])


def kept(state_dir: Path) -> list[Path]:
    """What is kept aside and marked as whole, the newest first."""
    marked = [state_dir / name for name in KEPT if (state_dir / name / MARK).exists()]
    return sorted(marked, key=number, reverse=True)


def number(folder: Path) -> int:
    """The number of what is kept in a folder: they count up. One that cannot be read may be the newest."""
    mark = mark_of(folder)
    return sys.maxsize if mark is None else int(mark.get("number", 0))


def mark_of(folder: Path) -> dict[str, Any] | None:
    """What the mark in a folder says; None where it is damaged."""
    try:
        mark = read_json(folder / MARK)
    except ValueError:
        return None
    return mark if isinstance(mark, dict) else None


def mark_running(state_dir: Path) -> None:
    """Note that from now on the state in memory is newer than the files."""
    (state_dir / MARK).unlink(missing_ok=True)


def mark_saved(state_dir: Path) -> None:
    """Note that everything in memory was saved: the next start is a clean one."""
    mark = {"saved_at": datetime.now(UTC).isoformat(), "files": checksums(state_dir)}
    os.sync()
    write_json(state_dir / MARK, mark, durable=True)


def checksums(folder: Path) -> dict[str, int]:
    """The CRC-32 of every state file of ministack in a folder."""
    return {path.name: zlib.crc32(path.read_bytes()) for path in sorted((folder / "state").glob("*.json"))}


def flaw_of(folder: Path) -> Path | None:
    """The first file of a saved state that is not as it was saved, None where all are."""
    mark = mark_of(folder)
    if mark is None:
        return folder / MARK
    saved, found = mark.get("files", {}), checksums(folder)
    flawed = (name for name in sorted(saved) if found.get(name) != saved[name])
    return next((folder / "state" / name for name in flawed), None)


def damaged_file(state_dir: Path) -> Path | None:
    """A damaged file of the state that a start would use, None if there is a whole one."""
    if (state_dir / MARK).exists():
        return flaw_of(state_dir)
    flaws = [flaw_of(folder) for folder in kept(state_dir)]
    return flaws[0] if flaws and all(flaws) else None


def earlier(state_dir: Path) -> datetime | None:
    """What a start would go back to, were there no clean stop; None where nothing is whole."""
    return next((saved_at(folder) for folder in kept(state_dir) if flaw_of(folder) is None), None)


def saved_at(folder: Path) -> datetime | None:
    """When the state in a folder was saved, by its mark."""
    moment = (mark_of(folder) or {}).get("saved_at")
    return datetime.fromisoformat(moment) if moment else None


def mirror(source: Path, target: Path) -> list[Path]:
    """Let a folder hold the same files as another, as links; returns what is new in it.

    In the order of names, so that a journal's segments come before the checkpoint that removes them. Files
    that disappear during the copy are skipped.
    """
    target.mkdir(parents=True, exist_ok=True)
    there = {entry.name: entry for entry in os.scandir(target)}
    new: list[Path] = []
    for entry in sorted(os.scandir(source) if source.exists() else [], key=lambda entry: entry.name):
        old, path = there.pop(entry.name, None), target / entry.name
        if old and (old.is_dir() != entry.is_dir() or not (old.is_dir() or is_same(entry, old))):
            remove(old)
            old = None
        if entry.is_dir():
            new += mirror(Path(entry.path), path)
        elif old is None:
            with suppress(FileNotFoundError):
                link_file(entry.path, str(path))
                new.append(path)
    for entry in there.values():
        remove(entry)
    return new


def remove(entry: os.DirEntry[str]) -> None:
    """Remove a file, or a folder with all that is in it."""
    if entry.is_dir():
        shutil.rmtree(entry.path)
    else:
        Path(entry.path).unlink()


def is_same(one: os.DirEntry[str], other: os.DirEntry[str]) -> bool:
    """Whether two entries are one file, or, where there are no links, a file and its copy."""
    if one.inode() == other.inode():
        return True
    stats = one.stat(), other.stat()
    return stats[0].st_size == stats[1].st_size and stats[0].st_mtime_ns == stats[1].st_mtime_ns


def link_file(source: str, target: str) -> None:
    """Link a file, or copy it."""
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise
    except OSError:
        shutil.copy2(source, target)
