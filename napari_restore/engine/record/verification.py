"""Define the outcome of a verification."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from napari_restore.images.writing.layout import WriteUnit

__all__ = ["Verification"]


@dataclass(frozen=True)
class Verification:
    """Outcome of a verification. ``str(verification)`` has one line for each bad object, and a summary.

    Attributes
    ----------
    path : Path or str
        The result, a path or URL.
    units : int
        Number of write units of the complete result, over all levels.
    missing : tuple of WriteUnit
        Write units that are not stored.
    damaged : tuple of WriteUnit
        Write units that cannot be decoded, or do not have their digest.
    differing : tuple of WriteUnit
        Write units with other pixels than the recipe gives.
    recomputed : int
        Number of write units that were computed again to compare them.
    fingerprint_intact : bool
        Whether the stored fingerprint fits the stored identity of the run.
    filled : mapping of WriteUnit to tuple of str
        Filled blocks (see `on_error`), and their filled regions in words.
    metadata : tuple of str
        Files of metadata that were changed since they were written. If the metadata of a level were changed, no object
        is checked until they are repaired, because they tell how to decode pixels.
    annotations : tuple of str
        Objects of copied labels and tables that are missing or damaged.
    """

    path: Path | str
    units: int
    missing: tuple[WriteUnit, ...]
    damaged: tuple[WriteUnit, ...]
    differing: tuple[WriteUnit, ...]
    recomputed: int
    fingerprint_intact: bool
    filled: Mapping[WriteUnit, tuple[str, ...]] = field(default_factory=dict)
    metadata: tuple[str, ...] = ()
    annotations: tuple[str, ...] = ()

    @property
    def bad(self) -> tuple[WriteUnit, ...]:
        """Write units that a repair would compute again."""
        return tuple(dict.fromkeys((*self.missing, *self.damaged, *self.differing, *self.filled)))

    @property
    def ok(self) -> bool:
        """Whether the result is sound."""
        return not self.bad and not self.metadata and not self.annotations and self.fingerprint_intact

    def __str__(self) -> str:
        rows = [
            f"{kind}: {unit}"
            for kind, units in (("missing", self.missing), ("damaged", self.damaged), ("differing", self.differing))
            for unit in units
        ]
        rows += [f"filled: {unit}: {reason}" for unit, reasons in self.filled.items() for reason in reasons]
        rows += [f"metadata changed: {name}" for name in self.metadata]
        rows += [f"missing or damaged: {name}" for name in self.annotations]
        if not self.fingerprint_intact:
            rows.append("the fingerprint does not fit the stored settings: the attributes were changed")
        checked = f"{self.units} stored objects read back, {self.recomputed} computed again"
        return "\n".join([*rows, f"{self.path}: {checked}, {len(self.bad) + len(self.annotations)} bad"])
