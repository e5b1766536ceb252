"""Settings under the names that they had earlier: read, and still written where earlier versions know the value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["backend_read", "backend_written"]


def backend_read(content: Any) -> Any:
    """Read ``compiled``, which was a setting of its own, as the back end that it stands for.

    Raises
    ------
    ValueError
        If both are given.

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
        raise ValueError("compiled is an earlier name of backend='compiled'; give backend alone")
    if not isinstance(content["compiled"], bool):
        return content  # the recipe says that it does not have this setting
    return found | {"backend": "compiled" if content["compiled"] else "eager"}


def backend_written(content: dict[str, Any]) -> dict[str, Any]:
    """Write a back end that earlier versions have as they do, in its place.

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
