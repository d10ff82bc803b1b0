"""How many examples the property tests of exactness draw."""

import os

EXAMPLES = 5_000 if os.environ.get("HYPOTHESIS_PROFILE") == "thorough" else 200
