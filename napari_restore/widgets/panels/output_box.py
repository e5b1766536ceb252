"""The box that chooses normalisation, value range, data type and output."""

from __future__ import annotations

__all__ = ["OutputBox"]

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QFileDialog, QLineEdit, QPushButton, QSizePolicy
from superqt.utils import signals_blocked

from napari_restore.errors import RecipeError
from napari_restore.images.store import is_url
from napari_restore.widgets.jobs.job import Task
from napari_restore.widgets.jobs.layers.layer_files import file_stem
from napari_restore.widgets.panels.controls.box import Box, side_by_side, wrapped
from napari_restore.widgets.panels.controls.choice import Choice
from napari_restore.widgets.panels.controls.control import Control, tip
from napari_restore.widgets.panels.controls.intensity_edit import IntensityEdit
from napari_restore.widgets.panels.controls.made import make_controls
from napari_restore.widgets.panels.controls.neighbours_edit import NeighboursEdit
from napari_restore.widgets.panels.controls.note import Note
from napari_restore.widgets.panels.controls.range_edit import RangeEdit, ValueRange
from napari_restore.wording import counted, human_bytes

if TYPE_CHECKING:
    from napari_restore.widgets.jobs.preflight import Preflight


_OTHER_FORMATS = (
    ".tif", ".tiff", ".btf", ".png", ".jpg", ".jpeg", ".bmp", ".gif", ".h5", ".hdf5", ".hdf", ".nd2", ".czi", ".lif",
    ".ims", ".npy", ".npz", ".mrc", ".n5", ".ozx", ".zip",
)  # fmt: skip


