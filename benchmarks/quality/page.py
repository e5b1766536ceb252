"""The tables of ``docs/quality.md``, made from ``docs/quality.json`` and written between the page's markers.

A table stands between ``<!-- table NAME -->`` and ``<!-- end -->``; everything else on the page is written by hand.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from benchmarks.quality.enlarging import GENERATED
from benchmarks.quality.goals import beside_ours, goals
from benchmarks.quality.records import Records, bundled_digests

__all__ = ["as_text", "disagreements", "render"]

MARKED = re.compile(r"(<!-- table (?P<name>[\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)

KINDS = {
    "fmd": (
        "Confocal", "TwoPhoton", "WideField", "Confocal_BPAE", "Confocal_FISH", "Confocal_MICE",
        "TwoPhoton_BPAE", "TwoPhoton_MICE", "WideField_BPAE_B", "WideField_BPAE_G", "WideField_BPAE_R",
    ),
    "generated": (
        "filaments", "nuclei", "membranes", "spots", "vesicles", "electron_micrograph", "textures",
    ),
}  # fmt: skip
"""Kinds of image in a set: the start of their names."""

PAPERS = {  # dB at sigma 15, 25 and 50, as the papers print them
    "BM3D (in the DnCNN paper)": (32.37, 29.97, 26.72),
    "DnCNN": (32.86, 30.44, 27.18),
    "SwinIR": (33.36, 31.01, 27.91),
    "Restormer": (33.42, 31.08, 28.00),
}

Formatted = Callable[[float], str]
DENOISING: dict[str, tuple[str, Formatted]] = {
    "psnr": ("PSNR, dB", "{:.2f}".format),
    "ssim": ("SSIM", "{:.3f}".format),
    "seconds": ("seconds", "{:.2g}".format),
    "seam": ("seams", "{:.3f}".format),
    "along_y": ("residual, y", "{:+.2f}".format),
    "along_x": ("residual, x", "{:+.2f}".format),
    "slope": ("slope", "{:.4f}".format),
    "offset": ("offset, %", lambda share: f"{100 * share:+.2f}"),
}
ENLARGING: dict[str, tuple[str, Formatted]] = {
    "psnr": ("PSNR, dB", "{:.2f}".format),
    "ssim": ("SSIM", "{:.4f}".format),
    "consistency": ("binned back, %", lambda share: f"{100 * share:.2f}"),
    "resolution": ("FRC, px", "{:.2f}".format),
    "seconds": ("seconds", "{:.2g}".format),
}


def disagreements(records: Records, path: Path) -> list[str]:
    """Return tables in which page and figures differ, and figures of other weights than the package's."""
    written = path.read_text(encoding="utf-8")
    wrong = [
        f"{path.name}: table {old['name']} is not that of {records.path.name}; run --render"
        for old, new in zip(MARKED.finditer(written), MARKED.finditer(filled(records, written)), strict=True)
        if old[0] != new[0]
    ]
    digests = bundled_digests()
    wrong += [
        f"{records.path.name} has figures of other weights than the package's {name}; run --rows models"
        for name, digest in records.weights.items()
        if digests.get(name) != digest
    ]
    return wrong


def render(records: Records, path: Path) -> None:
    path.write_text(filled(records, path.read_text(encoding="utf-8")), encoding="utf-8")


def filled(records: Records, page: str) -> str:
    tables = make_tables(records)
    return MARKED.sub(lambda found: f"{found[1]}\n{tables[found['name']]()}\n\n{found[3]}", page)


def as_text(records: Records) -> str:
    return "\n\n".join(f"{name}\n{table()}" for name, table in make_tables(records).items())


def make_tables(records: Records) -> dict[str, Callable[[], str]]:
    groups = ("fmd", "w2s", "generated", "rgb", "stained", "set5-25")
    denoising = {group: partial(summary, records, group, DENOISING) for group in groups}
    by_kind = {f"{group}-kinds": partial(kinds, records, group, starts) for group, starts in KINDS.items()}
    enlarging = {
        f"{group}-{what}": partial(summary, records, group, ENLARGING, generated=what == "generated")
        for group in ("x2", "x2-noise", "x4", "x4-noise")
        for what in ("real", "generated")
    }
    return {
        "goals": partial(goals_table, records),
        **denoising,
        **by_kind,
        "n2v": partial(beside_noise2void, records),
        "set12": partial(set12, records),
        **enlarging,
        "weights": partial(weights, records),
    }


# ------------------------------------------------------------------------------------ one table each


def summary(
    records: Records, group: str, columns: dict[str, tuple[str, Formatted]], *, generated: bool | None = None
) -> str:
    """Return the table of all columns, means over the images of a set, worst row first."""
    names = _names(records, group, generated)
    lines = []
    for row in _by_psnr(records, group, names):
        cells = [_cell(records.mean(group, row, column, among=names), form) for column, (_, form) in columns.items()]
        ahead = beside_ours(records, group, row, names)
        lines.append([_label(records, group, row, names), *cells, _cell(ahead, "{:+.2f}".format)])
    titles = ["", *(title for title, _ in columns.values()), "beside ours, dB"]
    used = [i for i in range(len(titles)) if i == 0 or any(line[i] for line in lines)]
    return _table([titles[i] for i in used], [[line[i] for i in used] for line in lines])


