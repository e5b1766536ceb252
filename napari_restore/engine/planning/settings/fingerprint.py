"""Compute the digest that a fingerprint is."""

from __future__ import annotations

import hashlib
import json
from typing import Any

__all__ = ["digest"]


def digest(content: dict[str, Any]) -> str:
    """Return the SHA-256 of JSON-like content, independent of the order of keys."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, allow_nan=False).encode()).hexdigest()
