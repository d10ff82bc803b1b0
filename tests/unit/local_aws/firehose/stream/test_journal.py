from __future__ import annotations

import itertools
import multiprocessing
import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from local_aws.firehose.stream import journal
from local_aws.firehose.stream.checkpoint import Checkpoint, Plan, load_checkpoint, stream_folders
from local_aws.firehose.stream.journal import (
    JournalSource,
    JournalWriter,
    remove_segments,
    segments,
    written_position,
)
from local_aws.server import saved_state


def read_all(folder: Path, position: int = 0) -> list[bytes]:
    reader = JournalSource(folder, position)
    reader.poll()
    return reader.take(2**40).data


@settings(max_examples=60, deadline=None)
@given(
    puts=st.lists(st.lists(st.binary(max_size=40), min_size=1, max_size=5), max_size=12),
    split=st.integers(0, 12),
)
def test_what_is_appended_is_read_in_order_by_any_number_of_writers(
    tmp_path_factory: pytest.TempPathFactory, puts: list[list[bytes]], split: int
) -> None:
    folder = tmp_path_factory.mktemp("journal")
    reader = JournalSource(folder, 0)
    read: list[bytes] = []
    for part in (puts[:split], puts[split:]):
        writer = JournalWriter(folder)
        for put in part:
            assert writer.append(put, 7) == writer.position - len(put)
            reader.poll()
            read += reader.take(64).data
        writer.close()
    reader.poll()
    while reader.waiting_bytes:
        read += reader.take(64).data
    flat = [record for put in puts for record in put]
    assert read == flat == read_all(folder)
    assert reader.position == written_position(folder) == len(flat)


def test_every_record_keeps_the_arrival_of_its_put(tmp_path: Path) -> None:
    writer = JournalWriter(tmp_path)
    writer.append([b"a", b"b"], 100)
    writer.append([b"c"], 200)
    reader = JournalSource(tmp_path, 0)
    reader.poll()
    assert reader.waiting_since_ms == 100
    assert reader.take(2**20).arrived_ms == [100, 100, 200]
    assert reader.waiting_since_ms is None


def test_take_stops_at_a_size_and_at_a_position(tmp_path: Path) -> None:
    writer = JournalWriter(tmp_path)
    for number in range(6):
        writer.append([b"x" * 100, str(number).encode()], 0)
    reader = JournalSource(tmp_path, 0)
    reader.poll()
    assert len(reader.take(1)) == 2
    assert len(reader.take(250)) == 4
    assert len(reader.take(2**20, end=8)) == 2
    assert len(reader.take(2**20, end=8)) == 0
    assert len(reader.take(2**20)) == 4


@pytest.mark.parametrize("missing_bytes", [1, 5, 30, 39])
def test_a_torn_tail_is_skipped_and_the_next_writer_goes_on(tmp_path: Path, missing_bytes: int) -> None:
    writer = JournalWriter(tmp_path)
    writer.append([b"kept"], 1)
    writer.append([b"torn"], 2)
    writer.close()
    last = segments(tmp_path)[-1]
    os.truncate(last, last.stat().st_size - missing_bytes)
    assert written_position(tmp_path) == 1
    JournalWriter(tmp_path).append([b"after"], 3)
    assert read_all(tmp_path) == [b"kept", b"after"]


def test_a_damaged_payload_is_not_delivered(tmp_path: Path) -> None:
    writer = JournalWriter(tmp_path)
    writer.append([b"first"], 1)
    writer.append([b"second"], 1)
    writer.close()
    path = segments(tmp_path)[0]
    content = bytearray(path.read_bytes())
    content[-1] ^= 0xFF
    path.write_bytes(content)
    assert read_all(tmp_path) == [b"first"]


def test_a_full_disk_keeps_nothing_of_the_put(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = JournalWriter(tmp_path)
    writer.append([b"first"], 1)

    def full(descriptor: int, parts: Sequence[bytes], offset: int) -> int:
        return os.pwrite(descriptor, b"".join(parts)[:20], offset)

    with monkeypatch.context() as patched:
        patched.setattr(journal.os, "pwritev", full)
        with pytest.raises(OSError, match="full"):
            writer.append([b"second"], 1)
    writer.append([b"third"], 1)
    assert read_all(tmp_path) == [b"first", b"third"]


def test_committed_segments_are_removed_and_positions_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "SEGMENT_BYTES", 100)
    writer = JournalWriter(tmp_path)
    for number in range(10):
        writer.append([bytes(40), bytes([number])], 0)
    reader = JournalSource(tmp_path, 0)
    reader.poll()
    reader.take(2**20)
    remove_segments(tmp_path, 20)
    assert len(segments(tmp_path)) == 1
    assert JournalWriter(tmp_path).position == 20
    writer.append([b"next"], 0)
    reader.poll()
    assert reader.take(2**20).data == [b"next"]


def test_a_journal_that_is_delivered_holds_no_record_and_goes_on(tmp_path: Path) -> None:
    writer, reader = JournalWriter(tmp_path), JournalSource(tmp_path, 0)
    read: list[bytes] = []
    for number in range(3):
        put = [b"secret %d" % number, b"more"]
        writer.append(put, 7)
        reader.poll()
        read = reader.take(2**20).data
        assert read == put
        reader.committed(reader.position)
        writer.let_go(writer.position - 1)
        assert b"secret" in b"".join(path.read_bytes() for path in segments(tmp_path)), "not all is committed"
        writer.let_go(writer.position)
        assert b"".join(path.read_bytes() for path in segments(tmp_path)) == b""
        assert written_position(tmp_path) == writer.position == 2 * (number + 1)
    # Whoever begins anew writes and reads on.
    writer.close()
    writer = JournalWriter(tmp_path)
    writer.let_go(writer.position)
    writer.append([b"last"], 8)
    reader.poll()
    assert reader.take(2**20).data == [b"last"] == read_all(tmp_path, 6)


