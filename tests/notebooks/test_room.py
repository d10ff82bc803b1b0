"""Four learners at once on one local AWS, each under a name: none fails, and none sees what others wrote."""

import pytest
from tests.benchmarks.bench_room import Lesson, teach

PEOPLE, CHANGES = 4, 100


@pytest.fixture(scope="module")
def lesson(tmp_path_factory: pytest.TempPathFactory) -> Lesson:
    """`bench_room.py` has the whole course, for twenty."""
    folder = tmp_path_factory.mktemp("room")
    return teach(folder, PEOPLE, notebooks=("03", "04"), changes=CHANGES)


def test_nobody_fails(lesson: Lesson) -> None:
    assert lesson.failures == []
    assert {len(stops) for stops in lesson.stops.values()} == {2}
    assert len(lesson.stops) == PEOPLE


def test_everybody_has_what_one_alone_would_have(lesson: Lesson) -> None:
    assert [words.partition(":")[0] for words in lesson.headlines("03")] == [f"{CHANGES} changes arrived"]
    (reached,) = lesson.headlines("04")
    # 60 of 100 are inserts, 15 are deletes, and one item is written by hand.
    assert reached.startswith("46 transactions, equal to DynamoDB")


def test_the_local_aws_stays_small(lesson: Lesson) -> None:
    assert 0 < lesson.mib < 1024
