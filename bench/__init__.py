"""How fast it is: `python -m bench`, from the root of the repository. Not shipped in the wheel."""
