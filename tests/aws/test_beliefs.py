"""What this project believes of AWS, seen on an account: a table of belief, what was seen, and the verdict.

`python -m pytest -m aws tests/aws/test_beliefs.py` prints it at its end; `conftest.py` says how to start it.
A failure names what would have to change. It costs cents. Two things are not asked: routing inside Firehose,
because each change log has a Firehose stream of its own, and what no run of an hour can show.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from tests.aws.workbenches import CHANGES, limit_queries, workbenches

import dynaberg
from dynaberg import aws, deploy
from dynaberg.catalog import only_adds
from dynaberg.errors import QueryError
from dynaberg.source import shards_of

pytestmark = pytest.mark.thorough

NOT_SEEN = "not seen"


@dataclass
class Seen:
    """A walk, and what was kept of it on the way.

    Attributes:
        wb: The workbench.
        kept: What each step returned.
        rows: What was judged so far: belief, what was seen, verdict.
    """

    wb: dynaberg.Workbench
    kept: dict[str, Any] = field(default_factory=dict)
    rows: list[tuple[str, str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Belief:
    """Something that is believed of AWS.

    Attributes:
        words: The belief.
        otherwise: What would have to change.
        look: What is seen, and whether it is as believed; None where it cannot be seen yet.
    """

    words: str
    otherwise: str
    look: Callable[[Seen], tuple[Any, bool | None]]


def walk(wb: dynaberg.Workbench) -> dict[str, Any]:
    """Two rounds of changes, delivered and merged."""
    wb.enable_cdc()
    limit_queries(wb)
    wb.deploy_firehose(buffer_seconds=0)
    kept: dict[str, Any] = {"traffic": wb.generate_traffic(CHANGES)}
    # A workbench that did not write the changes itself waits for those in the stream, each by its id.
    other = dynaberg.Workbench(wb.settings, wb.session, wb.table().contract)
    kept["wait"] = other.table().wait_for_delivery(timeout=900)
    kept["first"] = wb.table().refresh()
    wb.generate_traffic(CHANGES, seed=2)
    wb.table().wait_for_delivery(timeout=900)
    kept["second"] = wb.table().refresh()
    kept["maintained"] = wb.table().maintain(target_mb=64, confirm="transactions")
    return kept


def stream_pages(seen: Seen) -> Iterator[list[Mapping[str, Any]]]:
    """The pages of the change stream, of each shard from its beginning until it gives nothing any more."""
    streams = aws.client(seen.wb.session, "dynamodbstreams")
    arn = deploy.outputs(seen.wb.session, seen.wb.settings, "foundation")["ChangeStreamArn"]
    for shard in shards_of(streams, arn):
        place = {"StreamArn": arn, "ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON"}
        iterator, empty = streams.get_shard_iterator(**place)["ShardIterator"], 0
        while iterator and empty < 20:
            page = streams.get_records(ShardIterator=iterator)
            empty = 0 if page["Records"] else empty + 1
            yield page["Records"]
            iterator = page.get("NextShardIterator")


# What is looked at ------------------------------------------------------------------------------


def operations_of_firehose(seen: Seen) -> tuple[Any, bool]:
    log = seen.wb.table().log
    found = log.snapshots()
    names = sorted({s.summary.operation.value for s in found if s.summary})
    return names, all(only_adds(s) or (s.summary and s.summary.operation.value == "replace") for s in found)


def first_wait(seen: Seen) -> tuple[Any, bool]:
    waited = int(seen.kept["wait"]["changes"].item())
    return f"{waited} of {CHANGES}", waited >= CHANGES


def bytes_of_a_refresh(seen: Seen) -> tuple[Any, bool]:
    scanned = int(seen.kept["second"]["bytes_scanned"].item())
    sizes = [
        int(seen.wb.iceberg_table(name).profile_files()["bytes"].sum())
        for name in (seen.wb.settings.log_name, seen.wb.settings.table_name)
    ]
    return f"{scanned:,} of {sum(sizes):,} bytes", 0 < scanned <= 2 * sum(sizes)


def size_of_metadata(seen: Seen) -> tuple[Any, bool]:
    log = seen.wb.table().log
    size = len(log.io.new_input(log.metadata_location).open().read())
    each = size / len(log.snapshots())
    return f"{each:,.0f} bytes a snapshot", each < 10_000


def total_after_a_compaction(seen: Seen) -> tuple[Any, bool | None]:
    shown = seen.wb.table().snapshots()
    rows = int(seen.wb.query("SELECT count(*) AS n FROM transactions").df["n"].item())
    total = int(shown["total_records"].iloc[-1])
    if (shown["operation"] == "replace").any() or total != rows:
        return f"{total:,} and {rows:,}", total == rows
    return f"{total:,} and {rows:,}, but no compaction yet", None


def bookmark(seen: Seen) -> tuple[Any, bool]:
    table = seen.wb.table()
    table.bookmark("belief", int(seen.kept["first"]["snapshot_id"].item()))
    rows = len(table.read_as_of("belief", columns=("transaction_id",)))
    table.remove_bookmark("belief")
    left = len(table.bookmarks())
    return f"{rows} rows, {left} left", rows > 0 and not left


def create_as(seen: Seen, name: str, column: str) -> str:
    try:
        seen.wb.query(f"CREATE TABLE {name} AS SELECT {column} AS at FROM transactions LIMIT 1")
    except QueryError as error:
        return error.message.splitlines()[0]
    seen.wb.query(f"DROP TABLE {name}")
    return "created"


def zoned_moments(seen: Seen) -> tuple[Any, bool]:
    told = create_as(seen, "belief_zoned", "changed_at")
    return told, "timestamp(6) with time zone" in told


def moments_in_utc(seen: Seen) -> tuple[Any, bool]:
    told = create_as(seen, "belief_utc", "CAST(changed_at AT TIME ZONE 'UTC' AS timestamp(6))")
    return told, told == "created"


def purge_of_pyiceberg(seen: Seen) -> tuple[Any, bool]:
    seen.wb.query("CREATE TABLE belief_purge AS SELECT 1 AS n")
    name = (seen.wb.settings.namespace, "belief_purge")
    try:
        seen.wb.catalog.purge_table(name)
    except Exception as error:  # noqa: BLE001 - whatever it says is what is to be seen
        seen.wb.query("DROP TABLE belief_purge")
        return f"{type(error).__name__}: {error}", False
    return "dropped", True


def order_of_stream_times(seen: Seen) -> tuple[Any, bool]:
    pages = list(stream_pages(seen))
    made: dict[str, list[tuple[int, float]]] = {}
    for record in (record["dynamodb"] for page in pages for record in page):
        moment = record["ApproximateCreationDateTime"].timestamp()
        key = json.dumps(record["Keys"], sort_keys=True)
        made.setdefault(key, []).append((int(record["SequenceNumber"]), moment))
    ordered = [sorted(each) for each in made.values()]
    backwards = sum(b < a for each in ordered for (_, a), (_, b) in pairwise(each))
    return f"{backwards} of {sum(map(len, ordered))} changes dated before their forerunner", backwards == 0


def whole_seconds(seen: Seen) -> tuple[Any, bool]:
    moments = [r["dynamodb"]["ApproximateCreationDateTime"] for page in stream_pages(seen) for r in page]
    exact = sum(bool(moment.microsecond) for moment in moments)
    return f"{exact} of {len(moments)} with fractions of a second", exact == 0


def empty_pages(seen: Seen) -> tuple[Any, bool]:
    longest = run = 0
    for page in stream_pages(seen):
        longest, run = (max(longest, run), 0) if page else (longest, run + 1)
    return f"{longest} in a row before a record", longest <= 12


def digits_of_sequence_numbers(seen: Seen) -> tuple[Any, bool]:
    lengths = {len(r["dynamodb"]["SequenceNumber"]) for page in stream_pages(seen) for r in page}
    return f"{sorted(lengths)} digits", max(lengths) <= 40


def grants_of_lake_formation(seen: Seen) -> tuple[Any, bool | None]:
    if seen.wb.settings.access_mode != "lakeformation":
        return "the access mode is iam", None
    found = aws.client(seen.wb.session, "lakeformation").list_permissions()
    return found["PrincipalResourcePermissions"], bool(found["PrincipalResourcePermissions"])


BELIEFS = [
    Belief(
        "Firehose's snapshots add files and remove none, by name or by summary",
        "each refresh would read the whole log: catalog.only_adds",
        operations_of_firehose,
    ),
    Belief(
        "a first wait finds every change of the stream",
        "waits would end too early: source/change_stream.py, _EMPTY_PAGES",
        first_wait,
    ),
    Belief(
        "a refresh scans no more than twice the log and the table",
        "the estimate of costs would be too low: upkeep/cost.py",
        bytes_of_a_refresh,
    ),
    Belief(
        "a snapshot of the log adds less than 10 kB to its metadata",
        "the log would reach Glue's limit within its 24 hours: a longer buffer",
        size_of_metadata,
    ),
    Belief(
        "snapshots() counts the rows that count(*) counts",
        "deletes would count that delete nothing: catalog.live_records",
        total_after_a_compaction,
    ),
    Belief("a property can be committed and removed", "bookmarks would need another place", bookmark),
    Belief(
        "CREATE TABLE AS refuses moments with a time zone",
        "the local Athena and a hint would be too strict: athena/statements/ddl.py",
        zoned_moments,
    ),
    Belief(
        "CREATE TABLE AS takes them in UTC without a zone",
        "the hint in sql/refusals.py would lead nowhere",
        moments_in_utc,
    ),
    Belief(
        "pyiceberg's purge_table drops a table",
        "nothing of ours: it is not used; pages/engines.md should say so",
        purge_of_pyiceberg,
    ),
    Belief(
        "changes of a key are dated in the order of their sequence numbers",
        "the running maximum of layers/latest.py would be at work: nothing to do",
        order_of_stream_times,
    ),
    Belief(
        "DynamoDB Streams dates changes to the second",
        "backfilled rows could be dated more exactly: delivery/backfill.py",
        whole_seconds,
    ),
    Belief(
        "no more than 12 empty pages come before a record",
        "source/change_stream.py, _EMPTY_PAGES, would be too low",
        empty_pages,
    ),
    Belief(
        "sequence numbers have at most 40 digits",
        "they would sort wrongly: functions/change_row.py",
        digits_of_sequence_numbers,
    ),
    Belief(
        "the grants of access.yaml are enough with Lake Formation",
        "deploy/templates/access.yaml",
        grants_of_lake_formation,
    ),
]


@pytest.fixture(
    scope="module",
    params=[
        pytest.param("local_aws", marks=pytest.mark.integration, id="local"),
        pytest.param("real_aws", marks=pytest.mark.aws, id="aws"),
    ],
)
def seen(request: pytest.FixtureRequest, ceiling_usd: Decimal) -> Iterator[Seen]:
    """A walk to look at; when all is judged, the table is printed."""
    with workbenches(request.getfixturevalue(request.param), ceiling_usd) as make:
        wb = make("dynamodb")
        looked = Seen(wb, walk(wb))
        yield looked
        with request.config.pluginmanager.get_plugin("capturemanager").global_and_fixture_disabled():
            print(f"\n{as_table(looked.rows)}")


def as_table(rows: list[tuple[str, str, str]]) -> str:
    """The table of beliefs, in columns."""
    lines = []
    for belief, what, verdict in [("belief", "seen", "verdict"), *rows]:
        parts = textwrap.wrap(belief, 50), textwrap.wrap(what, 44)
        height = max(map(len, parts))
        left, middle = ([*part, *[""] * (height - len(part))] for part in parts)
        right = [verdict, *[""] * (height - 1)]
        lines += [f"{a:50}  {b:44}  {c}" for a, b, c in zip(left, middle, right, strict=True)]
    return "\n".join(line.rstrip() for line in lines)


@pytest.mark.parametrize("belief", BELIEFS, ids=lambda belief: belief.words)
def test_belief(seen: Seen, belief: Belief) -> None:
    what, holds = belief.look(seen)
    verdict = NOT_SEEN if holds is None else "as believed" if holds else "WRONG"
    seen.rows.append((belief.words, str(what), verdict))
    assert verdict != "WRONG", f"Seen: {what}. So {belief.otherwise}."


def test_the_table_has_a_line_for_each_belief() -> None:
    table = as_table([("a belief " * 9, "what was seen", "as believed"), ("another", "nothing", NOT_SEEN)])
    assert table.splitlines()[0].split() == ["belief", "seen", "verdict"]
    assert table.count("as believed") == table.count(NOT_SEEN) == 1
    assert max(map(len, table.splitlines())) <= 110
