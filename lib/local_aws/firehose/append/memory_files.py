"""Files that are made in memory and stored when all of them are complete."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
from pyiceberg.io import FileIO, InputFile, OutputFile

FILES_AT_ONCE = 4


class MemoryFile(OutputFile):
    """A file whose content is written in memory.

    Args:
        location: Where it is to be stored.
    """

    def __init__(self, location: str) -> None:
        super().__init__(location)
        self._stream = pa.BufferOutputStream()
        self._content: pa.Buffer | None = None

    def __len__(self) -> int:
        return len(self.content)

    @property
    def content(self) -> pa.Buffer:
        """What was written; the file is complete with that."""
        if self._content is None:
            self._content = self._stream.getvalue()
        return self._content

    def exists(self) -> bool:
        """Whether it is stored already: nobody else writes to its location, so it does not matter."""
        return False

    def to_input_file(self) -> InputFile:
        """Refuse to be read: it may not be stored yet."""
        raise NotImplementedError(f"{self.location} is still being written")

    def create(self, overwrite: bool = False) -> pa.BufferOutputStream:
        """The stream that it is written to."""
        return self._stream


def store(files: Iterable[MemoryFile], io: FileIO) -> None:
    """Store files, several at once; a file that is stored already is replaced by the same.

    Raises:
        OSError: One of them could not be stored.
    """

    def store_one(file: MemoryFile) -> None:
        with io.new_output(file.location).create(overwrite=True) as stream:
            stream.write(file.content)

    with ThreadPoolExecutor(FILES_AT_ONCE) as threads:
        list(threads.map(store_one, files))