def test_segments_that_are_not_committed_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "SEGMENT_BYTES", 1)
    writer = JournalWriter(tmp_path)
    for number in range(4):
        writer.append([bytes([number])], 0)
    remove_segments(tmp_path, 2)
    assert read_all(tmp_path, 2) == [b"\2", b"\3"]


def write_until_killed(folder: Path, acknowledged: multiprocessing.connection.Connection) -> None:
    writer = JournalWriter(folder)
    number = 0
    while True:
        writer.append([str(number + i).encode() * 50 for i in range(5)], 0)
        number += 5
        acknowledged.send(number)


def test_an_acknowledged_record_survives_the_kill_of_its_writer(tmp_path: Path) -> None:
    receiver, sender = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("fork").Process(target=write_until_killed, args=(tmp_path, sender))
    process.start()
    sender.close()
    time.sleep(0.2)
    os.kill(process.pid or 0, signal.SIGKILL)
    process.join()
    count = 0
    while receiver.poll():
        try:
            count = receiver.recv()
        except EOFError:
            break
    assert count > 0
    assert read_all(tmp_path)[:count] == [str(number).encode() * 50 for number in range(count)]


def test_a_checkpoint_is_read_as_it_was_stored(tmp_path: Path) -> None:
    assert load_checkpoint(tmp_path) == Checkpoint(0)
    checkpoint = Checkpoint(5, Plan("ab", {"shard-1": "12"}), 2, "trouble")
    checkpoint.store(tmp_path)
    assert load_checkpoint(tmp_path) == checkpoint


def test_a_halved_plan_names_what_it_is_a_part_of_and_what_follows(tmp_path: Path) -> None:
    whole = Plan.up_to(8)
    first = whole.halved(4)
    quarter = first.halved(2)
    Checkpoint(0, plan=quarter).store(tmp_path)
    assert load_checkpoint(tmp_path).plan == quarter
    ends, part = [], quarter
    while part.following:
        ends.append((part.end, part.within))
        part = part.following
    ends.append((part.end, part.within))
    of_all = (whole.flush_id,)
    assert ends == [(2, (*of_all, first.flush_id)), (4, (*of_all, first.flush_id)), (8, of_all)]


def test_an_unclean_end_takes_journals_back_to_the_last_clean_stop(tmp_path: Path) -> None:
    folder = tmp_path / "firehose" / "orders@1"
    saved_state.restore(tmp_path)
    writer = JournalWriter(folder)
    writer.append([b"delivered", b"buffered"], 0)
    writer.close()
    Checkpoint(1).store(folder)
    saved_state.mark_saved(tmp_path)

    saved_state.restore(tmp_path)
    saved_state.mark_running(tmp_path)
    writer = JournalWriter(folder)
    writer.append([b"after the clean stop"], 0)
    Checkpoint(3).store(folder)
    remove_segments(folder, 3)
    JournalWriter(tmp_path / "firehose" / "later@2").append([b"of a stream that is gone"], 0)

    assert saved_state.restore(tmp_path).kind == "unclean"
    assert [path.name for path in stream_folders(tmp_path / "firehose")] == ["orders@1"]
    assert load_checkpoint(folder).committed == 1
    assert read_all(folder, 1) == [b"buffered"] or read_all(folder) == [b"delivered", b"buffered"]
    assert written_position(folder) == 2


def test_a_segment_that_is_kept_aside_is_never_written_again(tmp_path: Path) -> None:
    folder = tmp_path / "journal"
    JournalWriter(folder).append([b"torn"], 0)
    first = segments(folder)[0]
    os.truncate(first, 10)
    kept = tmp_path / "kept.segment"
    os.link(first, kept)
    JournalWriter(folder).append([b"new"], 0)
    assert kept.stat().st_size == 10
    assert read_all(folder) == [b"new"]


def test_a_segment_in_hand_that_is_kept_aside_is_not_written_on(tmp_path: Path) -> None:
    folder = tmp_path / "journal"
    writer = JournalWriter(folder)
    for number in range(3):
        writer.append([b"%d" % number], 0)
    os.link(segments(folder)[0], tmp_path / "kept.segment")
    before = (tmp_path / "kept.segment").read_bytes()
    for number in range(3, 6):
        writer.append([b"%d" % number], 0)
    assert (tmp_path / "kept.segment").read_bytes() == before
    assert len(segments(folder)) == 2
    assert read_all(folder) == [b"%d" % number for number in range(6)]


@settings(max_examples=60, deadline=None)
@given(
    puts=st.lists(st.integers(1, 5), max_size=6),
    ends=st.lists(st.integers(0, 30), max_size=5),
    limit_bytes=st.integers(1, 100),
)
def test_a_plan_may_end_within_a_put(
    tmp_path_factory: pytest.TempPathFactory, puts: list[int], ends: list[int], limit_bytes: int
) -> None:
    folder, numbers = tmp_path_factory.mktemp("journal"), itertools.count()
    writer = JournalWriter(folder)
    for count in puts:
        writer.append([b"%d" % next(numbers) for _ in range(count)], 7)
    reader: JournalSource = JournalSource(folder, 0)
    taken: list[int] = []
    for end in sorted(min(end, writer.position) for end in [*ends, 30]):
        reader = reader.again(reader.position) if end % 2 else reader
        reader.poll()
        middle = reader.middle(end)
        assert middle is None if end - reader.position < 2 else reader.position < middle < end
        while reader.position < end:
            records = reader.take(limit_bytes, end)
            assert len(records.data) == len(records.arrived_ms) > 0
            taken += map(int, records.data)
        assert taken == list(range(end))
    assert reader.waiting_bytes == 0
