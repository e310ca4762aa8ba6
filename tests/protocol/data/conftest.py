from __future__ import annotations

import sys
from pathlib import Path

# Tests share `tables`, which is no test.
sys.path.insert(0, str(Path(__file__).parent))
