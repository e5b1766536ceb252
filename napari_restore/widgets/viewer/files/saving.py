"""Leave temporary layers out when all layers are saved."""

from __future__ import annotations

__all__ = ["leave_helpers_out"]

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from napari_restore.widgets.jobs.layers.image_layers import is_helper
from napari_restore.wording import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari.components import LayerList
    from napari.viewer import Viewer


def leave_helpers_out(viewer: Viewer) -> None:
    """Make `viewer.layers.save` leave out wipes, differences, maps and previews, unless they are selected to be saved.

    napari has no mark for a layer that is not to be saved, and its menu, its key and scripts all call this method. It
    is replaced on this one layer list, once, and does what it did before if there are no temporary layers.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        The viewer.
    """
    layers = viewer.layers
    whole = layers.save
    if getattr(whole, "leaves_helpers_out", False):
        return

    def save(path: str, *, selected: bool = False, plugin: str | None = None, _writer: Any = None) -> list[str]:
        helpers = [layer for layer in layers if is_helper(layer)]
        if selected or not helpers:
            return list(whole(path, selected=selected, plugin=plugin, _writer=_writer))
        from napari.utils.notifications import show_info

        kept = [layer for layer in layers if layer not in helpers]
        with _only_selected(layers, kept):
            writer = _writer if _writer is None or _takes(_writer, kept) else None
            written = list(whole(path, selected=True, plugin=plugin, _writer=writer))
        show_info(
            f"{counted(len(helpers), 'temporary layer')} of napari-restore left out: "
            f"{', '.join(layer.name for layer in helpers)}. Select one and use Save Selected Layers to save it."
        )
        return written

    save.leaves_helpers_out = True  # type: ignore[attr-defined]
    layers.save = save


@contextmanager
def _only_selected(layers: LayerList, kept: list[Any]) -> Iterator[None]:
    """Select layers for a while, without telling anyone."""
    selection = layers.selection
    before, active = set(selection), selection.active
    with selection.events.blocker_all():
        selection.clear()
        for layer in kept:
            selection.add(layer)
        try:
            yield
        finally:
            selection.clear()
            for layer in before:
                selection.add(layer)
            selection.active = active


def _takes(writer: Any, layers: list[Any]) -> bool:
    """Return whether a writer that was chosen for all layers takes these too."""
    from npe2 import PluginManager

    types = [str(layer.__class__.__name__).lower() for layer in layers]
    return writer in PluginManager.instance().iter_compatible_writers(types)
