"""Goals of the bundled models, and whether the figures in ``docs/quality.json`` reach them."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from benchmarks.quality.enlarging import GENERATED
from benchmarks.quality.records import WITHOUT_TILES, Records
from napari_restore import api

__all__ = ["SEAMS", "Goal", "beside_ours", "best_filter", "goals"]

UPSCALER = {f"x{scale}": name for scale, name in api.UPSCALERS.items()}
SEAMS = {"fmd": "FMD", "w2s": "W2S", "generated": "generated"}
"""Sets in which seams and brightness are looked at, and what they are called."""

MODALITIES = {"Confocal": "confocal", "TwoPhoton": "two-photon", "WideField": "wide-field"}


@dataclass(frozen=True)
class Goal:
    """One line of the table; `reason` is printed where it is not met, `note` in any case."""

    what: str
    wanted: str
    reached: str
    met: bool
    reason: str
    note: str = ""


REASONS = {
    "fmd": (
        "no training run has seen an image of that set or its noise (networks trained on FMD are reported at about "
        "35.4 dB), and the network is small enough for a CPU. The noise is correlated between neighbouring pixels, "
        "most of all in wide-field frames, and part of it remains (*residual* below that of the noise alone)."
    ),
    "w2s": (
        "its single frames have the strongest real noise here. Detail finer than the noise is not restored, as the "
        "picture shows, and we do not know whether a network of this size can be better."
    ),
    "modality": (
        "the filter is made for the noise of these frames once it is stabilised; the network has to estimate the noise "
        "and is trained for correlated noise too."
    ),
    "set12": (
        "the training images contain little of the content of photographs (clothes, feathers, faces), and the network "
        "is blind: it is trained for all noise levels, and has a small part of the papers' parameters."
    ),
    "x2, real": (
        "nearly all of the remaining error is detail that larger pixels cannot record (*binned back* is a small part "
        "of the error), so 3 dB would mean guessing half of that detail, and the training does not reward guesses."
    ),
    "x2, generated": (
        "most of the remaining error is detail that larger pixels cannot record, and the network is small: for nuclei "
        "and vesicles, a third to a half of the error appears in *binned back*, which a better network could recover."
    ),
    "x2-noise": (
        "a super-resolution network this small leaves most of the noise, which only part of its training had. "
        "Denoising first helps, as the table shows, and a run on a noisy image says so."
    ),
    "seam": "the content of the image at these few rows and columns matters too, as it does without tiles.",
    "seam, tiles": (
        "where tiles meet, neighbouring pixels differ more than elsewhere, and more than with the same network on the "
        "whole image at once."
    ),
    "slope": "the training penalises the error of each pixel, and not the brightness of large areas.",
}

NOT_ALIKE = (
    "the two rows were not measured alike. That without tiles is older: its network had attention over the whole "
    "image, and its gradients are those on the lines of tiles of 256. The other one has windows, and the lines of its "
    "own, larger tiles. A ratio far below 1 says that the image is smoother on some lines than on others, and nothing "
    "about seams."
)
"""Note on seams beside no tiles, until ``--rows "restormer-denoise-light, without tiles"`` has been run again."""


def goals(records: Records) -> Iterator[Goal]:
    yield from _at_least(records, "FMD, 24 frames", "fmd", 35.0, REASONS["fmd"])
    yield from _at_least(records, "W2S, 15 frames", "w2s", 34.0, REASONS["w2s"])
    for start, title in MODALITIES.items():
        yield from _beside_filters(records, "fmd", start, f"FMD, {title}")
    yield from _beside_filters(records, "w2s", "", "W2S beside filters")
    yield from _at_least(records, "Set12, σ 25", "set12-25", 30.2, REASONS["set12"])
    yield from _beside_bicubic(records)
    for group, title in SEAMS.items():
        seam, whole = (records.mean(group, api.DENOISER + end, "seam") for end in ("", WITHOUT_TILES))
        if seam is not None:
            yield Goal(f"seams, {title}", "≤ 1.02", f"{seam:.3f}", seam <= 1.02, REASONS["seam"])
        if seam is not None and whole is not None:
            reached, reason = f"{seam / whole:.3f}", REASONS["seam, tiles"]
            yield Goal(f"seams, {title}, beside no tiles", "≤ 1.02", reached, seam / whole <= 1.02, reason, NOT_ALIKE)
    for group, title in SEAMS.items():
        slopes = [records.mean(group, row, "slope") for row in (api.DENOISER, "noisy")]
        if None not in slopes:
            slope = slopes[0] / slopes[1]
            met = abs(slope - 1) <= 0.005
            yield Goal(f"photometric slope, {title}", "1 ± 0.005", f"{slope:.4f}", met, REASONS["slope"])


def _at_least(records: Records, what: str, group: str, wanted: float, reason: str) -> Iterator[Goal]:
    value = records.mean(group, api.DENOISER, "psnr")
    if value is not None:
        yield Goal(what, f"≥ {wanted} dB", f"{value:.2f} dB", value >= wanted, reason)


def _beside_filters(records: Records, group: str, start: str, what: str) -> Iterator[Goal]:
    best = best_filter(records, group, start)
    if best is not None:
        row, gain = best
        yield Goal(what, "best filter or better", f"{gain:+.2f} dB beside {row}", gain >= 0, REASONS["modality"])


def best_filter(records: Records, group: str, start: str = "") -> tuple[str, float] | None:
    """The row that comes closest to the bundled denoiser, or passes it, and by how much that is ahead of it.

    Means are over the images that both were run on.
    """
    ours = records.images(group, api.DENOISER, start)
    found = {row: beside_ours(records, group, row, ours) for row in records.sets.get(group, {})}
    gains = {row: -ahead for row, ahead in found.items() if ahead is not None and records.is_filter(row)}
    return min(gains.items(), key=lambda item: item[1]) if gains else None


def beside_ours(records: Records, group: str, row: str, names: Collection[str]) -> float | None:
    """Return the lead of a row over the default model in dB, over the images that both were run on."""
    ours = UPSCALER.get(group.partition("-")[0], api.DENOISER)
    if row == ours:
        return None
    both = {name: None for name in records.images(group, row) if name in records.images(group, ours) and name in names}
    own, other = (records.mean(group, name, "psnr", among=both) for name in (ours, row))
    return None if own is None or other is None else other - own


def _beside_bicubic(records: Records) -> Iterator[Goal]:
    model = api.UPSCALERS[2]
    for group, noise in (("x2", "no noise"), ("x2-noise", "2 % noise")):
        for title, real in (("microscopes' images", True), ("generated images", False)):
            names = {
                name: figures
                for name, figures in records.images(group, model).items()
                if name.startswith(GENERATED) is not real
            }
            ours, bicubic = (records.mean(group, row, "psnr", among=names) for row in (model, "bicubic"))
            if ours is not None and bicubic is not None:
                gain = ours - bicubic
                reason = REASONS[group if group != "x2" else "x2, real" if real else "x2, generated"]
                yield Goal(f"×2, {title}, {noise}", "bicubic + 3 dB", f"{gain:+.2f} dB", gain >= 3, reason)
