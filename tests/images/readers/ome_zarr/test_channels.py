import pytest

from napari_restore.images.image import Channel
from napari_restore.images.readers.ome_zarr.channels import read_channels


def read(**channel):
    (found,), notes = read_channels({"channels": [channel]}, 1)
    return found, notes


@pytest.mark.parametrize(
    ("colour", "digits"),
    [("00ff7F", "00FF7F"), ("#ff0000", "FF0000"), ("f0a", "FF00AA"), ("#0F0", "00FF00"), ("FF000080", "FF0000")],
)
def test_colours_of_digits(colour, digits):
    assert read(color=colour) == (Channel(color=digits), ())


@pytest.mark.parametrize("colour", ["green", 65280, "", "FF00", "GG0000", "FF0000GG", [255, 0, 0], True, 1.5])
def test_other_colours_are_left_out_and_said(colour):
    found, notes = read(label="GFP", color=colour)
    assert found == Channel("GFP") and repr(colour) in notes[0]


@pytest.mark.parametrize("window", [None, {}, {"min": 0, "max": 9}, {"start": None, "end": None}, "0-9"])
def test_no_window(window):
    assert read(window=window) == (Channel(), ())


@pytest.mark.parametrize("pair", [(9, 1), (1, 1), (0, float("nan")), (0, None), ("low", 3), (0, float("inf"))])
def test_windows_that_do_not_rise(pair):
    found, notes = read(window=dict(zip(("start", "end"), pair, strict=True)))
    assert found == Channel() and "display limits" in notes[0]


def test_names_and_whether_it_is_shown():
    assert read(label=488, active=False, window={"start": "1", "end": 5})[0] == Channel("488", None, (1.0, 5.0), False)
    assert read(label=None, active=None)[0] == Channel()


@pytest.mark.parametrize(
    "omero", [{"channels": [{}, {}]}, {"channels": "GFP"}, {"channels": [1]}, [1], {"channels": {"a": 1}}]
)
def test_blocks_that_describe_no_channel_or_others(omero):
    channels, notes = read_channels(omero, 1)
    assert channels == () and "left out" in notes[0]


@pytest.mark.parametrize("omero", [None, {}, {"channels": None}, {"channels": []}, ""])
def test_no_block(omero):
    assert read_channels(omero, 2) == ((), ())
