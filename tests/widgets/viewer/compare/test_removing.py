from __future__ import annotations

from typing import Any

import numpy as np
from napari.components import ViewerModel

from napari_restore.widgets.jobs.compare.comparison import Comparison
from napari_restore.widgets.viewer.compare.difference import DIFFERENCE
from napari_restore.widgets.viewer.compare.removing import remove_results


def test_differences_of_a_result_with_a_longer_name_stay() -> None:
    viewer: Any = ViewerModel()

    def add(name: str, **metadata: bool) -> Any:
        return viewer.add_image(np.zeros((4, 4)), name=name, metadata={"napari_restore": metadata} if metadata else {})

    source, first, second = add("cells"), add("cells ▸ denoiser", run=True), add("cells ▸ denoiser 2", run=True)
    made: Any = [Comparison(source, "YX", (first,), None, (0, 0), False, label="denoiser")]  # type: ignore[arg-type]
    for name in ("cells ▸ denoiser", "cells ▸ denoiser · 0", "cells ▸ denoiser 2"):
        add(f"{DIFFERENCE}{name}", comparison=True)
    add(f"{DIFFERENCE}cells ▸ denoiser · of the user")
    for _ in remove_results(viewer, made):
        pass
    assert [layer.name for layer in viewer.layers] == [
        "cells",
        second.name,
        f"{DIFFERENCE}cells ▸ denoiser 2",
        f"{DIFFERENCE}cells ▸ denoiser · of the user",
    ]
