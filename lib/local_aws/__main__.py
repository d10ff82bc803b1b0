"""The local AWS on the command line: `python -m local_aws start | stop | status | env | reset`."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

import local_aws
from local_aws import LocalAwsError, Status
from local_aws.environment import DEFAULT_PORT


def start(options: argparse.Namespace) -> None:
    """Start it, or find it."""
    print(describe(local_aws.start(options.state_dir, port=options.port, enforce_iam=options.enforce_iam)))


def stop(options: argparse.Namespace) -> None:
    """Stop it and save its state."""
    print("Stopped; its state is saved." if local_aws.stop(options.state_dir) else "It was not running.")


def show_status(options: argparse.Namespace) -> None:
    """Say where it is."""
    status = local_aws.status(options.state_dir)
    print(describe(status) if status else "It is not running.")


def show_env(options: argparse.Namespace) -> None:
    """Print what a shell must evaluate for any AWS client to reach it."""
    status = local_aws.status(options.state_dir)
    if status is None:
        msg = f"No local AWS runs on {options.state_dir}."
        raise LocalAwsError(msg, hint="Start it: `python -m local_aws start`.")
    for name, value in local_aws.env(status.endpoint, status.region).items():
        print(f"export {name}={shlex.quote(value)}")
    print("unset AWS_PROFILE AWS_SESSION_TOKEN")


def reset(options: argparse.Namespace) -> None:
    """Stop it and delete its state."""
    local_aws.reset(options.state_dir)
    print(f"The state in {options.state_dir} is deleted.")


def describe(status: Status) -> str:
    """A status in a few lines."""
    saved = status.restored_from or "before anything was"
    origin = {
        "empty": "It started empty.",
        "clean": f"It started from the state saved at {saved}.",
        "unclean": f"It had not been stopped cleanly: it started from the state saved at {saved}.",
    }[status.restored]
    if status.damaged:
        origin += f" A later checkpoint is damaged: {status.damaged}."
    if status.checkpoint_at:
        origin += f" A kill would go back to {status.checkpoint_at}."
    if status.checkpoint_error:
        origin += f" {status.checkpoint_error}"
    memory = status.memory_bytes / 2**20
    return f"{status.endpoint} ({status.region}), process {status.pid}, {memory:.0f} MiB\n{origin}"


COMMANDS = {"start": start, "stop": stop, "status": show_status, "env": show_env, "reset": reset}


def main() -> int:
    """Run one command; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m local_aws", description="AWS on this machine.")
    parser.add_argument("command", choices=COMMANDS)
    parser.add_argument("--state-dir", type=Path, default=Path("data/local"), help="default: data/local")
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help="default: 4566")
    parser.add_argument(
        "--enforce-iam", action="store_true", help="check calls against their callers' policies"
    )
    options = parser.parse_args()
    try:
        COMMANDS[options.command](options)
    except LocalAwsError as error:
        print(f"{error.message}\nHint: {error.hint}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
