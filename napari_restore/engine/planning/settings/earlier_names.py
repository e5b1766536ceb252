"""Read settings under earlier names, and write them under these names if earlier versions know the value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["backend_read", "backend_written"]


def backend_read(content: Any) -> Any:
    """Replace the earlier setting ``compiled`` by the back end that it means.

    Parameters
    ----------
    content : object
        Settings by name. Anything else is returned unchanged, for the recipe to refuse.

    Returns
    -------
    object
        The settings with ``backend``.

    Raises
    ------
    ValueError
        If both settings are given.

    Examples
    --------
    >>> backend_read({"model": "m", "compiled": True}), backend_read({"compiled": None})
    ({'model': 'm', 'backend': 'compiled'}, {})
    """
    if not isinstance(content, Mapping) or "compiled" not in content:
        return content
    found = {name: value for name, value in content.items() if name != "compiled"}
    if content["compiled"] is None:
        return found
    if found.get("backend") is not None:
        raise ValueError("compiled is the earlier name of a back end; give the back end alone")
    if not isinstance(content["compiled"], bool):
        return content  # the recipe says that it does not have this setting
    return found | {"backend": "compiled" if content["compiled"] else "eager"}


def backend_written(content: dict[str, Any]) -> dict[str, Any]:
    """Replace a back end that earlier versions have by their setting ``compiled``, in the same position.

    Parameters
    ----------
    content : dict of str to object
        All settings by name.

    Returns
    -------
    dict of str to object
        The settings as they are stored.

    Examples
    --------
    >>> backend_written({"backend": "eager", "lanes": 2}), backend_written({"backend": "openvino"})
    ({'compiled': False, 'lanes': 2}, {'backend': 'openvino'})
    """
    earlier = {None: None, "eager": False, "compiled": True}
    if content["backend"] not in earlier:
        return content
    return {
        "compiled" if name == "backend" else name: earlier[value] if name == "backend" else value
        for name, value in content.items()
    }
