"""The delivery worker: takes up streams and lets them go.

One process delivers all streams, a thread each. Its standard input is the line to the gateway: a byte says
that a journal grew, a `q` that it is time to finish. Where the line ends without one, the gateway died:
then the worker ends at once, since the next gateway goes back to the last clean state.
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

from local_aws.checkpoint import load_checkpoint, stream_folders
from local_aws.delivery_clients import DeliveryClients
from local_aws.delivery_process import FINISH
from local_aws.firehose_config import DeliveryConfig
from local_aws.journal import JournalSource
from local_aws.stream_delivery import COALESCE_SECONDS, StreamDelivery

REFRESH_SECONDS = 1.0

log = logging.getLogger(__name__)


class DeliveryWorker:
    """Delivers every stream that has a folder.

    Args:
        root: The folder of the stream folders.
        clients: The AWS services.
    """

    def __init__(self, root: Path, clients: DeliveryClients) -> None:
        self._root = root
        self._clients = clients
        self._deliveries: dict[Path, StreamDelivery] = {}

    def run(self, line: int) -> None:
        """Deliver until told to finish the flushes in hand.

        Args:
            line: File descriptor of the line to the gateway.
        """
        refreshed = 0.0
        while True:
            ready, _, _ = select.select([line], [], [], REFRESH_SECONDS)
            told = os.read(line, 65536) if ready else b"."
            if not told:
                os._exit(1)
            if FINISH in told:
                break
            if time.monotonic() - refreshed > REFRESH_SECONDS or self._unknown_folders():
                refreshed = time.monotonic()
                self._refresh()
            for delivery in self._deliveries.values():
                delivery.wake()
            time.sleep(COALESCE_SECONDS)
        for delivery in self._deliveries.values():
            delivery.stop()
        for delivery in self._deliveries.values():
            delivery.join()

    def _unknown_folders(self) -> bool:
        return any(folder not in self._deliveries for folder in stream_folders(self._root))

    def _refresh(self) -> None:
        """Take up new streams and new settings, let go of streams that are gone."""
        folders = set(stream_folders(self._root))
        for folder in folders | self._deliveries.keys():
            try:
                config = self._clients.describe(folder.name.rpartition("@")[0])
            except (BotoCoreError, ClientError) as error:
                log.info("%s: not described: %s", folder.name, error)
                continue
            if config is None or folder not in folders or config.created_ms != created_ms(folder):
                self._let_go(folder)
            elif folder in self._deliveries:
                self._deliveries[folder].config = config
            else:
                self._take_up(folder, config)

    def _take_up(self, folder: Path, config: DeliveryConfig) -> None:
        source = JournalSource(folder, cast("int", load_checkpoint(folder).committed))
        self._deliveries[folder] = StreamDelivery(folder, config, source, self._clients)
        self._deliveries[folder].start()

    def _let_go(self, folder: Path) -> None:
        delivery = self._deliveries.pop(folder, None)
        if delivery is not None:
            delivery.stop()
        shutil.rmtree(folder, ignore_errors=True)


def created_ms(folder: Path) -> int:
    """When the stream of a folder was made, epoch milliseconds."""
    return int(folder.name.rpartition("@")[2])
