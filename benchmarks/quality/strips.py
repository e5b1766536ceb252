"""The pictures of ``docs/quality.md``: a detail of one image, noisy, filtered, restored, and the truth.

Each shows 128 x 128 pixels, twice as large, from a region of 256 x 256 that is restored as an image of its own; the
figures in the captions are of that region. Black and white are the same in all panels but the last.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from benchmarks.quality import enlarging
from benchmarks.quality.baselines import FILTERS, STABILISED, baselines, bundled_denoisers
from benchmarks.quality.records import Records
from benchmarks.quality.scores import score
from benchmarks.quality.sets import SETS, Pair
from napari_restore import api
from napari_restore.quality import fit_gain_offset, psnr

__all__ = ["STRIPS", "draw_strips"]

Plane = NDArray[np.floating]
Panel = tuple[str, Plane, tuple[float, float]]
"""Caption, pixels, and the values that are black and white."""

REGION, DETAIL, ZOOM, CAPTION, GAP, COLUMNS = 256, 128, 2, 24, 6, 3


@dataclass(frozen=True)
class Strip:
    """Detail of a picture: set and image, corner of the region, and corner of the detail in it."""

    group: str
    image: str
    region: tuple[int, int] = (0, 0)
    detail: tuple[int, int] = (64, 64)


STRIPS = {
    "quality_confocal": Strip("fmd", "Confocal_BPAE_R_1", (128, 128)),
    "quality_twophoton": Strip("fmd", "TwoPhoton_MICE_1", (128, 128)),
    "quality_widefield": Strip("fmd", "WideField_BPAE_G_1", (128, 128)),
    "quality_w2s": Strip("w2s", "084_1", (128, 128)),
    "quality_generated": Strip("generated", "electron_micrograph dim"),
    "quality_x2": Strip("x2", "Confocal_BPAE_R_1"),
}


def draw_strips(folder: Path, records: Records, out: Path) -> None:
    out.mkdir(exist_ok=True)
    for name, strip in STRIPS.items():
        panels = enlarged_panels(folder, strip) if strip.group == "x2" else denoised_panels(folder, records, strip)
        compose(panels).save(out / f"{name}.png", optimize=True)
        print(f"{out / name}.png: {(out / f'{name}.png').stat().st_size / 1000:.0f} kB")


def denoised_panels(folder: Path, records: Records, strip: Strip) -> list[Panel]:
    pair = region(next(pair for pair in SETS[strip.group](folder) if pair.name == strip.image), strip)
    rows = {**baselines(), **bundled_denoisers()}
    names = ["noisy", *best_filters(records, strip), api.DENOISER]
    results = {name: np.asarray(rows[name](pair.noisy), np.float64) for name in names}
    shown = {name: detail(as_truth(pair, result), strip) for name, result in results.items()}
    reference = detail(pair.truth, strip)
    contrast = limits(reference)
    captions = {name: f"{short(name)}  {score(pair, result, 0).psnr:.2f} dB" for name, result in results.items()}
    residual = detail(pair.noisy - results[api.DENOISER], strip)
    spread = 4 * float(residual.std())
    return [
        *((captions[name], shown[name], contrast) for name in names),
        ("reference", reference, contrast),
        ("taken away, ± 4 s.d.", residual - residual.mean(), (-spread, spread)),
    ]


def enlarged_panels(folder: Path, strip: Strip) -> list[Panel]:
    others, models = enlarging.enlargers(2)
    images = enlarging.small_images(folder, 2, 0.0)
    truth, small = next((truth, seen) for name, truth, _, seen in images if name == strip.image)
    rows: dict[str, Callable[[Plane, int], Plane]] = {
        "pixels as they came": lambda plane, scale: np.kron(plane, np.ones((scale, scale))),
        "bicubic": others["bicubic"],
        "Richardson-Lucy": others["Richardson-Lucy"],
        api.UPSCALERS[2]: models[api.UPSCALERS[2]],
    }
    results = {name: np.asarray(enlarge(small, 2)) for name, enlarge in rows.items()}
    contrast = limits(detail(truth, strip))
    error = detail(results[api.UPSCALERS[2]] - truth, strip)
    return [
        *(
            (f"{short(name)}  {psnr(truth, image, 1.0):.2f} dB", detail(image, strip), contrast)
            for name, image in results.items()
        ),
        ("reference", detail(truth, strip), contrast),
        ("ours - reference, ± 4 s.d.", error, (-4 * float(error.std()), 4 * float(error.std()))),
    ]


def region(pair: Pair, strip: Strip) -> Pair:
    top, left = strip.region
    window = (slice(top, top + REGION), slice(left, left + REGION))
    return replace(pair, noisy=pair.noisy[window], truth=pair.truth[window])


def detail(plane: Plane, strip: Strip) -> Plane:
    top, left = strip.detail
    return plane[top : top + DETAIL, left : left + DETAIL].astype(np.float64)


def as_truth(pair: Pair, result: Plane) -> Plane:
    gain, offset = fit_gain_offset(result, pair.truth) if pair.stretched else (1.0, 0.0)
    return gain * result + offset


def best_filters(records: Records, strip: Strip) -> list[str]:
    """The best filter of the set that can be run here, and the best that is of another kind."""
    present = [name for name in baselines() if name in records.sets[strip.group] and kind(name) in FILTERS]
    ranked = sorted(present, key=partial(relative, records, strip), reverse=True)
    first = ranked[0]
    return [first, next(name for name in ranked if kind(name)[:5] != kind(first)[:5])]


def relative(records: Records, strip: Strip, row: str) -> float:
    """Mean gain over the noisy image, on the images of this kind that the row was run on."""
    group, start = strip.group, strip.image.split("_")[0] if strip.group == "fmd" else ""
    own, noisy = (
        records.mean(group, name, "psnr", start, among=records.images(group, row)) or 0.0 for name in (row, "noisy")
    )
    return own - noisy


def kind(row: str) -> str:
    return row.removesuffix(STABILISED)


def short(name: str) -> str:
    return (
        name.replace(STABILISED, " (stab.)")
        .replace(api.DENOISER, "ours")
        .replace(api.UPSCALERS[2], "ours")
        .replace("Gaussian, σ ", "Gaussian ")
    )


def limits(reference: Plane) -> tuple[float, float]:
    low, high = np.percentile(reference, (0.5, 99.7))
    return float(low), float(high)


def compose(panels: list[Panel]) -> Image.Image:
    side = DETAIL * ZOOM
    rows = -(-len(panels) // COLUMNS)
    width = COLUMNS * side + (COLUMNS - 1) * GAP
    sheet = Image.new("L", (width, rows * (side + CAPTION) + (rows - 1) * GAP), 255)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=15)
    for number, (caption, plane, (low, high)) in enumerate(panels):
        left, top = (number % COLUMNS) * (side + GAP), (number // COLUMNS) * (side + CAPTION + GAP)
        draw.text((left + 2, top + 3), caption, fill=0, font=font)
        gray = np.clip((plane - low) / (high - low) * 255, 0, 255).astype(np.uint8)
        sheet.paste(Image.fromarray(gray).resize((side, side), Image.Resampling.NEAREST), (left, top + CAPTION))
    return sheet
