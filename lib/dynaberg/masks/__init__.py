"""The key of the masks, and masking for values that are in the tables already (`functions` masks new ones).

Public: reading and renewing the key, taking tokens back, and masking the values of rows.
"""

from dynaberg.masks.key import add_mask_key, detokenise, mask_key, mask_key_version, mask_keys
from dynaberg.masks.masking import Masking, needs_key, renewed_hashes

__all__ = [
    "Masking",
    "add_mask_key",
    "detokenise",
    "mask_key",
    "mask_key_version",
    "mask_keys",
    "needs_key",
    "renewed_hashes",
]
