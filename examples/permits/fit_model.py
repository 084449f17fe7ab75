"""Fits the figures in model.toml to a recorded log: python fit_model.py LOG > model.toml"""

import sys
from pathlib import Path

from procession.services.demo import fit_model

if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    print("# Figures fitted to the recorded log of a Dutch municipality: python fit_model.py LOG > model.toml")
    print(fit_model(Path(sys.argv[1])), end="")
