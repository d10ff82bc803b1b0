"""The rooms of both packages: who may import whom, what a room hands out, and how large it may grow."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import median

import pytest

LIB = Path(__file__).parents[2] / "lib"

# From the bottom up: a room may use those that stand before it, and none behind it.
DYNABERG = (
    "dynaberg",  # the ground: errors, settings, aws, catalog, prices, display, local
    "dynaberg.contracts",
    "dynaberg.contracts.inference",
    "dynaberg.source",
    "dynaberg.functions",
    "dynaberg.functions.statements",
    "dynaberg.functions.schedule",
    "dynaberg.functions.handlers",
    "dynaberg.deploy",
    "dynaberg.deploy.cdk",
    "dynaberg.sql",
    "dynaberg.masks",
    "dynaberg.delivery",
    "dynaberg.layers",
    "dynaberg.curated",
    "dynaberg.schedule",
    "dynaberg.past",
    "dynaberg.profile",
    "dynaberg.proof",
    "dynaberg.upkeep",
    "dynaberg.erasure",
    "dynaberg.plots.canvas",
    "dynaberg.plots",
    "dynaberg.workbench",
    "dynaberg.walk",
)
LOCAL_AWS = (
    "local_aws",  # the ground: wire, environment, json_files
    "local_aws.streams",
    "local_aws.seams",
    "local_aws.cloudwatch",
    "local_aws.faults",
    "local_aws.events",
    "local_aws.kinesis",
    "local_aws.s3tables",
    "local_aws.s3tables.maintenance",
    "local_aws.firehose.arrow",
    "local_aws.firehose.stream",
    "local_aws.firehose.append",
    "local_aws.firehose.delivery",
    "local_aws.firehose",
    "local_aws.athena.dialect",
    "local_aws.athena.typed",
    "local_aws.athena.tables",
    "local_aws.athena.statements",
    "local_aws.athena.api",
    "local_aws.athena",
    "local_aws.server",
)
ORDER = {room: place for rooms in (DYNABERG, LOCAL_AWS) for place, room in enumerate(rooms)}
# They stand at the top of their package's folder, and above all of its rooms.
ON_TOP = {"dynaberg.__init__", "dynaberg.cli", "local_aws.__init__", "local_aws.__main__"}
MOST_FILES, MOST_LINES, USUAL_LINES = 14, 400, range(90, 181)


@dataclass(frozen=True)
class Arrow:
    """One import: `source` uses `target`, a module or a room, and takes `name` from it."""

    source: str
    target: str
    name: str
    line: int

    def __str__(self) -> str:
        return f"{self.source}:{self.line} imports {self.name} from {self.target}"


def dotted(path: Path) -> str:
    return ".".join(path.relative_to(LIB).with_suffix("").parts)


FILES = {
    dotted(path): path for package in ("dynaberg", "local_aws") for path in (LIB / package).rglob("*.py")
}
ROOMS = {name.removesuffix(".__init__") for name in FILES if name.endswith(".__init__")}


def room_of(module: str) -> str:
    """The room in which a file lies."""
    return module.rpartition(".")[0]


@cache
def arrows() -> list[Arrow]:
    """Every import of our own modules, those inside functions and for types only too."""
    return list(read_arrows())


def read_arrows() -> Iterator[Arrow]:
    for module, path in sorted(FILES.items()):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                ours = [a.name for a in node.names if a.name.partition(".")[0] in ("dynaberg", "local_aws")]
                yield from (Arrow(module, name, "", node.lineno) for name in ours)
            elif isinstance(node, ast.ImportFrom):
                base = absolute(module, node)
                if base.partition(".")[0] in ("dynaberg", "local_aws"):
                    yield from (Arrow(module, *aim(base, a.name), node.lineno) for a in node.names)


def absolute(module: str, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    parts = module.split(".")[: -node.level]
    return ".".join([*parts, node.module] if node.module else parts)


def aim(base: str, name: str) -> tuple[str, str]:
    """What an import reaches: `from room import module` reaches the module."""
    inside = f"{base}.{name}"
    return (inside, "") if inside in FILES or inside in ROOMS else (base, name)


def place(module: str) -> int:
    """How high a file or a room stands in its package; the package itself is its door."""
    if module in ON_TOP or not room_of(module):
        return len(ORDER)
    return ORDER[module if module in ROOMS and module.count(".") else room_of(module)]


def handed_out(room: str) -> set[str]:
    """What a room's `__all__` names."""
    tree = ast.parse(FILES[f"{room}.__init__"].read_text(encoding="utf-8"))
    for node in tree.body:
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        if isinstance(target, ast.Name) and target.id == "__all__" and isinstance(node.value, ast.List):
            return {element.value for element in node.value.elts if isinstance(element, ast.Constant)}
    return set()


