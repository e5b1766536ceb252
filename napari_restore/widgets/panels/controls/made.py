"""Controls that magicgui makes from the settings of a recipe: type, range and choices stand in their annotation."""

from __future__ import annotations

__all__ = ["Made", "make_control", "make_controls", "section_settings"]

from collections.abc import Callable, Sequence
from typing import Any

from magicgui.widgets import create_widget
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QAbstractSpinBox, QLabel, QSizePolicy, QWidget

from napari_restore.engine.planning.recipe import make_recipe, settings
from napari_restore.engine.planning.settings.setting import Setting
from napari_restore.errors import RecipeError
from napari_restore.widgets.panels.controls.choice import fit_any_width

AUTO = "auto"
_READOUT = 46
"""Width in pixels of the number beside a slider."""


def section_settings(section: str) -> dict[str, Setting]:
    """Return the settings whose control magicgui makes in a section of the dock widgets, by name.

    Parameters
    ----------
    section : str
        The part of `Setting.control` before the sign ``›``.
    """
    return {
        name: setting
        for name, setting in settings().items()
        if setting.widget and setting.control.partition(" › ")[0] == section
    }


def make_controls(section: str, *first: str) -> dict[str, Made]:
    """Make the controls of a section, by the name of the setting.

    Parameters
    ----------
    section : str
        As for `section_settings`.
    *first : str
        Names of the settings that stand first.
    """
    found = section_settings(section)
    return {name: make_control(found[name]) for name in dict.fromkeys((*first, *found))}


def make_control(setting: Setting) -> Made:
    """Make the control of a setting, with its default.

    Parameters
    ----------
    setting : Setting
        A setting with a `Setting.widget`.
    """
    kinds: dict[str, type[Made]] = {"ComboBox": _Choice, "FloatSpinBox": _Number, "Slider": _Share, "LineEdit": _Text}
    made = kinds.get(setting.widget, Made)(setting)
    made.show(setting.default)
    return made


class Made:
    """The control of one setting.

    Parameters
    ----------
    setting : Setting
        The setting.

    Attributes
    ----------
    label : str
        Its label.
    native : QWidget
        The Qt widget.
    """

    def __init__(self, setting: Setting) -> None:
        self.setting, self.label = setting, setting.control.partition(" › ")[2]
        self._widget: Any = create_widget(
            annotation=self._type(), widget_type=setting.widget, name=setting.name, options=self._options()
        )
        self.native: Any = self._widget.native
        self.native.setToolTip(setting.description)
        self.native.setAccessibleName(self.label)

    def _type(self) -> Any:
        return bool

    def _options(self) -> dict[str, Any]:
        return {"text": self.label} if self.setting.widget == "CheckBox" else {}

    def when_changed(self, changed: Callable[[], None]) -> None:
        """Call a function whenever the value has changed."""
        self._widget.changed.connect(lambda value: changed())

    def value(self) -> Any:
        """Return the chosen value as a recipe stores it; None: the plan chooses."""
        return self._widget.value

    def show(self, value: Any) -> None:
        """Show a value as a recipe stores it; None: the plan chooses."""
        self._widget.value = self.setting.default if value is None else value

    def show_planned(self, value: Any) -> None:
        """Show what “auto” stands for."""

    def add(self, values: Sequence[Any]) -> None:
        """Add values to a list, unless they are there."""


class _Choice(Made):
    """A list of the allowed values."""

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        fit_any_width(self.native)

    def _type(self) -> Any:
        return str  # magicgui gives optional types an item of its own

    def _options(self) -> dict[str, Any]:
        given = self.setting.options.get("choices") or self.setting.values
        auto = [(AUTO, None)] if self.setting.default is None else []
        return {"choices": [*auto, *((str(value), value) for value in given)]}

    def add(self, values: Sequence[Any]) -> None:
        here = [self.native.itemData(index) for index in range(self.native.count())]
        new = [value for value in values if value not in here]
        if new:
            listed = [(self.native.itemText(index), data) for index, data in enumerate(here)]
            with self._widget.changed.blocked():
                chosen = self._widget.value
                self._widget.choices = [*listed, *((str(value), value) for value in new)]
                self._widget.value = chosen

    def show(self, value: Any) -> None:
        shown = self.setting.default if value is None else value
        if shown is not None:
            self.add([shown])
        self._widget.value = shown

    def show_planned(self, value: Any) -> None:
        box = self.native
        index = next((i for i in range(box.count()) if box.itemData(i) in (None, AUTO)), None)
        if index is not None:
            chosen = box.currentIndex() == index and value not in (None, AUTO)
            box.setItemText(index, f"{AUTO} ({value})" if chosen else AUTO)


