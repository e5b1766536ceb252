"""Describe a setting: its type, unit, default and meaning, and where it can be set.

A `Setting` is part of the annotation of a field of `napari_restore.engine.planning.settings.fields.Fields`. These are
generated from it: `napari_restore.api.Settings`, the options of the command line, the controls of the dock widgets, and
the page ``docs/settings.md``.
"""

from __future__ import annotations

__all__ = ["GROUPS", "NEVER", "Group", "Setting", "Written", "type_text"]

import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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
"""Heading of each group. Settings of the group ``"run"`` decide how a result is computed, not what it is."""


NEVER = object()
"""A marker that differs from all values of settings."""


@dataclass(frozen=True)
class Written:
    """The form of a setting on the command line.

    Attributes
    ----------
    kind : {"switch", "word", "list", "lists", "channels"}
        A flag without a value; one word; one word with items separated by commas; one word with such lists, one per
        channel, separated by semicolons; or `count` words, each with one number, or with one number per channel
        separated by commas.
    item : type
        Type of one item: bool, int, float or str.
    count : int
        Number of words after the flag.
    alone : bool
        Whether a list of one item is read as that item.
    """

    kind: Literal["switch", "word", "list", "lists", "channels"]
    item: type
    count: int = 1
    alone: bool = False


@dataclass(frozen=True)
class Setting:
    """The description of a field of the recipe.

    Parameters
    ----------
    help : str
        One sentence that says what the setting is or does.
    group : str
        A key of `GROUPS`.
    unit : str
        Unit of its numbers; empty if there is none.
    otherwise : str
        Words for the value that is used if the setting is left out and its default is None.
    accepts : str
        Annotation in the functions of `napari_restore.api`, if they accept more types than a recipe stores.
    flag : str or None
        Flag of the command line, such as ``"--range"`` or ``"--fsync/--no-fsync"``. Empty for a flag that is made from
        the name; None for no flag.
    metavar : str
        Placeholder of the value in the help of the command line; empty for the type.
    control : str
        Place of its control in the dock widgets: section and label. Empty if there is no control: then a value that is
        loaded with a recipe is kept and shown.
    widget : str
        Type of the magicgui widget that is made as its control; empty for a control of its own drawing, or none.
    options : dict of str to object
        Options of that widget: ``min``, ``max`` and ``step`` in the unit that is shown, ``suffix``, ``decimals``, the
        ``factor`` from that unit to the stored one, ``choices``.
    page : str
        Page of the documentation with more information.
    last_bits : bool
        Whether a setting of the group ``"run"`` changes the last bits of a result, so that a resumed run keeps it.
    earlier : Any
        Value that reproduces the results of versions that did not have the setting; `NEVER` if all versions have it.
    nothing : tuple of str
        Words that mean an empty list on the command line.
    name : str
        Name of the field; set by `napari_restore.engine.planning.recipe.settings`, like the next two.
    annotation : type
        Type of the field.
    default : Any
        Default of the field.
    """

    help: str
    group: Group
    unit: str = ""
    otherwise: str = ""
    accepts: str = ""
    flag: str | None = ""
    metavar: str = ""
    control: str = ""
    widget: str = ""
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)
    page: str = ""
    last_bits: bool = False
    earlier: Any = NEVER
    nothing: tuple[str, ...] = ()
    name: str = ""
    annotation: Any = None
    default: Any = None

    @property
    def takes(self) -> str:
        """Annotation of the setting in the functions of `napari_restore.api`."""
        return self.accepts or type_text(self.annotation)

    @property
    def without(self) -> str:
        """Words for the value that is used if the setting is left out."""
        if self.default is None:
            return self.otherwise
        return ("no", "yes")[self.default] if isinstance(self.default, bool) else str(self.default)

    @property
    def description(self) -> str:
        """The help sentence, the unit, and the value that is used if the setting is left out."""
        unit = f" Unit: {self.unit}." if self.unit else ""
        return f"{self.help}{unit} If left out: {self.without}."

    @property
    def values(self) -> tuple[Any, ...]:
        """The allowed values; empty if they cannot be listed."""
        literals = [option for option in _options(self.annotation) if get_origin(option) is Literal]
        return tuple(value for literal in literals for value in get_args(literal))

    @property
    def flags(self) -> tuple[str, ...]:
        """Flags of the command line: none, one, or two for a switch that can also be turned off."""
        if self.flag is None:
            return ()
        word = self.name.replace("_", "-")
        made = f"--{word}/--no-{word}" if self.written.kind == "switch" else f"--{word}"
        return tuple((self.flag or made).split("/"))

    @property
    def written(self) -> Written:
        """The form of the setting on the command line.

        Raises
        ------
        TypeError
            If the command line has no form for its type.
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
        if "str" in self.accepts.split(" | "):
            return Written("word", str)
        if all(get_origin(option) is Literal for option in options):
            return Written("word", type(self.values[0]))
        if len(options) == 1 and options[0] in (int, float, str):
            return Written("word", options[0])
        raise TypeError(
            f"setting {self.name!r} of type {type_text(self.annotation)} cannot be written on the command line; "
            "set flag=None, or extend `Setting.written`."
        )

    def words(self, value: Any) -> list[str]:
        """Write a value as words of the command line.

        Parameters
        ----------
        value : Any
            Value of the setting, as a recipe stores it.

        Returns
        -------
        list of str
            Flag and words; empty for a switch that is off by default and has no flag to turn it off.

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
        """Parse one word with items separated by commas.

        Parameters
        ----------
        word : str
            Word of the command line.

        Returns
        -------
        tuple of int or float
            The items.

        Raises
        ------
        RecipeError
            If an item is not a number.
        """
        item = self.written.item
        try:
            return tuple(item(part) for part in word.split(","))
        except ValueError:
            kind = "whole numbers" if item is int else "numbers"
            one, several = ("96", "96,128") if item is int else ("0.5", "0.45,0.44,0.4")
            raise RecipeError(
                f"{word!r} is not {kind} separated by commas; write one, like {one}, or several, like {several}."
            ) from None

    def read(self, value: Any) -> Any:
        """Convert parsed words of the command line to a value of the setting: the inverse of `words`.

        Parameters
        ----------
        value : Any
            For a ``"list"``, the result of `read_items`; for ``"channels"``, a tuple of such results, one for each
            word. Other values are returned unchanged.

        Returns
        -------
        Any
            Value of the setting.

        Raises
        ------
        RecipeError
            If the words have different numbers of channels.
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
            return int(value)  # the setting takes a number or a name
        if written.kind != "channels":
            return value
        if len({len(each) for each in value}) > 1:
            raise RecipeError(
                f"{self.flags[0]} has {', '.join(str(len(each)) for each in value)} numbers in its {written.count} "
                "words; give one number in each word, or one per channel, separated by commas."
            )
        return tuple(zip(*value, strict=True))


def type_text(annotation: Any) -> str:
    """Write a type in the syntax of Python.

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
    """Return the members of a union, or the type itself."""
    return get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,)


def _quoted(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else repr(value)
