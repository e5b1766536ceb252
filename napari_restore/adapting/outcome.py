"""The progress of an adaptation, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = ["SIGNIFICANT", "AdaptProgress", "Adapted", "Judgement", "View", "state_path"]


SIGNIFICANT = 2.0
"""Standard errors by which the loss has to be lower for weights to be offered."""


@dataclass(frozen=True)
class Judgement:
    """Self-supervised losses on the crops that were set aside: of the adapted network, and of its parent.

    Attributes
    ----------
    parent_loss, loss : float
        Mean losses of the parent and of the adapted network, in variances of the noise. Most of a loss is the noise of
        its target, which no network can predict.
    error : float
        Standard error of the difference, from blocks of pixels.
    """

    parent_loss: float
    loss: float
    error: float

    @property
    def gain(self) -> float:
        """How much lower the loss is, as a share of the parent's: positive if adapting has helped."""
        return (self.parent_loss - self.loss) / self.parent_loss

    @property
    def significance(self) -> float:
        """The difference in its standard errors, positive if adapting has helped."""
        return (self.parent_loss - self.loss) / self.error if self.error > 0 else 0.0

    @property
    def is_significant(self) -> bool:
        """Whether adapting has helped by more than chance: by `SIGNIFICANT` standard errors or more."""
        return self.significance >= SIGNIFICANT

    def is_better_than(self, other: Judgement) -> bool:
        """Return whether these weights are to be preferred: a lower loss, but above all one that is significant."""
        return (self.is_significant, -self.loss) > (other.is_significant, -other.loss)


@dataclass(frozen=True, eq=False)
class View:
    """A part of a plane, restored with the weights that were reached.

    Attributes
    ----------
    step : int
        Step that these weights are of.
    region : mapping of str to slice
        Where it is: one slice per axis of the source.
    pixels : numpy.ndarray
        ``(y, x)``, or ``(y, x, s)`` for colour, float32, data units.
    """

    step: int
    region: Mapping[str, slice]
    pixels: npt.NDArray[np.float32]


@dataclass(frozen=True)
class AdaptProgress:
    """Progress of an adaptation.

    Attributes
    ----------
    done, total : int
        Optimiser steps, those of earlier sessions included. The total is set when the first steps were timed.
    seconds : float
        Seconds of all sessions.
    latest, best : Judgement
        Losses on the crops set aside after the latest steps that were judged, and the best so far.
    best_step : int
        Step of the best; 0 for the parent.
    method : {"r2r", "noise2void", "noise2noise", "supervised"}
        The self-supervision.
    why : str
        Why it was chosen.
    memory_bytes : int
        The maximum host memory, as planned.
    view : View or None
        The latest part that was restored to look at; None before the first, and if none is asked for.
    """

    done: int
    total: int
    seconds: float
    latest: Judgement
    best: Judgement
    best_step: int
    method: str
    why: str
    memory_bytes: int = 0
    view: View | None = None

    @property
    def eta_seconds(self) -> float | None:
        """Seconds until the last step, if those to come take as long as those before; None until the total is set."""
        return self.seconds / self.done * (self.total - self.done) if self.total and self.done else None

    @property
    def steps(self) -> tuple[int, int]:
        """Steps that are done, and all."""
        return self.done, self.total


@dataclass(frozen=True)
class Adapted:
    """What became of an adaptation; print it.

    Attributes
    ----------
    outcome : {"adapted", "kept", "declined"}
        ``"adapted"``: the new weights are better on the crops set aside, and are stored. ``"kept"``: they are not, so
        the parent is kept and no file was written. ``"declined"``: the source is not suitable, and nothing was tried.
    model : str
        The model to use: path of the new weights, or the parent.
    reason : str
        One sentence.
    output : Path or None
        The new weights; None if there are none.
    method : str
        The self-supervision; empty if nothing was tried.
    steps : int
        Optimiser steps of the weights that are offered; of a kept parent, all that were tried.
    seconds : float
        Duration.
    judgement : Judgement or None
        Losses on the crops set aside; None if nothing was tried.
    """

    outcome: Literal["adapted", "kept", "declined"]
    model: str
    reason: str
    output: Path | None = None
    method: str = ""
    steps: int = 0
    seconds: float = 0.0
    judgement: Judgement | None = None

    def __str__(self) -> str:
        return self.reason


def state_path(output: Path) -> Path:
    """Return the path of the state of an adaptation, a hidden file beside its output.

    Parameters
    ----------
    output : Path
        The ``.safetensors`` file.
    """
    return output.with_name(f".{output.stem}.adapting")
