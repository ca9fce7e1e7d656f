"""Where the files that ship with the package are."""

from pathlib import Path

import driftsonde


def schemas_directory() -> Path:
    """The directory of Avro schemas, migrations and examples: in the package when installed, beside it in a checkout.

    Raises FileNotFoundError where it is neither.
    """
    package = Path(driftsonde.__path__[0])
    for directory in (package / "schemas", package.parent.parent / "schemas"):
        if directory.is_dir():
            return directory
    raise FileNotFoundError(f"there are no schemas in {package} or beside it")
