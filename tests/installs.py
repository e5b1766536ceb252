"""Install the package as a wheel, as an sdist and editable, and see that the plugin works from each.

``xvfb-run -a python tests/installs.py``, in an environment that has napari and what the package needs: each
installation goes into a fresh virtual environment that looks there for everything but the package itself. tox's
environment `napari` does it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).parent.parent

CHECK = """
import sys
from pathlib import Path
import napari
import napari_restore

found = Path(napari_restore.__file__).resolve()
assert found.is_relative_to(sys.argv[1]), f"{found} is not below {sys.argv[1]}"
viewer = napari.Viewer(show=False)
for title in ("Denoise", "Super-resolution"):
    _, dock = viewer.window.add_plugin_dock_widget("napari-restore", title)
    assert dock.model.model()
for sample in ("cells_noisy", "cells_clean"):
    assert len(viewer.open_sample("napari-restore", sample)) == 3
viewer.close()
print("both dock widgets and both samples open from", found.parent)
"""


def run(*words: str | Path) -> str:
    """Run a command away from the sources, which would be imported otherwise, and give what it prints."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment["NAPARI_CONFIG"] = ""  # nothing is written into the preferences of the user
    done = subprocess.run(
        [*map(str, words)], cwd=tempfile.gettempdir(), env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, words[:6]))} failed:\n{done.stdout}\n{done.stderr}")
    return done.stdout


def check(kind: str, requirement: list[str | Path], folder: Path, source: Path) -> None:
    """Install into a fresh environment and use the plugin there."""
    venv.create(folder, with_pip=False)
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    purelib = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
    (purelib / "zz_dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    install = ("install", "-q", "--no-deps", "--ignore-installed")  # the environment it looks into may have it as well
    run(sys.executable, "-m", "pip", "--python", python, *install, *requirement)
    listed = run(python, "-m", "npe2", "list")
    assert listed.count("napari-restore") == 1, listed
    print(f"{kind}: npe2 lists the plugin;", run(python, "-c", CHECK, source).strip())


def main() -> None:
    """Build once, install three times."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run(sys.executable, "-m", "build", "--outdir", folder, ROOT)  # the wheel is built from the sdist
        (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
        check("wheel", [wheel], folder / "wheel", folder / "wheel")
        check("sdist", [sdist], folder / "sdist", folder / "sdist")
        check("editable", ["-e", ROOT], folder / "editable", ROOT)


if __name__ == "__main__":
    main()
