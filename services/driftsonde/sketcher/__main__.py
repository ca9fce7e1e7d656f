"""`python -m driftsonde.sketcher`: folds predictions and labels into sketches."""

from driftsonde.adapters.entry import entry_point
from driftsonde.sketcher.app import run

main = entry_point("sketcher", "Fold predictions and labels into chunk sketches.", run)

if __name__ == "__main__":
    main()
