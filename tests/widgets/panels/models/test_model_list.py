from __future__ import annotations

import pytest
from docks import dock_in
from napari import Viewer

from napari_restore import api
from napari_restore.widgets.dock import DenoiseDock, RestoreDock, SuperResolutionDock


@pytest.mark.usefixtures("no_weights")
@pytest.mark.parametrize(("kind", "first"), [(DenoiseDock, api.DENOISER), (SuperResolutionDock, api.UPSCALERS[2])])
def test_models_are_grouped_and_say_what_they_are(viewer: Viewer, kind: type[RestoreDock], first: str) -> None:
    dock = dock_in(viewer, kind=kind)
    models = dock.model.models
    items = [models.model().item(i) for i in range(models.count())]
    headings = [item.text() for item in items if not item.isEnabled()]
    restormer = ["Restormer"] if kind is DenoiseDock else []
    other = ["Other"] if kind is DenoiseDock else []
    assert headings == ["Bundled", *restormer, "SwinIR", *other, "Your file"]
    assert models.currentText() == first and "Bundled" in dock.model.description.text()
    shown = {item.text() for item in items if item.isEnabled()}
    cards = [card for card in api.models() if (card.scale > 1) == (kind is SuperResolutionDock)]
    assert {card.name for card in cards} - shown <= {"restormer-dual-pixel-deblur"}
    name = "swinir-gray-denoise-25" if kind is DenoiseDock else "swinir-classical-df2k-x4"
    models.setCurrentText(name)
    text = dock.model.description.text()
    assert "Trained for" in text and "Apache-2.0" in text and "Will download" in text and " MB" in text
    assert not dock.model.fetch.isHidden() and dock.model.fetch.text().startswith("Download ")
