"""Write the texts that are generated from the settings of a recipe: ``python -m napari_restore.api.write_settings``.

These are the class `Settings`, the entry of its keywords in the docstrings of the api, and docs/settings.md.
"""

from __future__ import annotations

__all__ = ["plain_type", "settings_entry", "settings_tables", "settings_type", "write"]

import re
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
_ENTRY = re.compile(r"^    \*\*settings : Unpack\[Settings\]\n(?: {8}.*\n)+", re.MULTILINE)
"""The entry of the settings in a docstring."""


def settings_type() -> str:
    """Return the class `Settings` as Python, with a key for each setting that functions of the api take by keyword."""
    kept = _by_keyword()
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


def settings_entry() -> str:
    """Return the entry ``**settings`` of a numpydoc "Parameters" section: the names of the settings, by group."""
    names: dict[str, list[str]] = {}
    for name, setting in _by_keyword().items():
        names.setdefault(GROUPS[setting.group], []).append(f"`{name}`")
    text = "Settings by keyword; those left out are chosen, and shown by `plan`. `Settings` describes each. "
    text += " ".join(f"{title}: {', '.join(names[title])}." for title in GROUPS.values() if title in names)
    return "\n".join(["    **settings : Unpack[Settings]", *_wrapped(text)]) + "\n"


def _by_keyword() -> dict[str, Setting]:
    """Return all settings but the model, which functions have a parameter for."""
    return {name: setting for name, setting in settings().items() if name != "model"}


def _attribute(name: str, setting: Setting) -> list[str]:
    """Return the numpydoc entry of a setting."""
    return [f"    {name} : {plain_type(setting.takes)}", *_wrapped(setting.description)]


def _wrapped(text: str) -> list[str]:
    indent = " " * 8
    return textwrap.wrap(text, _WIDTH, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False)


def settings_tables() -> str:
    """Return a Markdown table for each group of settings."""
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
        plain_type(setting.takes).removesuffix(" or None"),
        setting.unit,
        setting.help + page,
        setting.without,
        ", ".join(f"`{flag}`" for flag in setting.flags),
        setting.control,
    )
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def plain_type(annotation: str) -> str:
    """Return a type as numpydoc writes it: ``{"raise", "fill"}``, ``int or None``.

    Parameters
    ----------
    annotation : str
        Type as Python writes it: ``Literal["raise", "fill"]``, ``int | None``.

    Returns
    -------
    str
        The type.
    """
    return annotation.replace("Literal[", "{").replace('"]', '"}').replace(" | ", " or ")


def write() -> None:
    """Write all generated texts to their files, in a clone of the repository.

    Raises
    ------
    ValueError
        If a file has no lines that mark the place of its text.
    """
    for (path, begin, end), text in ((_TYPE, f"{settings_type()}\n\n"), (_PAGE, settings_tables())):
        before, _, rest = path.read_text(encoding="utf-8").partition(begin)
        _, found, after = rest.partition(end)
        if not found:
            raise ValueError(f"{path} has no lines {begin!r} and {end!r}; put them where the settings belong.")
        path.write_text(f"{before}{begin}{text}{end}{after}", encoding="utf-8")
    for path in sorted((_PACKAGE / "api").glob("*.py")):
        source = path.read_text(encoding="utf-8")
        path.write_text(_ENTRY.sub(settings_entry(), source), encoding="utf-8")


if __name__ == "__main__":
    write()
