"""A delivery stream on disk: its settings, its journal, and how far it is delivered.

The gateway writes here and the delivery worker reads. From outside: all three, and the words between the two.
"""

from local_aws.firehose.stream.checkpoint import Plan, Position, load_checkpoint, stream_folders
from local_aws.firehose.stream.config import (
    DeliveryConfig,
    Destination,
    Transformation,
    epoch_us,
    folder_name,
    iceberg_description,
    normalize,
    read_config,
    validate_iceberg,
)
from local_aws.firehose.stream.journal import (
    FINISH,
    NEW_STREAM,
    WAKE,
    JournalSource,
    JournalWriter,
    Records,
)

__all__ = [
    "FINISH",
    "NEW_STREAM",
    "WAKE",
    "DeliveryConfig",
    "Destination",
    "JournalSource",
    "JournalWriter",
    "Plan",
    "Position",
    "Records",
    "Transformation",
    "epoch_us",
    "folder_name",
    "iceberg_description",
    "load_checkpoint",
    "normalize",
    "read_config",
    "stream_folders",
    "validate_iceberg",
]
