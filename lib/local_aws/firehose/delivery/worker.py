"""The delivery worker: starts and stops the delivery of streams.

One process delivers all streams, a thread each. Its standard input is the line to the gateway. Where that
ends without a `FINISH`, the gateway died: then the worker ends at once, since the next gateway goes back to
the last checkpoint.
"""

from __future__ import annotations

import logging
import os
import select
import shutil
import time
from pathlib import Path
from typing import cast

from botocore.exceptions import BotoCoreError, ClientError

from local_aws.firehose.delivery.clients import DeliveryClients
from local_aws.firehose.delivery.delivery_loop import COALESCE_SECONDS, Source, StreamDelivery
from local_aws.firehose.delivery.kinesis_source import KinesisSource, read_records_quickly
from local_aws.firehose.stream import (
    FINISH,
    NEW_STREAM,
    DeliveryConfig,
    JournalSource,
    load_checkpoint,
    stream_folders,
)
from local_aws.wire import AwsError

REFRESH_SECONDS, AGAIN_SECONDS = 60.0, 2.0
"""How long what was asked of the streams holds, unless the gateway reports a change: all of it, or a part."""

log = logging.getLogger(__name__)


class DeliveryWorker:
    """Delivers every stream that has a folder."""

    def __init__(self, root: Path, clients: DeliveryClients) -> None:
        self._root = root
        self._clients = clients
        self._deliveries: dict[Path, StreamDelivery] = {}

    def run(self, line: int) -> None:
        """Deliver until the gateway says `FINISH`, and finish the current flushes."""
        due = 0.0
        while True:
            ready, _, _ = select.select([line], [], [], AGAIN_SECONDS)
            words = os.read(line, 65536) if ready else b"."
            if not words:
                os._exit(1)
            if FINISH in words:
                break
            if NEW_STREAM in words or time.monotonic() > due:
                due = time.monotonic() + (REFRESH_SECONDS if self._refresh() else AGAIN_SECONDS)
            for delivery in self._deliveries.values():
                # The gateway speaks of journals; who reads Kinesis looks at its own pace.
                if delivery.config.source_arn is None:
                    delivery.wake()
            time.sleep(COALESCE_SECONDS)
        for delivery in self._deliveries.values():
            delivery.stop()
        for delivery in self._deliveries.values():
            delivery.join()

    def _refresh(self) -> bool:
        """Start new streams, take over new settings, stop streams that are gone; whether all are known."""
        complete = True
        folders = set(stream_folders(self._root))
        for folder in folders | self._deliveries.keys():
            try:
                config = self._clients.describe(folder.name.rpartition("@")[0])
                self._settle(folder, config if folder in folders else None)
            except AwsError as error:
                load_checkpoint(folder).but(last_error=str(error)).store(folder)
            except (BotoCoreError, ClientError) as error:
                complete = False
                log.info("%s: %s", folder.name, error)
        return complete

    def _settle(self, folder: Path, config: DeliveryConfig | None) -> None:
        delivery = self._deliveries.get(folder)
        if delivery is not None and not delivery.is_alive():
            log.warning("%s: its delivery ended and starts again", folder.name)
            delivery = None
        if config is None or config.folder_name != folder.name:
            self._deliveries.pop(folder, None)
            if delivery is not None:
                delivery.stop()
            shutil.rmtree(folder, ignore_errors=True)
        elif delivery is not None:
            delivery.config = config
        else:
            delivery = StreamDelivery(folder, config, self._source(folder, config), self._clients)
            self._deliveries[folder] = delivery
            delivery.start()

    def _source(self, folder: Path, config: DeliveryConfig) -> Source:
        if config.source_arn is None:
            return JournalSource(folder, cast("int", load_checkpoint(folder, 0).committed))
        position = cast("dict[str, str]", load_checkpoint(folder, {}).committed)
        kinesis = self._clients.client("kinesis")
        read_records_quickly(kinesis)
        return KinesisSource(kinesis, config.source_arn, config.source_start_ms, position)
