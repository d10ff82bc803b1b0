"""The delivery worker's process: `python -m local_aws.firehose.delivery --state-dir DIR --endpoint URL`."""

from __future__ import annotations

import argparse
import gc
import logging
import os
import signal
import sys
from pathlib import Path

from local_aws.environment import WithoutPandas


def main() -> None:
    """Run the worker process."""
    parser = argparse.ArgumentParser(prog="python -m local_aws.firehose.delivery")
    parser.add_argument("--state-dir", type=Path, required=True)
    parser.add_argument("--endpoint", required=True)
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.meta_path.insert(0, WithoutPandas())
    # Parsed records are many objects and no cycles: collecting them takes a tenth of the conversion.
    gc.set_threshold(100_000)
    from local_aws.firehose.delivery.clients import DeliveryClients
    from local_aws.firehose.delivery.worker import DeliveryWorker

    clients = DeliveryClients(options.endpoint, os.environ.get("AWS_REGION", "us-east-1"))
    DeliveryWorker(options.state_dir / "firehose", clients).run(sys.stdin.fileno())


if __name__ == "__main__":
    main()
