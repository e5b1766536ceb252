"""Write the report of an assessment as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_restore.assessment.places import Place
from napari_restore.wording import percent

__all__ = ["Assessment", "assessment_page", "headline"]

_SHOWN = 20


@dataclass(frozen=True, eq=False)
class Assessment:
    """How far a result can be trusted. ``print`` shows the report.

    Attributes
    ----------
    content : dict
        Everything in the report, as JSON holds it.
    page : str
        The report as Markdown.
    location : str or None
        Folder or URL of maps and report.
    residual : numpy.ndarray or None
        For images in memory: number of standard deviations by which the residual differs from noise at the scale where
        it differs most, float32, on the pixels of the source; positive where structure was taken away.
    significance : numpy.ndarray or None
        For images in memory: minus the decimal logarithm of the probability, with that sign, one per window of 16 x 16
        pixels; NaN where there is no image.
    """

    content: dict[str, Any]
    page: str
    location: str | None = None
    residual: npt.NDArray[np.float32] | None = None
    significance: npt.NDArray[np.float32] | None = None

    @property
    def line(self) -> str:
        """What was found, in one line."""
        return str(self.content["line"])

    @property
    def places(self) -> list[Place]:
        """The places to look at, the least probable first; at most 1000."""
        return [_place(entry) for entry in self.content["places"]]

    def summary(self) -> dict[str, Any]:
        """Return the line and the least probable places in words, for the report of the run that made the result."""
        places = [
            {"where": place.where(self.content["axes"]), "what": "added" if place.added else "taken away",
             "log10_p": place.log10_p, "kind": place.kind}
            for place in self.places[:_SHOWN]
        ]  # fmt: skip
        return {"line": self.line, "places": places, "place_count": self.content["place_count"]}

    def __str__(self) -> str:
        return self.page


def _place(entry: dict[str, Any]) -> Place:
    (z, y, x) = ((int(entry[axis][0]), int(entry[axis][1])) for axis in "zyx")
    return Place(entry["t"], entry["channel"], z, y, x, entry["log10_p"], entry["kind"], entry["added"])


def headline(content: dict[str, Any], places: Sequence[Place]) -> str:
    """Say in one line what the residual shows.

    Parameters
    ----------
    content : dict
        Content of the report.
    places : sequence of Place
        The places, the least probable first.

    Returns
    -------
    str
        One line.
    """
    found = content["residual"]
    if not found["windows"]:
        return "No window has enough pixels to be assessed."
    if not found["flagged"]:
        return f"None of {found['windows']} windows shows structure in what was removed."
    share, worst = found["flagged"] / found["windows"], places[0]
    what = "structure that was added" if worst.added else "structure in what was removed"
    return (
        f"{percent(share)} of the area shows structure in what was removed or added; most at "
        f"{worst.where(content['axes'])} ({what})."
    )


def assessment_page(content: dict[str, Any]) -> str:
    """Write the report.

    Parameters
    ----------
    content : dict
        Content of the report.

    Returns
    -------
    str
        Markdown.
    """
    parts = [
        "# How far this result can be trusted",
        f"Source: {content['source']}  \nResult: {content['result']}",
        content["line"],
        *(f"**Note.** {note}" for note in content["notes"]),
        _residual(content),
        _places(content),
        _photometry(content),
        _likeness(content),
        _resolution(content),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _residual(content: dict[str, Any]) -> str:
    found, kinds = content["residual"], content["residual"]["by_kind"]
    noise = "\n".join(
        f"- Noise{f' of channel {number}' if len(content['noise']) > 1 else ''}: gain {one['gain']:.4g}, offset "
        f"{one['offset']:.4g}, read noise {one['read_noise']:.4g}, correlation between neighbours "
        f"{one['correlation'][0]:.2f} (y) and {one['correlation'][1]:.2f} (x). "
        f"What was removed has {one['removed']:.0%} of its standard deviation."
        for number, one in enumerate(content["noise"])
    )
    return (
        "## What was removed\n\n"
        f"{noise}\n"
        f"- {found['flagged']} of {found['windows']} windows of 16 x 16 pixels have a probability below "
        f"{content['settings']['significance']:g} that noise alone was removed; chance alone gives "
        f"{found['by_chance']:.2g}. Taken away: {found['removed']}; added: {found['added']}.\n"
        f"- Found by: spots and filaments {kinds['structure']}; loss or gain of more than "
        f"{content['settings']['tolerance']:.0%} of the local contrast {kinds['contrast']}; agreement with "
        f"neighbouring planes {kinds['neighbours']}."
    )


def _places(content: dict[str, Any]) -> str:
    if not content["places"]:
        return ""
    rows = [
        f"| {_place(entry).where(content['axes'])} | {entry['log10_p']:.1f} "
        f"| {'added' if entry['added'] else 'taken away'} | {entry['kind']} |"
        for entry in content["places"][:_SHOWN]
    ]
    more = content["place_count"] - len(rows)
    head = ["## Where to look", "", "| place | log10 p | | found by |", "|---|---|---|---|"]
    return "\n".join([*head, *rows, *([f"\n{more} more in the JSON."] if more > 0 else [])])


def _photometry(content: dict[str, Any]) -> str:
    sums = content["photometry"]
    if not sums["count"]:
        return ""
    line = ""
    if sums["slope"] is not None:
        line = (
            f" Linearity of the means: slope {sums['slope']:.4f}, intercept {sums['intercept']:.4g}, r {sums['r']:.5f}."
        )
    return (
        f"## Photometry\n\nSums over {sums['count']} regions ({sums['regions']}), after against before: "
        f"{sums['within_1_sigma'] / sums['count']:.0%} within one standard deviation of the noise of the sum, "
        f"{sums['within_2_sigma'] / sums['count']:.0%} within two, {sums['within_3_sigma'] / sums['count']:.0%} within "
        f"three.{line}"
    )


def _likeness(content: dict[str, Any]) -> str:
    found, beyond = content["likeness"], content["beyond_cut_off"]
    lines = []
    if found["coefficient"] is not None:
        lines.append(
            f"Result on the pixels of the source, gain and offset fitted (SQUIRREL): correlation "
            f"{found['coefficient']:.4f}, error {found['error']:.4g}; both include the noise of the source."
        )
    if beyond is not None and beyond["after"] is not None:
        before = "" if beyond["before"] is None else f", before {100 * beyond['before']:.2g} % (noise included)"
        lines.append(
            f"Power beyond the cut-off of the optics ({beyond['cut_off']:.3f} cycles per pixel of the result): "
            f"{100 * beyond['after']:.2g} %{before}."
        )
    elif beyond is not None:
        lines.append(f"Power beyond the cut-off of the optics: none; {beyond['note']}.")
    return "## Source and result\n\n" + "\n".join(f"- {line}" for line in lines) if lines else ""


def _resolution(content: dict[str, Any]) -> str:
    head = ["## Resolution (estimates)", "", "| method | before | after | condition |", "|---|---|---|---|"]
    rows = []
    for number, methods in enumerate(content["resolution"]):
        channel = f" C {number}" if len(content["resolution"]) > 1 else ""
        for name, one in methods.items():
            cells = ["–" if one[when] is None else f"{one[when]:.1f} px" for when in ("before", "after")]
            rows.append(f"| {name}{channel} | {cells[0]} | {cells[1]} | {one['condition']} |")
    return "\n".join([*head, *rows, "", "Periods in pixels of the source."])
