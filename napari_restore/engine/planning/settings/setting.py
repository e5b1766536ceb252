"""A setting as a person meets it: its type, unit, default and meaning, and where it can be set.

A `Setting` stands in the annotation of a field of `napari_restore.engine.planning.recipe.Recipe`. All faces of the
package are made from it: `napari_restore.api.Settings`, the options of the command line, the dock widgets and the page
``docs/settings.md``.
"""

from __future__ import annotations

__all__ = ["GROUPS", "NEVER", "Group", "Setting", "Written", "type_text"]

import types
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Union, get_args, get_origin

from napari_restore.errors import RecipeError

Group = Literal["source", "network", "values", "result", "run"]

GROUPS: dict[Group, str] = {
    "source": "Source",
    "network": "Network and tiles",
    "values": "Values",
    "result": "Result",
    "run": "How to run",
}
"""Headings of the groups. Settings of the group ``"run"`` say how a result is made, and not what it is."""


NEVER = object()
"""Stands for a value that no setting has."""


@dataclass(frozen=True)
class Written:
    """How a setting is written on the command line.

    Attributes
    ----------
    kind : {"switch", "word", "list", "lists", "channels"}
        A flag alone; one word; one word of items with commas between them; one word of such lists, one per channel,
        with semicolons between them; or `count` words, each of them one number, or with commas one number per channel.
    item : type
        Of one item: bool, int, float or str.
    count : int
        Words behind the flag.
    alone : bool
        Whether a list of one item is that item.
    """

    kind: Literal["switch", "word", "list", "lists", "channels"]
    item: type
    count: int = 1
    alone: bool = False


