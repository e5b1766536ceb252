"""Check what is about to be released: the contents and size of wheel and sdist, and the main job from the wheel.

``python tests/release.py dist``, in an environment that has what the package needs (`tox -e release`).
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
import tempfile
import venv
import zipfile
from pathlib import Path

MOST = 20e6
"""Bytes of a file that PyPI should be asked to keep for each version."""
IN_WHEEL = (
    "napari_restore/napari.yaml", "napari_restore/py.typed", "napari_restore/models/published.toml",
    "napari_restore/models/weights/restormer-denoise-light.safetensors", ".dist-info/licenses/LICENSE",
)  # fmt: skip
IN_SDIST = ("/pyproject.toml", "/constraints.txt", "/tox.ini", "/README.md", "/CHANGELOG.md", "/tests/conftest.py")
NOT_IN_WHEEL = ("tests/", "benchmarks/", "docs/")


def main(folder: str) -> None:
    (wheel,), (sdist,) = Path(folder).glob("*.whl"), Path(folder).glob("*.tar.gz")
    with zipfile.ZipFile(wheel) as file:
        names = file.namelist()
    with tarfile.open(sdist) as file:
        source_names = file.getnames()
    for path, listed, wanted in ((wheel, names, IN_WHEEL), (sdist, source_names, IN_SDIST)):
        missing = [one for one in wanted if not any(name.endswith(one) for name in listed)]
        assert not missing, f"{path.name} lacks {missing}"
        assert path.stat().st_size < MOST, f"{path.name} has {path.stat().st_size} bytes"
        print(f"{path.name}: {len(listed)} files, {path.stat().st_size / 1e6:.1f} MB")
    assert not [name for name in names if name.startswith(NOT_IN_WHEEL)]
    with tempfile.TemporaryDirectory() as room:
        venv.create(Path(room, "venv"), with_pip=True, system_site_packages=False)
        scripts = Path(room, "venv", "Scripts" if sys.platform == "win32" else "bin")
        run = [str(scripts / "python"), "-m", "pip", "install", "-q", "-c", "constraints.txt", str(wheel)]
        subprocess.run(run, check=True)
        for arguments in (["version"], ["doctor"], ["demo", str(Path(room, "demo"))]):
            subprocess.run([str(scripts / "napari-restore"), *arguments], check=True, cwd=room)


if __name__ == "__main__":
    main(sys.argv[1])