def within(package: str) -> list[Arrow]:
    return [a for a in arrows() if a.source.partition(".")[0] == a.target.partition(".")[0] == package]


def test_every_folder_is_a_room_of_the_order() -> None:
    assert set(ORDER) == ROOMS
    assert {room_of(module) for module in FILES} == ROOMS


@pytest.mark.parametrize("package", ["dynaberg", "local_aws"])
def test_arrows_point_down_only(package: str) -> None:
    rising = [str(a) for a in within(package) if place(a.source) < place(a.target)]
    assert not rising, "\n".join(rising)


@pytest.mark.parametrize("package", ["dynaberg", "local_aws"])
def test_no_file_needs_itself(package: str) -> None:
    needed: dict[str, set[str]] = {}
    for a in within(package):
        target = f"{a.target}.__init__" if a.target in ROOMS else a.target
        if not (target == f"{room_of(a.source)}.__init__" and a.name == ""):
            needed.setdefault(a.source, set()).add(target)
    finished: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " → ".join([*path[path.index(module) :], module])
        if module not in finished:
            for target in sorted(needed.get(module, ())):
                visit(target, (*path, module))
            finished.add(module)

    for module in sorted(needed):
        visit(module, ())


def test_other_rooms_use_only_what_a_room_hands_out() -> None:
    private = []
    for a in arrows():
        room = a.target if a.target in ROOMS else room_of(a.target)
        home = room_of(a.source)
        if room in (home, "dynaberg", "local_aws") or (a.target == room and not a.name):
            continue
        name = a.name if a.target == room else a.target.rpartition(".")[2]
        if name not in handed_out(room):
            private.append(str(a))
    assert not private, "\n".join(private)


def test_a_room_says_what_belongs_in_it_and_hands_out_only_what_others_use() -> None:
    used = {(a.target, a.name) for a in arrows()} | {
        (room_of(a.target), a.target.rpartition(".")[2]) for a in arrows()
    }
    for room in sorted(ROOMS - {"dynaberg", "local_aws"}):
        tree = ast.parse(FILES[f"{room}.__init__"].read_text(encoding="utf-8"))
        assert len((ast.get_docstring(tree) or "").split()) >= 15, room
        source = FILES[f"{room}.__init__"].read_text(encoding="utf-8")
        assert "__all__" in source, room
        named = {name for target, name in used if target == room} | attributes_used(room)
        assert handed_out(room) <= named, (room, handed_out(room) - named)


def attributes_used(room: str) -> set[str]:
    """What is taken from a room as `room.name`, as `deploy.outputs` is."""
    if room in ("dynaberg.plots", "dynaberg.workbench"):
        return handed_out(room)
    return {name for user, used, name in room_attributes() if used == room and room_of(user) != room}


@cache
def room_attributes() -> set[tuple[str, str, str]]:
    """Every `room.name` in the code: the module that says it, the room, and the name."""
    found: set[tuple[str, str, str]] = set()
    for module, path in FILES.items():
        nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
        rooms = {
            a.asname or a.name: f"{absolute(module, node)}.{a.name}"
            for node in nodes
            if isinstance(node, ast.ImportFrom)
            for a in node.names
        }
        found |= {
            (module, rooms[node.value.id], node.attr)
            for node in nodes
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in rooms
        }
    return found


def test_what_runs_in_lambda_needs_nothing_of_ours() -> None:
    inside = [a for a in arrows() if room_of(a.source).startswith("dynaberg.functions")]
    assert inside
    assert [str(a) for a in inside if not a.target.startswith("dynaberg.functions")] == []


def test_the_two_packages_meet_at_one_door() -> None:
    crossing = [a for a in arrows() if a.source.partition(".")[0] != a.target.partition(".")[0]]
    assert {a.source for a in crossing} == {"dynaberg.local"}
    assert {a.target for a in crossing} == {"local_aws"}


def test_private_parts_of_ministack_are_touched_in_seams_only() -> None:
    touching = set()
    for module, path in FILES.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            if any(name.partition(".")[0] == "ministack" for name in names):
                touching.add(room_of(module))
    assert touching == {"local_aws.seams"}


def test_no_folder_and_no_file_grows_out_of_hand() -> None:
    folders: dict[Path, int] = {}
    for path in LIB.rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts and ".egg-info" not in str(path):
            folders[path.parent] = folders.get(path.parent, 0) + 1
    assert {str(folder): n for folder, n in folders.items() if n > MOST_FILES} == {}
    lines = {module: len(path.read_text(encoding="utf-8").splitlines()) for module, path in FILES.items()}
    assert {module: n for module, n in lines.items() if n > MOST_LINES} == {}
    usual = median(n for module, n in lines.items() if not module.endswith("__init__"))
    assert USUAL_LINES.start <= usual < USUAL_LINES.stop
