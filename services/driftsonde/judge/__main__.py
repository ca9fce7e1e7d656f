"""`python -m driftsonde.judge`: merges sketches into windows and judges them."""

from driftsonde.adapters.entry import entry_point
from driftsonde.judge.app import run

main = entry_point("judge", "Merge sketches into windows, judge them and publish signals.", run)

if __name__ == "__main__":
    main()