@dataclass(frozen=True)
class Setting:
    """What there is to say of a field of the recipe.

    Parameters
    ----------
    help : str
        One sentence: what the setting is or does.
    group : str
        See `GROUPS`.
    unit : str
        Of its numbers; empty where there is none.
    otherwise : str
        What is used where the setting is None, because it was left out.
    accepts : str
        Annotation of what the functions of `napari_restore.api` take, where that is more than a recipe stores.
    flag : str or None
        Of the command line, such as ``"--range"`` or ``"--fsync/--no-fsync"``; empty: made of the name; None: there is
        none.
    metavar : str
        What stands behind the flag in the help; empty: the type.
    control : str
        Where the dock widgets have a control for it; empty: nowhere, and a value from a recipe is kept and shown.
    page : str
        Page of the documentation that tells more.
    last_bits : bool
        Of the group ``"run"``: whether it moves the last bits of a result, so that a resumed run keeps it.
    earlier : Any
        Of a setting that came after the first results: the value by which a run does as it did before.
    nothing : tuple of str
        Words that stand for an empty list on the command line.
    name, annotation, default
        Of the field; filled in by `napari_restore.engine.planning.recipe.settings`.
    """

    help: str
    group: Group
    unit: str = ""
    otherwise: str = ""
    accepts: str = ""
    flag: str | None = ""
    metavar: str = ""
    control: str = ""
    page: str = ""
    last_bits: bool = False
    earlier: Any = NEVER
    nothing: tuple[str, ...] = ()
    name: str = ""
    annotation: Any = None
    default: Any = None

    @property
    def takes(self) -> str:
        """Annotation of what the functions of `napari_restore.api` take."""
        return self.accepts or type_text(self.annotation)

    @property
    def without(self) -> str:
        """What is used where it is left out, in words."""
        if self.default is None:
            return self.otherwise
        return ("no", "yes")[self.default] if isinstance(self.default, bool) else str(self.default)

    @property
    def description(self) -> str:
        """The sentence, the unit, and what is used where it is left out."""
        unit = f" Unit: {self.unit}." if self.unit else ""
        return f"{self.help}{unit} If left out: {self.without}."

    @property
    def values(self) -> tuple[str, ...]:
        """The values that it may have; empty where they cannot be listed."""
        literals = [option for option in _options(self.annotation) if get_origin(option) is Literal]
        return tuple(value for literal in literals for value in get_args(literal))

    @property
    def flags(self) -> tuple[str, ...]:
        """Flags of the command line: one, two for a switch that can be turned off as well, or none."""
        if self.flag is None:
            return ()
        word = self.name.replace("_", "-")
        made = f"--{word}/--no-{word}" if self.written.kind == "switch" else f"--{word}"
        return tuple((self.flag or made).split("/"))

    @property
    def written(self) -> Written:
        """How it is written on the command line.

        Raises
        ------
        TypeError
            If its type cannot be written there.
        """
        options = [option for option in _options(self.annotation) if option is not types.NoneType]
        lists = [option for option in options if get_origin(option) is tuple]
        inner = get_args(lists[0])[0] if lists else None
        if get_origin(inner) is tuple and Ellipsis in get_args(inner):
            return Written("lists", get_args(inner)[0])
        if get_origin(inner) is tuple:
            return Written("channels", float, count=len(get_args(inner)))
        if inner in (int, float):
            return Written("list", inner, alone=len(options) > 1)
        if options == [bool]:
            return Written("switch", bool)
        if "str" in self.accepts.split(" | ") or all(get_origin(option) is Literal for option in options):
            return Written("word", str)
        if len(options) == 1 and options[0] in (int, float, str):
            return Written("word", options[0])
        raise TypeError(
            f"setting {self.name!r} of the type {type_text(self.annotation)} cannot be written on the command line; "
            "say flag=None, or teach `Setting.written` to write it."
        )

    def words(self, value: Any) -> list[str]:
        """Write a value for the command line; no words where its switch is off unless it is turned on.

        Raises
        ------
        RecipeError
            If the command line has no option for this setting.

        Examples
        --------
        >>> Setting("Side.", "network", name="tile", annotation=int | tuple[int, int] | None).words((64, 96))
        ['--tile', '64,96']
        """
        if not self.flags:
            raise RecipeError(f"the command line has no option for {self.name}={value!r}; copy the call as Python.")
        written = self.written
        if written.kind == "switch":
            return [self.flags[0]] if value else list(self.flags[1:])
        if self.nothing and not value:
            return [self.flags[0], *self.nothing]
        if written.kind == "lists":
            return [self.flags[0], ";".join(",".join(map(str, each)) or "".join(self.nothing) for each in value)]
        if written.kind == "channels":
            return [self.flags[0], *(",".join(map(str, each)) for each in zip(*value, strict=True))]
        items = value if isinstance(value, tuple) else (value,)
        return [self.flags[0], ",".join(map(str, items))]

    def read_items(self, word: str) -> tuple[float, ...]:
        """Read one word of items with commas between them.

        Raises
        ------
        RecipeError
            If an item is no number.
        """
        item = self.written.item
        try:
            return tuple(item(part) for part in word.split(","))
        except ValueError:
            kind = "whole numbers" if item is int else "numbers"
            one, several = ("96", "96,128") if item is int else ("0.5", "0.45,0.44,0.4")
            raise RecipeError(
                f"{word!r} is not {kind} with commas between them; write one, like {one}, or several, like {several}."
            ) from None

    def read(self, value: Any) -> Any:
        """Give the setting that words of items stand for: the inverse of `words`.

        Parameters
        ----------
        value : tuple
            Of a list, what `read_items` gives; of ``"channels"``, that for each word. Anything else is given back.

        Raises
        ------
        RecipeError
            If the words do not name as many channels.
        """
        written = self.written
        if written.kind == "lists":
            if (value,) == self.nothing:
                return ()
            parts = [part.strip() for part in value.split(";")]
            return tuple(() if (part,) == self.nothing else self.read_items(part) for part in parts)
        if written.kind == "list":
            return value[0] if written.alone and len(value) == 1 else value
        if written.kind == "word" and "int" in self.accepts.split(" | ") and str(value).isdecimal():
            return int(value)  # a number, where a name will do as well
        if written.kind != "channels":
            return value
        if len({len(each) for each in value}) > 1:
            raise RecipeError(
                f"{self.flags[0]} has {', '.join(str(len(each)) for each in value)} numbers in its {written.count} "
                "words; give each of them one, or one per channel with commas between them."
            )
        return tuple(zip(*value, strict=True))


def type_text(annotation: Any) -> str:
    """Write a type as it is written in Python.

    Examples
    --------
    >>> type_text(Literal["raise", "fill"] | None), type_text(tuple[int, ...])
    ('Literal["raise", "fill"] | None', 'tuple[int, ...]')
    """
    if annotation is types.NoneType or annotation is Ellipsis:
        return "None" if annotation is types.NoneType else "..."
    if get_origin(annotation) in (Union, types.UnionType):
        return " | ".join(map(type_text, get_args(annotation)))
    if get_origin(annotation) is Literal:
        return f"Literal[{', '.join(_quoted(value) for value in get_args(annotation))}]"
    if get_origin(annotation) is tuple:
        return f"tuple[{', '.join(map(type_text, get_args(annotation)))}]"
    return str(annotation.__name__)


def _options(annotation: Any) -> Sequence[Any]:
    """Give the members of a union, or the one type."""
    return get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,)


def _quoted(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else repr(value)
