"""Writes what is made from the settings of a recipe and kept as text: the class `Settings` and docs/settings.md.

python -m napari_restore.api.write_settings
"""

from __future__ import annotations

__all__ = ["settings_tables", "settings_type", "write"]

import textwrap
from pathlib import Path

from napari_restore.engine.planning.recipe import settings
from napari_restore.engine.planning.settings.setting import GROUPS, Setting

_PACKAGE = Path(__file__).parents[1]
_TYPE = (
    _PACKAGE / "api/settings.py",
    "# Written by napari_restore.api.write_settings.\n",
    "# End of what is written.\n",
)
_PAGE = (_PACKAGE.parent / "docs/settings.md", "<!-- settings generated -->\n", "<!-- end -->\n")
_WIDTH = 120


def settings_type() -> str:
    """Give the class `Settings` as Python: a key for each setting that a function of the api takes by keyword."""
    kept = {name: setting for name, setting in settings().items() if name != "model"}
    lines = [
        "class Settings(TypedDict, total=False):",
        '    """Settings that all functions here take by keyword; those left out are chosen and shown by `plan`.',
        "",
        "    Attributes",
        "    ----------",
        *(line for name, setting in kept.items() for line in _attribute(name, setting)),
        '    """',
        "",
        *(f"    {name}: {setting.takes}" for name, setting in kept.items()),
    ]
    return "\n".join(lines) + "\n"


def _attribute(name: str, setting: Setting) -> list[str]:
    """Describe a setting as NumPy's docstrings do."""
    return [
        f"    {name} : {_plain(setting.takes)}",
        *textwrap.wrap(setting.description, _WIDTH, initial_indent=" " * 8, subsequent_indent=" " * 8),
    ]


def settings_tables() -> str:
    """Give a table for each group of settings, as Markdown."""
    headings = ("setting", "type", "unit", "what it is", "if left out", "command line", "dock widget")
    header = f"| {' | '.join(headings)} |\n{'|---' * len(headings)}|"
    parts = []
    for group, title in GROUPS.items():
        rows = [_row(setting) for setting in settings().values() if setting.group == group]
        parts.append("\n".join([f"## {title}", "", header, *rows]))
    return "\n\n".join(parts) + "\n"


def _row(setting: Setting) -> str:
    page = f" [More]({setting.page})." if setting.page else ""
    cells = (
        f"`{setting.name}`",
        _plain(setting.takes).removesuffix(" or None"),
        setting.unit,
        setting.help + page,
        setting.without,
        ", ".join(f"`{flag}`" for flag in setting.flags),
        setting.control,
    )
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _plain(annotation: str) -> str:
    """Write a type as NumPy's docstrings do: ``{"raise", "fill"}``, ``int or None``."""
    return annotation.replace("Literal[", "{").replace('"]', '"}').replace(" | ", " or ")


def write() -> None:
    """Write both texts anew where they are kept, in a clone of the repository."""
    for (path, begin, end), text in ((_TYPE, f"{settings_type()}\n\n"), (_PAGE, settings_tables())):
        before, _, rest = path.read_text(encoding="utf-8").partition(begin)
        _, found, after = rest.partition(end)
        if not found:
            raise ValueError(f"{path} has no lines {begin!r} and {end!r}; put them where the settings belong.")
        path.write_text(f"{before}{begin}{text}{end}{after}", encoding="utf-8")


if __name__ == "__main__":
    write()
