"""Write constraints-lowest.txt, the lower bounds of pyproject.toml as exact versions: ``python tests/lower_bounds.py``.

`tox -e oldest` installs these versions; the requirements of requirements are the newest that fit them.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
FILE = ROOT / "constraints-lowest.txt"
_HEAD = "# Lower bounds of pyproject.toml, for `tox -e oldest`. Written by tests/lower_bounds.py.\n"

_FITTING = ("aiobotocore==2.16.0", "boto3==1.35.81", "botocore==1.35.81")
"""Versions that fit s3fs: there are hundreds of each, and pip would try them for more than ten minutes."""


def lower_bounds() -> str:
    """Return the content of the file: one line for each package that the package and its tests need."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    needed = [*project["dependencies"], *extras["test"]]
    needed += [one for name in ("hdf5", "lif", "nd2", "openvino", "s3") for one in extras[name]]
    found = (re.match(r"([\w.-]+)(?:\[\w+\])?>=([\w.]+)$", one) for one in needed)
    return _HEAD + "".join(sorted({f"{one[1]}=={one[2]}\n" for one in found if one} | {f"{one}\n" for one in _FITTING}))


if __name__ == "__main__":
    FILE.write_text(lower_bounds(), encoding="utf-8")
