from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import shutil
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

if TYPE_CHECKING:
    from napari import Viewer

    from napari_restore.widgets.dock import RestoreDock

# napari raises where a plugin changes a layer from another thread than the main one.
os.environ["NAPARI_ENSURE_PLUGIN_MAIN_THREAD"] = "1"
# Preferences that tests set are not those of the user. napari reads this when its settings are imported.
_PREFERENCES = tempfile.TemporaryDirectory(prefix="napari-restore-", ignore_cleanup_errors=True)
os.environ["NAPARI_CONFIG"] = str(Path(_PREFERENCES.name) / "settings.yaml")

# These take `find_card` from its module when they are imported: before a test replaces it there.
for _name in ("planning.choices.denoiser", "record.verify"):
    importlib.import_module(f"napari_restore.engine.{_name}")

# The environment `napari` of tox has napari; the one of the library and the command line does without.
if importlib.util.find_spec("napari") is None:
    collect_ignore_glob = ["test_*.py", "*/test_*.py"]


@pytest.fixture
def qtbot(qtbot: Any) -> Any:
    """Wait for up to two minutes where a test names no time: a wait is no measurement, and a busy machine is slow."""
    qtbot.waitUntil = partial(qtbot.waitUntil, timeout=120_000)
    return qtbot


@pytest.fixture(autouse=True)
def nothing_remembered() -> None:
    """Dock widgets that remember no run and no preset of the test before."""
    shutil.rmtree(Path(_PREFERENCES.name) / "napari-restore", ignore_errors=True)


@pytest.fixture(autouse=True)
def bundled_networks_are_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes seconds for each window, and most tests then choose a model that is small enough for them."""
    from napari_restore.engine.compute import estimate

    timed = estimate.tile_seconds
    monkeypatch.setattr(
        estimate, "tile_seconds", lambda plan, stop: 0.5 if plan.card.networks[0].bundled else timed(plan, stop)
    )


@pytest.fixture
def viewer(make_napari_viewer: Any) -> Iterator[Viewer]:
    """A window that is shown. Notifications, which would stay for seconds, are closed with it."""
    from napari._qt.dialogs.qt_notification import NapariQtNotification

    viewer: Viewer = make_napari_viewer(show=True)
    viewer.window.resize(1280, 800)
    yield viewer
    for notice in list(NapariQtNotification._instances):
        with contextlib.suppress(RuntimeError):  # it went with a window before
            notice.close()
    NapariQtNotification._instances.clear()


@pytest.fixture
def dock(viewer: Viewer, checkpoints: dict[str, Path], stack: np.ndarray) -> RestoreDock:
    """The denoising dock widget, with a stack and a network small enough for a test."""
    from docks import dock_in

    viewer.add_image(stack, name="cells", scale=(2.0, 0.5, 0.5))
    return dock_in(viewer, checkpoints["denoiser"])


@pytest.fixture
def no_weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine that has fetched no weights yet."""
    monkeypatch.setenv("NAPARI_RESTORE_MODELS", str(tmp_path / "models"))
