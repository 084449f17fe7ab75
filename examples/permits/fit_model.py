"""Fits the figures in model.toml to a recorded log: python fit_model.py LOG > model.toml"""

import sys
from pathlib import Path

from procession.errors import ProcessionError
from procession.services.demo import fit_model

if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    try:
        model = fit_model(Path(sys.argv[1]))
    except ProcessionError as error:
        sys.exit(f"error: {error}")
    print("# Figures fitted to the recorded log of a Dutch municipality: python fit_model.py LOG > model.toml")
    print(model, end="")
