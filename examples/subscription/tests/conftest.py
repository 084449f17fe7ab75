"""The example's package is found from wherever its tests are run."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
