"""Compute the digest that identifies settings: the fingerprint of a run, the key of a cache."""

from __future__ import annotations

import hashlib
import json
from typing import Any

__all__ = ["digest"]


def digest(content: dict[str, Any]) -> str:
    """Return the SHA-256 of JSON-like content, independent of the order of keys.

    Parameters
    ----------
    content : dict of str to Any
        JSON types, without NaN and infinities.

    Raises
    ------
    ValueError
        If there is a NaN or an infinity.
    """
    return hashlib.sha256(json.dumps(content, sort_keys=True, allow_nan=False).encode()).hexdigest()