class _Number(Made):
    """A number; one below the least allowed stands for “auto”."""

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self.native.setDecimals(setting.options.get("decimals", 0))
        self.native.setSuffix(setting.options.get("suffix", ""))
        self.native.setSpecialValueText(AUTO)
        self.native.setKeyboardTracking(False)
        self.native.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)

    def _type(self) -> Any:
        return float

    def _options(self) -> dict[str, Any]:
        given = self.setting.options
        return {"min": self._auto, "max": given["max"], "step": given.get("step", 1), "value": self._auto}

    @property
    def _auto(self) -> float:
        return float(self.setting.options.get("min", 1) - 1)

    @property
    def _factor(self) -> float:
        return float(self.setting.options.get("factor", 1))

    def value(self) -> Any:
        shown = self.native.value()
        return None if shown == self._auto else round(shown * self._factor)

    def show(self, value: Any) -> None:
        self.native.setValue(self._auto if not isinstance(value, int) else value / self._factor)

    def show_planned(self, value: Any) -> None:
        self.native.setSpecialValueText(AUTO if value is None else f"{AUTO} ({value})")


class _Share(Made):
    """A share in percent, on a slider."""

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        for readout in self.native.findChildren(QAbstractSpinBox):
            readout.setStyleSheet("background: transparent; border: 0; padding: 0; min-width: 0;")  # napari's are wide
            readout.setFocusPolicy(Qt.FocusPolicy.ClickFocus)  # the tab key reaches the slider, which has all values
            readout.setFixedWidth(_READOUT)
        self.native.layout().addWidget(QLabel("%"))
        for part in self.native.findChildren(QWidget):
            part.setToolTip(setting.description)
            part.setAccessibleName(self.label)
        self.native.setMinimumWidth(2 * _READOUT)

    def _type(self) -> Any:
        return int

    def _options(self) -> dict[str, Any]:
        return {"min": 0, "max": 100, "value": 100}

    def value(self) -> Any:
        return self._widget.value / 100

    def show(self, value: Any) -> None:
        self._widget.value = round(100 * (self.setting.default if value is None else value))


class _Text(Made):
    """The words of the command line for a value; empty: the plan chooses."""

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self.native.setPlaceholderText(AUTO)
        self.native.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.native.setToolTip(f"{setting.metavar}\n{setting.description}")

    def _type(self) -> Any:
        return str

    def when_changed(self, changed: Callable[[], None]) -> None:
        self.native.editingFinished.connect(changed)

    def value(self) -> Any:
        """Return the value; raise `RecipeError` if the text is none."""
        text = self.native.text().strip()
        if not text:
            return None
        setting, words = self.setting, text.split()
        written = setting.written
        if written.kind == "channels":
            if len(words) != written.count:
                raise RecipeError(f"{self.label} {text!r} has {len(words)} parts; write {setting.metavar}.")
            read: Any = setting.read(tuple(setting.read_items(word) for word in words))
        else:
            joined = "".join(words)
            read = setting.read(setting.read_items(joined) if written.kind == "list" else joined)
        return getattr(make_recipe(model="any", **{setting.name: read}), setting.name)

    def show(self, value: Any) -> None:
        self.native.setText("" if value is None else " ".join(self.setting.words(value)[1:]))

    def show_planned(self, value: Any) -> None:
        words = " ".join(self.setting.words(value)[1:]) if value is not None else ""
        self.native.setPlaceholderText(f"{AUTO} ({words})" if words else AUTO)
