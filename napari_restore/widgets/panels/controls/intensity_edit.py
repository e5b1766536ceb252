"""The control of the normalisation and of the camera's noise."""

from __future__ import annotations

__all__ = ["IntensityEdit"]

from collections.abc import Sequence

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QLineEdit, QVBoxLayout, QWidget

from napari_restore.errors import RecipeError
from napari_restore.widgets.panels.controls.choice import Choice

Camera = tuple[float, float, float]

_KINDS = {
    None: ("Auto", "Camera noise for a model of one noise level, percentiles for other models"),
    "percentile": ("Percentiles", "0.1 and 99.9 % of the values become 0 and 1"),
    "range": ("Range", "The two values below become 0 and 1"),
    "poisson-gaussian": (
        "Camera noise",
        "The noise is stabilised, and brought to the level that the model was trained for",
    ),
}


class IntensityEdit(QWidget):
    """A list of normalisations, and a field for gain, offset and read noise; empty: estimated."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.kind, self.noise = Choice(), QLineEdit()
        for value, (name, tip) in _KINDS.items():
            self.kind.addItem(name, value)
            self.kind.setItemData(self.kind.count() - 1, tip, Qt.ItemDataRole.ToolTipRole)
        self.kind.setToolTip("\n".join(f"{name}: {tip}" for name, tip in _KINDS.values()))
        self.kind.setAccessibleName("Intensity")
        self.noise.setAccessibleName("Noise of the camera")
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addWidget(self.kind)
        column.addWidget(self.noise)
        self.show_estimate(None, None)
        self.kind.currentIndexChanged.connect(self._switched)
        self.noise.editingFinished.connect(self.changed)

    def value(self) -> tuple[str | None, tuple[Camera, ...] | None]:
        """Return the normalisation and the typed noise; None: the plan chooses or estimates.

        Raises
        ------
        RecipeError
            If the text is not three numbers, or three for each channel.
        """
        text = self.noise.text().strip()
        if not text or self.noise.isHidden():
            return self.kind.currentData(), None
        return self.kind.currentData(), tuple(_camera(part) for part in text.split(";"))

    def set_kind(self, intensity: str | None) -> None:
        """Show a normalisation."""
        self.kind.setCurrentIndex(max(self.kind.findData(intensity), 0))

    def set_noise(self, noise: Sequence[Camera] | None) -> None:
        """Show the noise of the camera, or one for each channel; None: it is estimated."""
        self.noise.setText("; ".join(", ".join(f"{number:.12g}" for number in camera) for camera in noise or ()))
        self._show_noise(noise is not None)

    def show_estimate(self, intensity: str | None, noise: Sequence[Camera] | None) -> None:
        """Show the values that the plan has chosen, in gray."""
        self.kind.setItemText(0, f"Auto: {_KINDS[intensity][0].lower()}" if intensity else "Auto")
        shown = "; ".join(", ".join(f"{number:.3g}" for number in camera) for camera in noise or ())
        self.noise.setPlaceholderText(shown or "gain, offset, read noise")
        self.noise.setToolTip(
            "Gain (data units a photon), offset and read noise (data units) of the camera; one for each channel, "
            f"separated by semicolons; empty: estimated{f', {shown}' if shown else ''}"
        )
        self._show_noise(intensity == "poisson-gaussian")

    def _show_noise(self, used: bool) -> None:
        self.noise.setVisible(used or self.kind.currentData() == "poisson-gaussian" or bool(self.noise.text()))

    def _switched(self) -> None:
        self._show_noise(False)
        self.changed.emit()


def _camera(text: str) -> Camera:
    try:
        gain, offset, read_noise = (float(part) for part in text.replace(",", " ").split())
    except ValueError:
        raise RecipeError(
            f"noise {text.strip()!r} is not three numbers: gain, offset and read noise in data units, such as "
            "2.1, 100, 3."
        ) from None
    return gain, offset, read_noise
