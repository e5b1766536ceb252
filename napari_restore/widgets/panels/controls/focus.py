"""Show which control has the keyboard focus: napari's style sheet does not."""

from __future__ import annotations

__all__ = ["focus_style"]


def focus_style(colour: str) -> str:
    """Return a style sheet that draws a border around the control with the focus.

    The padding of napari's style sheet is reduced by the width of the border, so that nothing moves.

    Parameters
    ----------
    colour : str
        Colour of the border, such as ``"#f0f1f2"``.
    """
    border = f"border: 1px solid {colour};"
    return f"""
        QPushButton:focus {{ {border} padding: 3px; }}
        QToolButton:focus {{ {border} }}
        QComboBox:focus {{ {border} padding: 2px 9px 2px 7px; }}
        QLineEdit:focus {{ {border} padding: 1px; }}
        QAbstractSpinBox {{ border: 1px solid transparent; padding: 0px 9px; }}
        QAbstractSpinBox:focus {{ {border} }}
        QCheckBox::indicator:focus {{ {border} width: 14px; height: 14px; }}
        QSlider:focus {{ {border} border-radius: 2px; }}
    """
