"""The page that restores many files: sources, folder of the results, and a table of the images."""

from __future__ import annotations

__all__ = ["BatchBox"]

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QAbstractItemView,
    QCheckBox,
    QFileDialog,
    QHeaderView,
    QLineEdit,
    QPlainTextEdit,
    QProgressBar,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_restore.widgets.jobs.batch import state_in_words
from napari_restore.widgets.panels.controls.box import Box, side_by_side, wrapped
from napari_restore.widgets.panels.controls.note import Note

if TYPE_CHECKING:
    from napari_restore.api import BatchItem

BatchState = Literal["idle", "listing", "running", "cancelling"]
_SOURCE_LINES = 3


class _Paths(QPlainTextEdit):
    """Text with one path a line; dropped files and folders are added as such."""

    def canInsertFromMimeData(self, source: Any) -> bool:
        return bool(source.hasUrls() or super().canInsertFromMimeData(source))

    def insertFromMimeData(self, source: Any) -> None:
        if not source.hasUrls():
            super().insertFromMimeData(source)
            return
        self.add([url.toLocalFile() or url.toString() for url in source.urls()])

    def add(self, paths: Sequence[str]) -> None:
        """Add paths, one a line, unless they are there."""
        lines = self.lines()
        self.setPlainText("\n".join([*lines, *(path for path in paths if path not in lines)]))

    def lines(self) -> list[str]:
        """Return the lines that are not empty."""
        return [line.strip() for line in self.toPlainText().splitlines() if line.strip()]


class BatchBox(QWidget):
    """The page that restores many files with the settings of the other page."""

    list_wanted, run_wanted, cancel_wanted, report_wanted = Signal(), Signal(), Signal(), Signal()

    def __init__(self) -> None:
        super().__init__()
        self.state: BatchState = "idle"
        box = Box("Images")
        self.sources, self.folder = _Paths(), QLineEdit()
        self.add_folder, self.add_files, self.browse = QPushButton("Folder…"), QPushButton("Files…"), QPushButton("…")
        self.shared, self.overwrite = QCheckBox("One range"), QCheckBox("Replace")
        self.sources.setPlaceholderText("Folders, files, plates, or patterns such as day*/*.tif; one a line")
        self.sources.setAccessibleName("Images")
        self.sources.setToolTip("Folders (with all images in them), files, OME-Zarrs, plates and patterns, one a line")
        self.sources.setTabChangesFocus(True)
        self.sources.setFixedHeight(self.fontMetrics().lineSpacing() * _SOURCE_LINES + 12)
        self.add_folder.setToolTip("Add a folder with images, or a plate")
        self.add_files.setToolTip("Add files")
        box.add_wide(self.sources)
        box.add_wide(wrapped(self.add_folder, self.add_files))
        words = "Folder of the results: an OME-Zarr for each image, and a report"
        box.add("Results", self.folder, words, self.browse)
        self.folder.setAccessibleName("Folder of the results")
        self.browse.setToolTip("Choose the folder of the results")
        self.browse.setMaximumWidth(36)
        self.shared.setToolTip("One value range for all images, so that their brightness can be compared")
        self.overwrite.setToolTip("Replace results that are complete; an interrupted one is resumed all the same")
        box.add_wide(wrapped(self.shared, self.overwrite))
        self.settings = Note("Model and settings are those of the page Layers")
        box.add_wide(self.settings)
        self.table = QTableWidget(0, 2)
        self.table.setHorizontalHeaderLabels(["Image", "State"])
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.table.setWordWrap(False)
        self.table.setAccessibleName("Images of the batch")
        rows, columns = self.table.verticalHeader(), self.table.horizontalHeader()
        assert rows is not None and columns is not None
        rows.hide()
        columns.setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        self.list, self.run, self.report = QPushButton("List"), QPushButton("Run"), QPushButton("Report")
        self.list.setToolTip("Find the images and what is done of each; nothing is computed")
        self.run.setToolTip("Restore all images; those that are done are skipped, interrupted ones are resumed")
        self.report.setToolTip("Show the report of the batch")
        self.bar, self.line = QProgressBar(), Note()
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(8)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addWidget(box)
        column.addWidget(self.table, 1)
        column.addWidget(side_by_side(self.list, self.report, self.run))
        column.addWidget(self.bar)
        column.addWidget(self.line)
        self.list.clicked.connect(self.list_wanted)
        self.run.clicked.connect(self._run_clicked)
        self.report.clicked.connect(self.report_wanted)
        self.add_folder.clicked.connect(self._add_folder)
        self.add_files.clicked.connect(self._add_files)
        self.browse.clicked.connect(self._browse)
        self.set_state("idle")

    def set_state(self, state: BatchState) -> None:
        """Show what is in progress, and enable what can be clicked."""
        self.state = state
        idle = state == "idle"
        for widget in (self.sources, self.add_folder, self.add_files, self.folder, self.browse, self.shared,
                       self.overwrite, self.list):  # fmt: skip
            widget.setEnabled(idle)
        self.run.setText("Run" if idle else "Cancelling…" if state == "cancelling" else "Cancel")
        self.run.setEnabled(state != "cancelling")
        self.bar.setVisible(not idle)
        if state == "listing":
            self.bar.setRange(0, 0)

    def show_items(self, items: Sequence[BatchItem]) -> None:
        """List images with their states."""
        self.table.setRowCount(len(items))
        for row, item in enumerate(items):
            name = QTableWidgetItem(item.name)
            name.setToolTip(f"{item.source}\n→ {item.output}")
            self.table.setItem(row, 0, name)
            self.table.setItem(row, 1, QTableWidgetItem())
            self.show_item(row, state_in_words(item))

    def show_item(self, row: int, state: str) -> None:
        """Show the state of an image, and scroll to it."""
        cell = self.table.item(row, 1)
        if cell is not None:
            cell.setText(state)
            cell.setToolTip(state)
            self.table.scrollToItem(cell)

    def _run_clicked(self) -> None:
        (self.run_wanted if self.state == "idle" else self.cancel_wanted).emit()

    def _add_folder(self) -> None:
        path = QFileDialog.getExistingDirectory(self, "Folder with images, or a plate")
        if path:
            self.sources.add([path])

    def _add_files(self) -> None:
        paths, _ = QFileDialog.getOpenFileNames(self, "Images")
        self.sources.add(paths)

    def _browse(self) -> None:
        path = QFileDialog.getExistingDirectory(self, "Folder of the results", self.folder.text())
        if path:
            self.folder.setText(path)