def kinds(records: Records, group: str, starts: Sequence[str]) -> str:
    """PSNR by kind of image, of every row that was run on all of them."""
    lines = []
    every = _names(records, group)
    for row in _by_psnr(records, group, every):
        if row != "reference" and len(records.images(group, row)) == len(every):
            values = [_cell(records.mean(group, row, "psnr", start), "{:.2f}".format) for start in starts]
            lines.append([_bold(records, row), *values])
    return _table(["PSNR, dB", *(start.replace("_", " ") for start in starts)], lines)


def beside_noise2void(records: Records) -> str:
    """Return all rows on the few images that Noise2Void is trained on."""
    lines = []
    for group, title in (("fmd", "FMD"), ("w2s", "W2S")):
        for image, figures in records.images(group, "Noise2Void").items():
            rows = [row for row in _by_psnr(records, group, {image: None}) if row in records.weights]
            best = _best_filters(records, group, image)
            for row in ["noisy", *best, "Noise2Void", *rows]:
                found = figures if row == "Noise2Void" else records.images(group, row).get(image, [])
                values = dict(zip(records.columns["denoising"], found, strict=bool(found)))
                cells = [_cell(values.get(column), DENOISING[column][1]) for column in ("psnr", "ssim", "seconds")]
                lines.append([f"{title} {image}", _bold(records, row), *cells])
    return _table(["", "", "PSNR, dB", "SSIM", "seconds"], lines)


def set12(records: Records) -> str:
    groups = [f"set12-{sigma}" for sigma in (15, 25, 50)]
    ours = [row for row in _by_psnr(records, groups[1], _names(records, groups[1])) if row != "reference"]
    measured = [
        [_bold(records, row), *(_cell(records.mean(group, row, "psnr"), "{:.2f}".format) for group in groups)]
        for row in ours
    ]
    printed = [[f"{row}, as printed", *(f"{value:.2f}" for value in values)] for row, values in PAPERS.items()]
    return _table(["PSNR, dB", "σ 15", "σ 25", "σ 50"], measured + printed)


def goals_table(records: Records) -> str:
    lines = [[goal.what, goal.wanted, goal.reached, "yes" if goal.met else "**no**"] for goal in goals(records)]
    reasons = [f"- {goal.what}: {goal.reason}" for goal in goals(records) if not goal.met]
    noted: dict[str, list[str]] = {}
    for goal in goals(records):
        if goal.note:
            noted.setdefault(goal.note, []).append(goal.what)
    notes = [f"- {'; '.join(names)}: {note}" for note, names in noted.items()]
    return "\n".join([_table(["goal", "wanted", "reached", "met"], lines), "", *reasons, *notes]).rstrip()


def weights(records: Records) -> str:
    return _table(["model", "SHA-256 begins with"], [[name, digest[:12]] for name, digest in records.weights.items()])


# ------------------------------------------------------------------------------------ rows and cells


def _names(records: Records, group: str, generated: bool | None = None) -> dict[str, None]:
    """Images of a set: all, or those that were generated, or those that were not."""
    rows = records.sets.get(group, {}).values()
    every = dict.fromkeys(name for row in rows for name in row)
    return {name: None for name in every if generated is None or name.startswith(GENERATED) == generated}


def _by_psnr(records: Records, group: str, names: dict[str, None]) -> list[str]:
    """Rows that have figures of these images: worst first, what a perfect result would have last."""
    found = {row: _gain(records, group, row, names) for row in records.sets.get(group, {})}
    ranked = sorted((row for row in found if found[row] is not None), key=lambda row: found[row] or 0.0)
    return [*ranked, *(row for row in found if row == "reference" and ranked)]


def _gain(records: Records, group: str, row: str, names: dict[str, None]) -> float | None:
    """PSNR beyond that of the simplest row, on the images that both were run on: rows of few images rank fairly."""
    base = "bicubic" if group.startswith("x") else "noisy"
    own = records.mean(group, row, "psnr", among={name: None for name in names if name in records.images(group, base)})
    among = {name: None for name in names if name in records.images(group, row)}
    simplest = records.mean(group, base, "psnr", among=among)
    return own if own is None or simplest is None else own - simplest


def _best_filters(records: Records, group: str, image: str) -> list[str]:
    rows = [row for row in _by_psnr(records, group, {image: None}) if records.is_filter(row)]
    return [row for row in rows if row not in ("noisy", "Noise2Void", "reference")][-1:]


def _label(records: Records, group: str, row: str, names: dict[str, None]) -> str:
    if row == "reference":
        return "*the noise alone*"
    count = sum(name in names for name in records.images(group, row))
    return _bold(records, row) + (f" ({count} of {len(names)})" if count < len(names) else "")


def _bold(records: Records, row: str) -> str:
    return f"**{row}**" if row in records.weights else row


def _cell(value: float | None, form: Formatted) -> str:
    return "" if value is None else form(value)


def _table(titles: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rows = [titles, ["---"] * len(titles), *lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
