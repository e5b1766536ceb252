"""Figures that `benchmarks.quality` stores: a JSON file of one short list for each image, row and set.

A run replaces what it measures and keeps the rest, so that slow rows need to be measured once. Figures of a model are
dropped when the package has other weights of that name.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from napari_restore import api

__all__ = ["WITHOUT_TILES", "Records"]

Figures = list[float | None]

WITHOUT_TILES = ", without tiles"
"""End of the name of the row of a model that runs on the whole image at once."""


class Records:
    """Figures by set, row and image, and the digest of the weights of each model.

    Parameters
    ----------
    path : Path
        Read if it is there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.columns: dict[str, tuple[str, ...]] = {}
        self.weights: dict[str, str] = {}
        self.sets: dict[str, dict[str, dict[str, Figures]]] = {}
        if path.exists():
            stored = json.loads(path.read_text(encoding="utf-8"))
            self.columns = {kind: tuple(names) for kind, names in stored["columns"].items()}
            self.weights, self.sets = stored["weights"], stored["sets"]

    def drop_outdated(self) -> None:
        """Remove the figures of models that the package no longer has, or has other weights of."""
        digests = bundled_digests()
        for name in [name for name, digest in self.weights.items() if digests.get(name) != digest]:
            del self.weights[name]
            for rows in self.sets.values():
                for row in [row for row in rows if name in row.replace(", then ", ", ").split(", ")]:
                    del rows[row]

    def add(self, group: str, row: str, image: str, figures: Figures) -> None:
        self.sets.setdefault(group, {}).setdefault(row, {})[image] = figures
        digest = bundled_digests().get(row)
        if digest is not None:
            self.weights[row] = digest

    def save(self) -> None:
        content = {"columns": self.columns, "weights": dict(sorted(self.weights.items())), "sets": self.sets}
        beside = self.path.with_suffix(".partial")
        beside.write_text(_one_list_a_line(content) + "\n", encoding="utf-8")
        os.replace(beside, self.path)

    def is_filter(self, row: str) -> bool:
        """Return whether a row contains none of the package's models."""
        return row.partition(", ")[0] not in self.weights

    def images(self, group: str, row: str, start: str = "") -> dict[str, Figures]:
        """Figures of the images whose name begins with `start`."""
        found = self.sets.get(group, {}).get(row, {})
        return {name: figures for name, figures in found.items() if name.startswith(start)}

    def mean(
        self, group: str, row: str, column: str, start: str = "", among: Mapping[str, Any] | None = None
    ) -> float | None:
        """Mean over images, or over those that are `among` others; None if there is none."""
        kind = "super-resolution" if group.startswith("x") else "denoising"
        index = self.columns[kind].index(column)
        chosen = [
            figures[index]
            for name, figures in self.images(group, row, start).items()
            if figures[index] is not None and (among is None or name in among)
        ]
        return float(np.mean(chosen)) if chosen else None


def bundled_digests() -> dict[str, str]:
    return {card.name: card.sha256 for card in api.models() if card.bundled}


def _one_list_a_line(value: Any, depth: int = 0) -> str:
    if not isinstance(value, dict) or not value:
        return json.dumps(value, ensure_ascii=False)
    inner = ",\n".join(
        f"{' ' * (depth + 1)}{json.dumps(key, ensure_ascii=False)}: {_one_list_a_line(item, depth + 1)}"
        for key, item in value.items()
    )
    return f"{{\n{inner}\n{' ' * depth}}}"
