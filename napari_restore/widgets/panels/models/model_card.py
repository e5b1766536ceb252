"""The card of a model: what it was trained for, its scores and licence, and a sample before and after it."""

from __future__ import annotations

__all__ = ["ModelCardWindow"]

from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QImage, QPixmap
from qtpy.QtWidgets import QDialog, QGridLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_restore.widgets.jobs.models.cards import describe, weights_summary

if TYPE_CHECKING:
    from napari_restore.models.card import ModelCard
    from napari_restore.widgets.jobs.models.samples import Sample

_WIDTH, _PICTURE = 460, 210
"""Width of the window, and of a picture, in pixels."""
_ZOOM = "zoom in a viewer to judge a model: this is a small part of one image"


class ModelCardWindow(QDialog):
    """A window beside the viewer with the card of a model. It does not block the viewer."""

    sample_wanted = Signal()

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.text, self.note = QLabel(), QLabel()
        for label in (self.text, self.note):
            label.setWordWrap(True)
            label.setOpenExternalLinks(True)
            label.setTextInteractionFlags(Qt.TextInteractionFlag.TextBrowserInteraction)
        self.before, self.after, self.make = QLabel(), QLabel(), QPushButton("Show a sample")
        self.make.setToolTip("Restore a part of a bundled image of cells with this model, and keep the picture")
        self.captions = (QLabel("Before"), QLabel("After"))
        self.pictures = QWidget()
        grid = QGridLayout(self.pictures)
        grid.setContentsMargins(0, 0, 0, 0)
        for column, (caption, picture) in enumerate(zip(self.captions, (self.before, self.after), strict=True)):
            grid.addWidget(caption, 0, column)
            grid.addWidget(picture, 1, column)
        column = QVBoxLayout(self)
        for part in (self.text, self.pictures, self.make, self.note):
            column.addWidget(part)
        column.addStretch(1)
        self.setFixedWidth(_WIDTH)
        self.make.clicked.connect(self.sample_wanted)

    def show_card(self, card: ModelCard, reason: str, sample: Sample | None, *, here: bool) -> None:
        """Show a card.

        Parameters
        ----------
        card : ModelCard
            Card of the model.
        reason : str
            How the model suits the layer; empty if that is not known.
        sample : Sample or None
            Its sample, if it was made before.
        here : bool
            Whether the weights are on this machine, so that a sample can be made.
        """
        self.setWindowTitle(card.name)
        self.text.setText(_described(card, reason))
        self.show_sample(sample)
        self.make.setVisible(sample is None and here)
        self.note.setText("" if here or sample is not None else "Download the weights to see a sample.")
        self.show()
        self.adjustSize()
        self.raise_()

    def show_busy(self) -> None:
        """Show that the sample is being made."""
        self.make.setEnabled(False)
        self.make.setText("Restoring the sample…")

    def show_sample(self, sample: Sample | None, error: str = "") -> None:
        """Show a sample, or why there is none."""
        self.make.setEnabled(True)
        self.make.setText("Show a sample")
        self.pictures.setVisible(sample is not None)
        self.note.setText(f"⚠ {error}" if error else "")
        if sample is None:
            return
        self.make.hide()
        self.captions[1].setText("After" if sample.gain is None else f"After ({sample.gain:+.1f} dB PSNR)")
        for label, pixels in ((self.before, sample.before), (self.after, sample.after)):
            label.setPixmap(_picture(pixels, self.devicePixelRatioF()))
        self.note.setText(f"A part of the bundled sample image; {_ZOOM}.")
        self.adjustSize()


def _picture(pixels: NDArray[np.uint8], ratio: float) -> QPixmap:
    height, width = pixels.shape
    contiguous: Any = np.ascontiguousarray(pixels)
    image = QImage(contiguous.data, width, height, width, QImage.Format.Format_Grayscale8).copy()
    side = round(_PICTURE * ratio)
    scaled = image.scaled(side, side, Qt.AspectRatioMode.KeepAspectRatio, Qt.TransformationMode.FastTransformation)
    scaled.setDevicePixelRatio(ratio)
    return QPixmap.fromImage(scaled)


def _described(card: ModelCard, reason: str) -> str:
    """Return the card as HTML."""
    licence = escape(card.licence)
    if card.licence_url:
        licence = f'<a href="{escape(card.licence_url)}">{licence}</a>'
    rows = "".join(
        f"<tr><td>{escape(name)}&nbsp;&nbsp;</td><td align=right>{score['images']}&nbsp;&nbsp;</td>"
        f"<td align=right>{score['psnr']:.2f} dB&nbsp;&nbsp;</td><td align=right>{score['ssim']:.3f}</td></tr>"
        for name, score in card.scores.items()
    )
    scores = (
        "<p><b>Scores</b> on sets of images that were not used in training:</p><table><tr><th align=left>set</th>"
        f"<th>images&nbsp;&nbsp;</th><th>PSNR&nbsp;&nbsp;</th><th>SSIM</th></tr>{rows}</table>"
        if rows
        else "<p>No scores on micrographs are stored with this model; its paper has those on photographs.</p>"
    )
    size = f"{card.parameters:,} parameters; " if card.parameters else ""
    return (
        f"<h3>{escape(card.name)}</h3><p>{escape(card.title)}</p>"
        + (f"<p><b>For this layer:</b> {escape(reason)}.</p>" if reason else "")
        + f"<p>{escape(describe(card).partition(' Licence:')[0])}</p>"
        f"<p>{size}{escape(weights_summary(card))}.</p>{scores}"
        f"<p>{escape(card.paper)}<br>Licence: {licence}</p>"
    )
