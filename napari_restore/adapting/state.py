"""The state of an adaptation, kept in a file beside the output so that it can be resumed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from napari_restore.adapting.free_parameters import FreeParameters
from napari_restore.adapting.outcome import Judgement
from napari_restore.engine.hardware.compiling import import_compiler
from napari_restore.errors import OutputError
from napari_restore.files import fresh_file
from napari_restore.ways_out import REPLACE

__all__ = ["State"]

_FIRST_STEPS = 10
"""Steps over which the learning rate rises."""


@dataclass
class State:
    """Everything that the rest of an adaptation depends on.

    Attributes
    ----------
    free : FreeParameters
        The free parameters.
    optimizer : torch.optim.Optimizer
        Optimiser of their values.
    average, best : dict of str to torch.Tensor
        Exponential moving average of the values, and its copy that was judged best on the crops set aside.
    judgement, latest : Judgement
        Of these two.
    best_step, step, total : int
        Step of the best, steps that are done, and all; 0 steps in all before the first ones were timed.
    worse : int
        Number of judgements since the best one.
    seconds : float
        Duration of all sessions.
    """

    free: FreeParameters
    optimizer: torch.optim.Optimizer
    learning_rate: float
    judgement: Judgement
    latest: Judgement
    average: dict[str, Tensor] = field(default_factory=dict)
    best: dict[str, Tensor] = field(default_factory=dict)
    best_step: int = 0
    step: int = 0
    total: int = 0
    worse: int = 0
    seconds: float = 0.0

    @classmethod
    def start(cls, free: FreeParameters, learning_rate: float, parent: Judgement) -> State:
        """Return the state before the first step."""
        import_compiler()
        optimizer = torch.optim.Adam(list(free.values.values()), lr=learning_rate, betas=(0.9, 0.99))
        average, best = ({name: value.detach().clone() for name, value in free.values.items()} for _ in range(2))
        return cls(free, optimizer, learning_rate, parent, parent, average, best)

    def advance(self, loss: Tensor) -> None:
        """Take one step of the optimiser, and average the values."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate * min(1.0, (self.step + 1) / _FIRST_STEPS)
        loss.backward()  # type: ignore[no-untyped-call]
        if all(bool(torch.isfinite(value.grad).all()) for value in self.free.values.values() if value.grad is not None):
            self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.step += 1
        decay = min(0.95, (1 + self.step) / (10 + self.step))
        for name, value in self.free.values.items():
            self.average[name].lerp_(value.detach(), 1 - decay)

    def judged(self, judgement: Judgement) -> None:
        """Take a judgement of the average; keep the average if it is the best so far."""
        self.latest = judgement
        self.worse += 1
        if judgement.is_better_than(self.judgement):
            self.judgement, self.best_step, self.worse = judgement, self.step, 0
            self.best = {name: value.clone() for name, value in self.average.items()}

    def save(self, path: Path, identity: Mapping[str, Any]) -> None:
        """Write the state, whole or not at all."""
        content = {
            "identity": dict(identity), "values": {name: value.detach() for name, value in self.free.values.items()},
            "average": self.average, "best": self.best, "optimizer": self.optimizer.state_dict(),
            "judgements": [asdict(self.judgement), asdict(self.latest)],
            "counts": [self.best_step, self.step, self.total, self.worse], "seconds": self.seconds,
        }  # fmt: skip
        with fresh_file(path) as fresh:
            torch.save(content, fresh)

    def restore(self, path: Path, identity: Mapping[str, Any]) -> None:
        """Take over what `save` has written.

        Raises
        ------
        OutputError
            If the file is damaged, or is of another adaptation.
        """
        device = next(iter(self.free.values.values())).device
        try:
            content: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
            differing = [name for name, value in identity.items() if content["identity"].get(name) != value]
            if differing:
                raise OutputError(
                    f"{path} is the state of an adaptation with another {' and '.join(differing)}",
                    REPLACE.after("finish that one by its own call, name another output, or "),
                )
            with torch.no_grad():
                for name, value in self.free.values.items():
                    value.copy_(content["values"][name])
            self.optimizer.load_state_dict(content["optimizer"])
            self.average, self.best = content["average"], content["best"]
            self.judgement, self.latest = (Judgement(**each) for each in content["judgements"])
            self.best_step, self.step, self.total, self.worse = content["counts"]
            self.seconds = content["seconds"]
        except OutputError:
            raise
        except Exception as error:  # a damaged file raises many kinds of errors
            raise OutputError(
                f"{path}, the state of an adaptation, is damaged ({type(error).__name__})",
                REPLACE.after("remove it, or "),
            ) from error
