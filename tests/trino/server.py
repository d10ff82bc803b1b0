"""A Trino on this machine: started from `build/trino`, asked over its HTTP protocol, stopped.

python -m tests.trino.server   fetches it; fails, with the reason, where it cannot run
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

VERSION = "476"
LEAST_JAVA = 24
HEAP = "2g"
NEEDS_A_NODE = "SELECT count(*) FROM system.runtime.nodes GROUP BY node_id"
STARTS_WITHIN_SECONDS = 180
FETCHED_WITHIN_SECONDS = 300
HOME = Path(__file__).parents[2] / "build" / "trino"

LOCALLY = {"s3.path-style-access": "true", "s3.aws-access-key": "test", "s3.aws-secret-key": "test"}
"""What a catalog needs here beside the page's settings: dummy keys, and objects at one address."""


def of_the_page(language: str) -> str:
    """The block about Trino of `engines.md` in a language."""
    page = Path(__file__).parents[2] / "lib" / "dynaberg" / "pages" / "engines.md"
    (block,) = re.findall(rf"```{language} trino\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    return str(block)


@dataclass
class Answer:
    """What Trino answered: columns and rows as its protocol writes them, or an error's name and text."""

    names: list[str] = field(default_factory=list)
    types: list[str] = field(default_factory=list)
    signatures: list[Any] = field(default_factory=list)
    rows: list[list[Any]] = field(default_factory=list)
    error: str = ""
    message: str = ""
    update_count: int | None = None


def java() -> Path | None:
    """A Java that is new enough, the one of JAVA_HOME first."""
    homes = [os.environ.get("JAVA_HOME", ""), *map(str, sorted(Path("/usr/lib/jvm").glob("*"), reverse=True))]
    found = shutil.which("java")
    for program in [
        *(Path(home) / "bin" / "java" for home in homes if home),
        *([Path(found)] if found else []),
    ]:
        if program.exists():
            said = subprocess.run([program, "-version"], capture_output=True, text=True, check=False).stderr
            version = re.search(r'version "(\d+)', said)
            if version and int(version[1]) >= LEAST_JAVA:
                return program
    return None


def install(within_seconds: float | None = None) -> None:
    """Fetches and unpacks the server, once."""
    script = Path(__file__).with_name("install.sh")
    subprocess.run(["sh", script, VERSION, HOME], check=True, timeout=within_seconds)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def properties(values: Mapping[str, Any]) -> str:
    return "".join(f"{key}={value}\n" for key, value in values.items())


def configure(folder: Path, port: int, endpoint: str, arns: Mapping[str, str]) -> None:
    """Writes the configuration of a server with one node, and of its catalogs."""
    (folder / "catalog").mkdir(parents=True, exist_ok=True)
    here = f"http://127.0.0.1:{port}"
    (folder / "config.properties").write_text(
        properties(
            {
                "coordinator": "true",
                "node-scheduler.include-coordinator": "true",
                "http-server.http.port": port,
                "discovery.uri": here,
                "node.internal-address": "127.0.0.1",
                "query.max-memory": "1GB",
                "query.max-memory-per-node": "1GB",
                "memory.heap-headroom-per-node": "256MB",
                "task.concurrency": "2",
                "catalog.management": "static",
                "catalog.config-dir": folder / "catalog",
                "plugin.dir": HOME / f"trino-server-{VERSION}" / "plugin",
                "node.environment": "judge",
                "node.id": "judge",
            }
        )
    )
    (folder / "log.properties").write_text("io.trino=WARN\nio.airlift=WARN\norg=WARN\n")
    (folder / "catalog" / "memory.properties").write_text("connector.name=memory\n")
    page = dict(line.split("=", 1) for line in of_the_page("properties").splitlines())
    for name, arn in arns.items():
        lake = {
            **page,
            **LOCALLY,
            "iceberg.rest-catalog.uri": f"{endpoint}/iceberg",
            "iceberg.rest-catalog.warehouse": arn,
            "s3.endpoint": endpoint,
        }
        (folder / "catalog" / f"{name}.properties").write_text(properties(lake))


def command(folder: Path, program: Path) -> list[str | Path]:
    flags = "-XX:+UseSerialGC -XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=256M -Xss2m"
    opened = "--add-opens=java.base/java.nio=ALL-UNNAMED --sun-misc-unsafe-memory-access=allow"
    modules = "--enable-native-access=ALL-UNNAMED --add-modules=jdk.incubator.vector"
    return [
        program,
        f"-Xmx{HEAP}",
        *f"{flags} {opened} {modules}".split(),
        "-Djdk.attach.allowAttachSelf=true",
        "-Dfile.encoding=UTF-8",
        "-Duser.timezone=UTC",
        f"-Dconfig={folder / 'config.properties'}",
        "-Dlog.enable-console=true",
        f"-Dlog.levels-file={folder / 'log.properties'}",
        "-cp",
        f"{HOME / f'trino-server-{VERSION}' / 'lib'}/*",
        "io.trino.server.TrinoServer",
    ]


class Trino:
    """A client of a server, under the session that Athena has: UTC, names of one catalog and schema."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"

    def run(self, sql: str, catalog: str = "memory", schema: str = "default") -> Answer:
        """A statement to its end."""
        headers = {
            "X-Trino-User": "judge",
            "X-Trino-Catalog": catalog,
            "X-Trino-Schema": schema,
            "X-Trino-Time-Zone": "UTC",
            "X-Trino-Client-Capabilities": "PARAMETRIC_DATETIME",
        }
        page = self._ask(
            urllib.request.Request(f"{self.url}/v1/statement", sql.encode(), headers, method="POST")
        )
        answer = Answer()
        while True:
            if "error" in page:
                return Answer(error=page["error"]["errorName"], message=page["error"]["message"])
            if "columns" in page:
                answer.names = [column["name"] for column in page["columns"]]
                answer.types = [column["type"] for column in page["columns"]]
                answer.signatures = [column["typeSignature"] for column in page["columns"]]
            answer.rows += page.get("data") or []
            answer.update_count = page.get("updateCount", answer.update_count)
            if "nextUri" not in page:
                return answer
            page = self._ask(urllib.request.Request(page["nextUri"], headers=headers))

    def _ask(self, request: urllib.request.Request) -> Any:
        while True:
            try:
                with urllib.request.urlopen(request, timeout=120) as response:
                    # Decimals keep their digits; doubles are read as they are written.
                    return json.loads(response.read())
            except urllib.error.HTTPError as error:
                if error.code not in (502, 503, 504):
                    raise
                time.sleep(0.1)

    def is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/v1/info", timeout=2) as response:
                starting = json.loads(response.read())["starting"]
            return not starting and not self.run(NEEDS_A_NODE).error
        except OSError:
            return False


@contextlib.contextmanager
def trino(endpoint: str = "", arns: Mapping[str, str] = MappingProxyType({})) -> Iterator[Trino]:
    """A server while the block runs, with a catalog for each table bucket, by the catalog's name."""
    program = java()
    if program is None:
        raise RuntimeError(f"Trino {VERSION} needs Java {LEAST_JAVA} or newer.\nHint: set JAVA_HOME to one.")
    install()
    folder, port = HOME / "run", free_port()
    shutil.rmtree(folder, ignore_errors=True)
    configure(folder, port, endpoint, arns)
    log = folder / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command(folder, program), cwd=folder, stdout=output, stderr=output)
        try:
            server, until = Trino(port), time.monotonic() + STARTS_WITHIN_SECONDS
            while not server.is_ready():
                if process.poll() is not None or time.monotonic() > until:
                    raise RuntimeError(f"Trino did not start: {log.read_text()[-3000:]}")
                time.sleep(0.5)
            yield server
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(20)
            process.kill()


def missing() -> str:
    """What this machine lacks for a Trino, as a sentence; the server is fetched if it is not there yet."""
    if java() is None:
        return f"Trino is skipped: no Java {LEAST_JAVA} or newer is here."
    try:
        install(FETCHED_WITHIN_SECONDS)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        return f"Trino is skipped: it could not be fetched. {error}"
    return ""


if __name__ == "__main__":
    sys.exit(missing() or 0)