class OutputBox(Box):
    """Normalisation, value range, data type and output of the result."""

    changed = Signal()

    def __init__(self, task: Task) -> None:
        super().__init__("Values and output")
        self.made = make_controls("Values and output")
        if task == "super-resolve":  # its result has other pixels than the source
            for name in ("strength", "uncertainty"):
                self.made.pop(name).native.deleteLater()
        self.intensity, self.range = IntensityEdit(), RangeEdit()
        self.neighbours = NeighboursEdit()
        self.low, self.high = self.range.low, self.range.high
        self.dtype, self.place = self.made["dtype"].native, Choice()
        self.place.addItem("Memory", "memory")
        self.place.addItem("OME-Zarr", "zarr")
        self.path, self.browse = QLineEdit(), QPushButton("…")
        self.path.setPlaceholderText("result.zarr")
        self.browse.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Fixed)
        self.pyramid, self.overwrite = self.made["pyramid"].native, QCheckBox("Replace")
        self.cost = Note("Size of the result, and free space")
        self.folder = self._suggestion = ""
        self.add("Intensity", self.intensity, self.intensity.kind.toolTip())
        self.add("Range", self.range, tip("value_range"))
        self.add("Neighbours", self.neighbours, tip("neighbours"))
        if "strength" in self.made:
            self.add_made(self.made["strength"])
        self.add_made(self.made["dtype"])
        place = "Memory, if the result fits; an OME-Zarr is written block by block, and a run can be resumed"
        self.add("Place", self.place, place)
        self.file = side_by_side(self.path, self.browse)
        self.add("File", self.file, "OME-Zarr to write; an interrupted run with the same settings is resumed")
        beside = [self.made["uncertainty"].native] if "uncertainty" in self.made else []
        self.options = wrapped(self.pyramid, *beside, self.overwrite)
        self.add_wide(self.options)
        self.add_wide(self.cost)
        for widget, name, words in (
            (self.path, "OME-Zarr", "OME-Zarr to write; an interrupted run with the same settings is resumed"),
            (self.browse, "Choose the OME-Zarr", "Choose a folder and name"),
            (self.pyramid, "Pyramid", f"{tip('pyramid')} They make zooming fast, and take a third more space."),
            (self.overwrite, "Replace", "Replace an existing OME-Zarr, in the next run only"),
        ):
            widget.setToolTip(words)
            widget.setAccessibleName(name)
        self._place_tip = place
        self.controls = {
            "intensity": Control(self.intensity.kind.currentData, self.intensity.set_kind),
            "value_range": Control(self.range.value, self.show_range),
            "noise": Control(lambda: self.intensity.value()[1], self.intensity.set_noise),
            "neighbours": Control(self.neighbours.value, self.neighbours.show_value),
            **{name: Control(made.value, made.show) for name, made in self.made.items()},
        }
        if beside:
            made = self.made["uncertainty"]
            self.controls["uncertainty"] = Control(lambda: self.to_disk and made.value(), made.show)
        self.range.show_estimate(())
        self.range.changed.connect(self.changed)
        self.intensity.changed.connect(self.changed)
        self.neighbours.changed.connect(self.changed)
        self.place.currentIndexChanged.connect(self._changed)
        for made in self.made.values():
            made.when_changed(self._changed)
        self.path.editingFinished.connect(self.changed)
        self.path.textChanged.connect(self.forget_replace)
        self.overwrite.toggled.connect(self._changed)
        self.browse.clicked.connect(self._browse)
        self._changed()

    def show_range(self, value: ValueRange) -> None:
        """Show a range, and keep the names of the channels."""
        names = [self.range.channel.itemText(i) for i in range(1, self.range.channel.count())]
        self.range.set_value(value)
        self.range.set_channels(names)

    def output(self) -> str | None:
        """Return the path or URL of the output; None: memory.

        Raises
        ------
        RecipeError
            If no file is named for an OME-Zarr, or its name has the ending of another format.
        """
        if self.place.currentData() == "memory":
            return None
        text = str(self.path.text()).strip()
        if not text:
            raise RecipeError("no file is named for the OME-Zarr; name one, or keep the result in memory.")
        if is_url(text):
            return text
        path = Path(self.folder).expanduser() / Path(text).expanduser()
        if path.suffix.lower() in _OTHER_FORMATS:
            raise RecipeError(
                f"{path.name} has the ending of another format, and the result is an OME-Zarr, a folder; name it "
                f"{path.stem}.zarr."
            )
        return str(path if path.suffix else path.with_suffix(".zarr"))

    @property
    def to_disk(self) -> bool:
        """Whether the result is stored as an OME-Zarr."""
        return bool(self.place.currentData() == "zarr")

    def suggest(self, folder: str, stem: str) -> None:
        """Suggest an OME-Zarr in a folder. It replaces an earlier suggestion, but not a typed path.

        Parameters
        ----------
        folder : str
            The default output folder; empty: there is none, and nothing is suggested.
        stem : str
            Stem of the file name.
        """
        self.folder = folder
        suggestion = str(Path(folder).expanduser() / f"{file_stem(stem)}.zarr") if folder else ""
        if self.path.text() in ("", self._suggestion):
            self.path.setText(suggestion)
        self._suggestion = suggestion

    def forget_replace(self, text: str = "") -> None:
        """Untick *Replace*: it is for one run to one output."""
        with signals_blocked(self.overwrite):
            self.overwrite.setChecked(False)

    def show_preflight(self, found: Preflight | None) -> None:
        """Show the values that the plan has chosen, and the size of the result."""
        memory = self.place.model().item(0)
        reason = found.no_memory if found is not None else ""
        memory.setEnabled(not reason)
        memory.setToolTip(reason)
        self.place.setToolTip(f"{self._place_tip}\n{reason}".strip())
        self.neighbours.show_plan(found.plan if found is not None else None)
        if found is None:
            self.cost.say("")
            return
        plan = found.plan
        self.range.show_estimate(plan.recipe.value_range or ())
        self.range.show_histograms(found.report.histograms)
        self.intensity.show_estimate(plan.recipe.intensity, plan.recipe.noise)
        if found.obstacle:
            self.show_error(found.obstacle)
            return
        to_disk = self.to_disk
        size = found.stored_bytes if to_disk else plan.output_bytes
        free = found.free_bytes
        target = "memory" if not to_disk else "the object store" if free is None else "disk"
        text = f"{human_bytes(size)} to {target}{'' if free is None else f', {human_bytes(free)} free'}."
        if found.stored_blocks == plan.blocks:
            blocks = counted(plan.blocks, "block")
            text = f"The result is complete ({blocks}). Run shows it; Replace computes it again."
        elif found.stored_blocks:
            text += f" {found.stored_blocks} of {plan.blocks} blocks are stored: the run is resumed."
        full = to_disk and free is not None and size > free and found.stored_blocks < plan.blocks
        if full:
            text += " That is more than is free: it fits only if compression makes it smaller."
        self.cost.say(text, warning=full)

    def show_waiting(self) -> None:
        """Show that the choices are checked when the run in progress has ended."""
        self.cost.say("Size and time of these settings are shown when the run has ended.")

    def show_error(self, text: str) -> None:
        """Show why the run is not possible."""
        self.cost.say(text, warning=True)

    def _changed(self, value: object = None) -> None:
        for row in (self.file, self.options):
            self.set_row_visible(row, self.to_disk)
        self.changed.emit()

    def _browse(self) -> None:
        start = self.path.text() or str(Path(self.folder).expanduser() / "result.zarr")
        path, _ = QFileDialog.getSaveFileName(self, "OME-Zarr to write", start, "OME-Zarr (*.zarr)")
        if path:
            self.path.setText(path)
            self.changed.emit()
