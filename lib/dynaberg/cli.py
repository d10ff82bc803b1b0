"""The command line: `dynaberg …`. Imports stay inside the commands, so that `dynaberg local env` is quick."""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dynaberg import local
from dynaberg.errors import DynabergError, LocalAwsError
from dynaberg.settings import Settings, load_settings

if TYPE_CHECKING:
    import pandas as pd

    from dynaberg.source import InferredContract
    from dynaberg.workbench import Workbench

Command = Callable[[argparse.Namespace], int]
UNSET = ("AWS_PROFILE", "AWS_SESSION_TOKEN")
# What a hint tells to call in a notebook, and the command that does it in a terminal.
_INSTEAD_OF = {"enable_cdc": "deploy", "deploy_firehose": "deploy", "adopt": "adopt", "clean_up": "clean-up"}
_CALL = re.compile(rf"`?wb\.({'|'.join(_INSTEAD_OF)})\((?:[\"']([^\"']*)[\"'])?\)`?")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0, 1 for an explained error, 2 for wrong usage."""
    options = _parser().parse_args(arguments)
    # A terminal shows what a warning says, not where in the code it arose.
    warnings.formatwarning = lambda message, *_, **__: f"{message}\n"
    try:
        return int(options.run(options))
    except DynabergError as error:
        print(_CALL.sub(_command, str(error)), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader has closed the pipe (`| head`); without this Python complains again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _command(call: re.Match[str]) -> str:
    """The command that does what a call does."""
    return f"`{' '.join(filter(None, ('dynaberg', _INSTEAD_OF[call[1]], call[2])))}`"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="dynaberg", description="The changes of a DynamoDB table, in Iceberg tables."
    )
    parser.add_argument("--target", help="local (the default) or aws; for every command but `local`")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    group = commands.add_parser("local", help="the local AWS: start, stop, status, env, reset")
    actions = group.add_subparsers(title="actions", required=True, metavar="ACTION")
    for name, (run, text) in _LOCAL.items():
        action = actions.add_parser(name, help=text, description=text)
        action.set_defaults(run=run)
        if name == "stop":
            action.add_argument("--force", action="store_true", help="although somebody else is connected")
        if name == "start":
            action.add_argument(
                "--enforce-iam", action="store_true", help="check calls against their callers' policies"
            )
    _add_room(commands.add_parser("room", help="a room of learners: check, seat, reset, sheet"))
    _add_contract(commands.add_parser("contract", help="the table contract: infer"))
    made = {
        name: commands.add_parser(name, help=text, description=text) for name, (_, text) in _COMMANDS.items()
    }
    for name, command in made.items():
        command.set_defaults(run=_COMMANDS[name][0])
    made["walk"].add_argument("--html", type=Path, metavar="DIR", help="keep executed copies as HTML pages")
    made["walk"].add_argument("notebook", nargs="*", help="notebooks to run, 04_query or 04; by default all")
    made["clean-up"].add_argument(
        "--confirm", required=True, metavar="NAME", help="the workbench's name, as a confirmation"
    )
    made["clean-up"].add_argument(
        "--delete-items-of",
        metavar="TABLE",
        action="append",
        default=[],
        help="a created DynamoDB table that may be deleted although others wrote items into it",
    )
    made["policy"].add_argument("policy", help="work (for the library) or deploy (for CloudFormation)")
    made["adopt"].add_argument(
        "table", nargs="?", metavar="TABLE", help="a table contract; by default the settings' one"
    )
    _add_backfill(made["backfill"])
    made["sql"].add_argument("statement", help="the statement, in quotes")
    return parser


def _add_backfill(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "table", nargs="?", metavar="TABLE", help="a table contract; by default the settings' one"
    )
    command.add_argument("--method", help="scan or export; by default what suits the table")
    command.add_argument(
        "--export", default="", metavar="EXPORT", help="an export that exists: its ARN or address"
    )
    command.add_argument("--sample", type=int, metavar="ITEMS", help="compare only about so many at the end")
    command.add_argument("--no-reconcile", action="store_true", help="compare nothing at the end")


def _add_contract(group: argparse.ArgumentParser) -> None:
    actions = group.add_subparsers(title="actions", required=True, metavar="ACTION")
    text = "infer the contract of an existing DynamoDB table from its items"
    infer = actions.add_parser("infer", help=text, description=f"{text}; a file that exists is not changed.")
    infer.set_defaults(run=_contract_infer)
    infer.add_argument("table", metavar="TABLE", help="name of the DynamoDB table, which is only read")
    infer.add_argument(
        "--sample",
        type=_sample,
        default=10_000,
        metavar="ITEMS",
        help="how many items to read (10000), or all",
    )
    infer.add_argument("--path", type=Path, metavar="FILE", help="the YAML file; data/tables/TABLE.yaml")
    infer.add_argument(
        "--kinds", action="store_true", help="a contract for each kind of items, in data/tables"
    )
    infer.add_argument("--overwrite", action="store_true", help="replace the file if it exists")


def _add_room(group: argparse.ArgumentParser) -> None:
    actions = group.add_subparsers(title="actions", required=True, metavar="ACTION")
    made = {name: actions.add_parser(name, help=text, description=text) for name, (_, text) in _ROOM.items()}
    for name, action in made.items():
        action.set_defaults(run=_ROOM[name][0])
    made["check"].add_argument("--people", type=int, default=20, help="how many work at once (20)")
    made["seat"].add_argument("names", nargs="+", metavar="NAME", help="the learners, ada or learner01")
    made["reset"].add_argument("name", metavar="NAME", help="the learner")
    made["sheet"].add_argument("--out", type=Path, default=Path("build"), metavar="DIR", help="where (build)")


def _sample(text: str) -> int | None:
    if text != "all" and not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is neither a number of items nor `all`")
    return None if text == "all" else int(text)


# dynaberg local … -------------------------------------------------------------------------------


def _local_start(options: argparse.Namespace) -> int:
    status = local.start(_local_settings(), enforce_iam=options.enforce_iam)
    print(f"The local AWS runs at {status.endpoint} (process {status.pid}), state in {status.state_dir}.")
    if status.restored == "unclean":
        print(f"It had not been stopped cleanly; it started from {status.restored_from or 'nothing'}.")
    if status.enforces_iam:
        print("Calls with the keys of users and roles are checked against their policies.")
    print('To use it from other AWS clients: eval "$(dynaberg local env)"')
    return 0


def _local_stop(options: argparse.Namespace) -> int:
    stopped = local.stop(_local_settings(), force=options.force)
    print("The local AWS has stopped; its state is kept." if stopped else "The local AWS was not running.")
    return 0


def _local_status(_: argparse.Namespace) -> int:
    status = local.status(_local_settings())
    if status is None:
        print(f"The local AWS is not running. {local.start_hint()}")
        return 1
    print(f"endpoint  {status.endpoint}\nregion    {status.region}\nprocess   {status.pid}")
    print(f"since     {status.started_at:%Y-%m-%d %H:%M:%S %Z}, from {status.restored} state")
    print(f"saved     {status.checkpoint_at or 'not since then'}; a kill goes back to that")
    if status.checkpoint_error:
        print(f"not saved {status.checkpoint_error}")
    if status.damaged:
        print(f"damaged   {status.damaged}, of a newer checkpoint; it started from {status.restored_from}")
    print(f"memory    {status.memory_bytes / 2**20:.0f} MiB\nstate     {status.state_dir}")
    if not status.is_current:
        print(f"Its code has changed since it was started. {local.restart_hint()}")
    return 0


def _local_env(_: argparse.Namespace) -> int:
    status = local.status(_local_settings())
    if status is None:
        msg = "The local AWS is not running."
        raise LocalAwsError(msg, hint=local.start_hint())
    for name, value in local.environment(status).items():
        print(f"export {name}={shlex.quote(value)}")
    print(f"unset {' '.join(UNSET)}")
    return 0


def _local_reset(_: argparse.Namespace) -> int:
    settings = _local_settings()
    local.reset(settings)
    print(f"The local AWS has stopped, and its state in {settings.local_state} is deleted.")
    return 0


def _local_settings() -> Settings:
    return load_settings(target="local")


# dynaberg contract … ----------------------------------------------------------------------------


def _contract_infer(options: argparse.Namespace) -> int:
    from dynaberg import aws, source

    # No workbench: that needs a table contract, and a new project has none yet.
    settings = load_settings(target=options.target)
    session = aws.open_session(settings)
    given = {"sample": options.sample, "overwrite": options.overwrite}
    if options.kinds:
        for inferred in source.infer_contracts(session, settings, options.table, **given):
            _show_inferred(inferred)
    else:
        _show_inferred(source.infer_contract(session, settings, options.table, path=options.path, **given))
    return 0


def _show_inferred(inferred: InferredContract) -> None:
    columns, units = len(inferred.contract.columns), f"{inferred.read_units:,.1f} read units"
    print(f"{inferred.items:,} items were read ({units}); they need {columns:,} columns.", file=sys.stderr)
    if inferred.diff:
        print(inferred.diff, end="")
    state = "is written" if inferred.written else "stays as it is" if inferred.diff else "is up to date"
    advice = " (--overwrite replaces it)" if inferred.diff and not inferred.written else ""
    print(f"{inferred.path} {state}{advice}.", file=sys.stderr)


# dynaberg room … --------------------------------------------------------------------------------


def _room_check(options: argparse.Namespace) -> int:
    from dynaberg.walk import room

    report = room.check(_local_settings(), options.people)
    _show(report)
    return 0 if report["ok"].all() else 1


def _room_seat(options: argparse.Namespace) -> int:
    from dynaberg.walk import room

    for name, folder in zip(options.names, room.seat(_local_settings(), options.names), strict=True):
        print(f"DYNABERG_NAME={name} .venv/bin/jupyter lab --notebook-dir {folder.name}")
    return 0


def _room_reset(options: argparse.Namespace) -> int:
    from dynaberg.walk import room
    from dynaberg.workbench import connect

    room.require_seat(_local_settings(), options.name)
    for pipeline in ("", *(f"-{pipeline}" for pipeline in room.PIPELINES)):
        workbench = connect("local", name=f"{options.name}{pipeline}")
        created = [workbench.table().contract.source_table]
        removed = workbench.clean_up(confirm=workbench.name, delete_items_of=created)
        print(f"{workbench.name}: {len(removed)} resources removed")
    print(f"{room.clear_seat(_local_settings(), options.name).name}: the notebooks are as on the first day")
    return 0


def _room_sheet(options: argparse.Namespace) -> int:
    from dynaberg.walk import write_sheet

    for path in write_sheet(options.out):
        print(path)
    return 0


# dynaberg … -------------------------------------------------------------------------------------


def _walk(options: argparse.Namespace) -> int:
    from dynaberg.walk import walk

    return walk(load_settings(target=options.target), options.notebook, options.html)


def _deploy(options: argparse.Namespace) -> int:
    workbench = _workbench(options)
    _show(workbench.enable_cdc())
    _show(workbench.integrate_analytics())
    _show(workbench.deploy_firehose())
    return 0


def _adopt(options: argparse.Namespace) -> int:
    workbench = _workbench(options)
    _show(workbench.adopt(options.table))
    _show(workbench.integrate_analytics())
    _show(workbench.deploy_firehose(options.table))
    return 0


def _backfill(options: argparse.Namespace) -> int:
    table = _workbench(options).table(options.table)
    ending = {"reconcile": not options.no_reconcile, "sample": options.sample}
    preview = table.preview_backfill(
        method=options.method or ("export" if options.export else None), **ending
    )
    print(preview.T.to_string(header=False))
    done = table.backfill(method=options.method, export=options.export, **ending)
    print(f"\n{done.df.T.to_string(header=False)}\n\n{done.summary}")
    return 0 if done.matches or options.no_reconcile else 1


def _tables(options: argparse.Namespace) -> int:
    from dynaberg.contracts import project_contracts
    from dynaberg.layers import create_tables

    workbench = _workbench(options)
    own = workbench.table().contract
    # With `when`, the contract of the folder knows the other tables of its source.
    known = [c for c in project_contracts(workbench.settings, own) if c.table == own.table]
    _show(create_tables(workbench.session, workbench.settings, known[0]))
    return 0


def _clean_up(options: argparse.Namespace) -> int:
    _show(_workbench(options).clean_up(confirm=options.confirm, delete_items_of=options.delete_items_of))
    return 0


def _doctor(options: argparse.Namespace) -> int:
    report = _workbench(options).doctor()
    _show(report)
    return 0 if report["ok"].all() else 1


def _policy(options: argparse.Namespace) -> int:
    print(json.dumps(_workbench(options).policy(options.policy), indent=2))
    return 0


def _sql(options: argparse.Namespace) -> int:
    _show(_workbench(options).query(options.statement).df)
    return 0


def _workbench(options: argparse.Namespace) -> Workbench:
    from dynaberg.workbench import connect

    return connect(options.target)


def _show(frame: pd.DataFrame) -> None:
    print(frame.to_string(index=False) if len(frame) else "nothing")


_LOCAL: dict[str, tuple[Command, str]] = {
    "start": (_local_start, "start it, or find the one that is running"),
    "stop": (_local_stop, "stop it and keep its state"),
    "status": (_local_status, "show its address, its start time and its memory"),
    "env": (_local_env, "print the environment variables that other AWS clients need"),
    "reset": (_local_reset, "stop it and delete its state"),
}
_ROOM: dict[str, tuple[Command, str]] = {
    "check": (_room_check, "check whether this machine can seat a number of people at once"),
    "seat": (_room_seat, "give each learner a folder of notebooks, and print how to open it"),
    "reset": (_room_reset, "remove what one learner made, and give them fresh notebooks"),
    "sheet": (_room_sheet, "write the cheat sheet: every call on one page, as HTML and PDF"),
}
_COMMANDS: dict[str, tuple[Command, str]] = {
    "walk": (_walk, "run the notebooks in order"),
    "deploy": (_deploy, "deploy the foundation, the Iceberg tables, the delivery and its alarms"),
    "adopt": (_adopt, "deploy around an existing DynamoDB table, which is not changed but for its stream"),
    "backfill": (_backfill, "bring in what was in the table before, and compare it with DynamoDB"),
    "tables": (_tables, "create the Iceberg tables, or add the contract's new columns"),
    "clean-up": (_clean_up, "remove everything that was created, including the data"),
    "doctor": (_doctor, "check every precondition and show how to fix it"),
    "policy": (_policy, "print an IAM policy for those who work or deploy"),
    "sql": (_sql, "run one Athena SQL statement and print its rows"),
}


if __name__ == "__main__":
    sys.exit(main())
