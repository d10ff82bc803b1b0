"""How much the tests of exactness draw, and how wide a table they make."""

import os

_IS_THOROUGH = os.environ.get("HYPOTHESIS_PROFILE") == "thorough"
EXAMPLES = 5_000 if _IS_THOROUGH else 200
COLUMNS = 1_000 if _IS_THOROUGH else 300
