import numpy as np
import pytest

from napari_restore.errors import SourceError
from napari_restore.images.readers.ome_zarr.transformations import apply

SCALE = {"type": "scale", "scale": [2.0, 0.5, 0.25]}
SHIFT = {"type": "translation", "translation": [1.0, 10.0, 20.0]}
IDENTITY = {"type": "identity"}
PAIR = [SCALE, SHIFT]


def placed(*transformations, axes="ZYX", arrays=None):
    return apply(transformations, axes, lambda path: arrays[path])


@pytest.mark.parametrize(
    "transformations",
    [
        [SCALE, SHIFT],
        [{"type": "sequence", "transformations": [SCALE, SHIFT]}],
        [IDENTITY, {"type": "sequence", "transformations": [{"type": "sequence", "transformations": PAIR}]}],
        [{"type": "affine", "affine": [[2, 0, 0, 1], [0, 0.5, 0, 10], [0, 0, 0.25, 20]]}],
        [{"type": "rotation", "rotation": np.eye(3).tolist()}, SCALE, SHIFT],
        [{"type": "mapAxis", "mapAxis": [0, 1, 2]}, SCALE, SHIFT],
        [{"type": "scale", "path": "s"}, {"type": "translation", "path": "t"}],
        [
            {
                "type": "byDimension",
                "transformations": [
                    {"input_axes": [0], "output_axes": [0], "transformation": {"type": "affine", "affine": [[2, 1]]}},
                    {
                        "input_axes": [1, 2], "output_axes": [1, 2],
                        "transformation": {
                            "type": "sequence",
                            "transformations": [
                                {"type": "scale", "scale": [0.5, 0.25]},
                                {"type": "translation", "translation": [10, 20]},
                            ],
                        },
                    },
                ],
            }
        ],
    ],
)  # fmt: skip
def test_what_even_steps_can_say_is_kept(transformations):
    found = placed(*transformations, arrays={"s": np.array(SCALE["scale"]), "t": np.array(SHIFT["translation"])})
    assert found.scale == (2.0, 0.5, 0.25) and found.translation == (1.0, 10.0, 20.0) and not found.notes


def test_a_translation_before_a_scale_is_scaled():
    assert placed(SHIFT, SCALE).translation == (2.0, 5.0, 5.0)


def test_a_turned_plane_keeps_the_size_of_the_other_axes():
    turned = {"type": "rotation", "rotation": [[1, 0, 0], [0, 0.6, -0.8], [0, 0.8, 0.6]]}
    found = placed(SCALE, turned, SHIFT)
    assert found.scale[0] == 2.0 and found.translation[0] == 1.0
    assert np.isnan(found.scale[1:]).all() and np.isnan(found.translation[1:]).all()
    assert "axes Y, X" in found.notes[0]


def test_turning_back_is_no_turning():
    turned, back = ([[1, 0, 0], [0, 0.6, s], [0, -s, 0.6]] for s in (-0.8, 0.8))
    found = placed({"type": "rotation", "rotation": turned}, {"type": "rotation", "rotation": back}, SCALE)
    assert found.scale == pytest.approx((2.0, 0.5, 0.25)) and not found.notes


@pytest.mark.parametrize("kind", ["displacements", "coordinates", "bijection", "of tomorrow", None])
def test_other_kinds_are_said_and_not_taken_for_nothing(kind):
    found = placed(SCALE, {"type": kind, "path": "field"})
    assert np.isnan(found.scale).all() and repr(kind) in found.notes[0]


@pytest.mark.parametrize("odd", [float("nan"), float("inf"), 0.0])
def test_one_odd_number_does_not_spoil_other_axes(odd):
    found = placed({"type": "scale", "scale": [odd, 1, 1]}, SCALE, SHIFT)
    assert found.scale[1:] == (0.5, 0.25) and found.translation == (1.0, 10.0, 20.0)


@pytest.mark.parametrize("scale", [[1.0, 2.0], None, "2", [[1, 2, 3]]])
def test_numbers_that_do_not_fit_the_axes(scale):
    with pytest.raises(SourceError, match="'scale'"):
        placed({"type": "scale", "scale": scale})
