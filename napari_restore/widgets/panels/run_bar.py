"""The buttons that start and stop work, and its progress."""

from __future__ import annotations

__all__ = ["RunBar"]

from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QProgressBar, QPushButton, QVBoxLayout, QWidget

from napari_restore.widgets.panels.controls.note import Note
from napari_restore.widgets.panels.menus.more_button import MoreButton
from napari_restore.wording import human_duration

if TYPE_CHECKING:
    from napari_restore.engine.planning.plan import Plan
    from napari_restore.engine.store.progress import Progress
    from napari_restore.widgets.jobs.controller import State

_STAGES = {"restoring": "Blocks", "pyramid": "Coarser levels", "copying": "Labels and tables"}


class RunBar(QWidget):
    """Preview or Stop, Live, Run or Cancel, the menu, and the progress of a run."""

    preview_wanted, run_wanted, stop_wanted = Signal(), Signal(), Signal()

    def __init__(self) -> None:
        super().__init__()
        self.state: State = "idle"
        self._resumes = False
        self.preview, self.run = QPushButton("Preview"), QPushButton("Run")
        self.live = QPushButton("Live")
        self.live.setCheckable(True)
        self.live.setToolTip("Preview again after each change of the view, the sliders or a setting")
        self.more = MoreButton("The same for other layers, copy as Python or command, recipes, presets and defaults")
        self.menu = self.more.actions_menu
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(8)
        self.line, self.details = Note(), Note()
        self.bar.setToolTip("Restored tiles")
        buttons = QHBoxLayout()
        buttons.addWidget(self.preview, 2)
        buttons.addWidget(self.live, 1)
        buttons.addWidget(self.run, 2)
        buttons.addWidget(self.more)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 2, 0, 0)
        column.setSpacing(4)
        column.addLayout(buttons)
        column.addWidget(self.bar)
        column.addWidget(self.line)
        column.addWidget(self.details)
        self.show_details = QPushButton("Details")
        self.show_details.setCheckable(True)
        self.show_details.setToolTip("The traceback of the error, or the copied text")
        self.show_details.toggled.connect(self.details.setVisible)
        column.addWidget(self.show_details)
        self.show_details.hide()
        self.preview.clicked.connect(self._preview_clicked)
        self.run.clicked.connect(self._run_clicked)
        self.set_state("idle")

    def set_state(self, state: State) -> None:
        """Show what is in progress, and enable the buttons that can be clicked."""
        if state in ("previewing", "running") and state != self.state:
            self.bar.setRange(0, 0)  # busy, until there is progress to show
        self.state = state
        # A preview never keeps a run from starting.
        self.preview.setEnabled(state in ("idle", "previewing"))
        self.live.setEnabled(state in ("idle", "previewing"))
        self.run.setEnabled(state != "cancelling")
        previewing = state == "previewing"
        self.preview.setText("Stop" if previewing else "Preview")
        self.preview.setToolTip(
            "Stop the preview (Esc)"
            if previewing
            else "Restore the region on screen; the pixels are those of a run (Shift+Enter)"
        )
        resting = "Resume" if self._resumes else "Run"
        self.run.setText({"running": "Cancel", "cancelling": "Cancelling…"}.get(state, resting))
        self.run.setToolTip(
            "Stop the run (Esc)" if state == "running" else "Restore the region into memory or an OME-Zarr (Ctrl+Enter)"
        )
        self.bar.setVisible(state != "idle")

    def set_resumes(self, resumes: bool) -> None:
        """Set whether a run would resume an interrupted one."""
        self._resumes = resumes
        self.set_state(self.state)

    def show_progress(self, event: Progress, plan: Plan) -> None:
        """Show the progress of a run."""
        done, total = event.steps
        self.bar.setRange(0, max(total, 1))
        self.bar.setValue(done)
        if not event.counts_tiles:
            self.tell(f"{_STAGES[event.stage]}: {done} of {total}")
            return
        pixels = plan.image.sizes["Y"] * plan.image.sizes["X"] / max(plan.tiles_in_plane, 1)
        text = f"{done} of {total} tiles · {event.tiles_per_second * pixels / 1e6:.2g} Mpx/s"
        left = event.eta_seconds
        self.tell(text if left is None else f"{text} · {human_duration(left)} left")

    def tell(self, text: str, *, warning: bool = False, details: str = "") -> None:
        """Show one line, and details on demand."""
        self.line.say(text, warning=warning)
        self.details.setText(details)
        self.show_details.setVisible(bool(details))
        self.show_details.setChecked(False)
        self.details.hide()

    def _preview_clicked(self) -> None:
        (self.stop_wanted if self.state == "previewing" else self.preview_wanted).emit()

    def _run_clicked(self) -> None:
        (self.stop_wanted if self.state == "running" else self.run_wanted).emit()
