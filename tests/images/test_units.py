import pytest

from napari_restore.images.units import means_no_unit, named_units, unit_name


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("µm", "micrometer"),
        ("\N{GREEK SMALL LETTER MU}m", "micrometer"),
        ("\\u00B5m", "micrometer"),
        ("Micron", "micrometer"),
        ("micrometre", "micrometer"),
        ("micrometers", "micrometer"),
        ("nm", "nanometer"),
        ("Å", "angstrom"),
        ("\N{ANGSTROM SIGN}", "angstrom"),
        ("sec", "second"),
        ("min", "minute"),
        ("pixel", None),
        ("", None),
        (None, None),
        (3, None),
    ],
)
def test_unit_name(spelling, name):
    assert unit_name(spelling) == name


@pytest.mark.parametrize(
    ("spelling", "name"),
    [("\\u00b5m", "micrometer"), ("\N{SQUARE MU M}", "micrometer"), ("Âµm", "micrometer"), ("Mikrometer", "micrometer"),
     ("\N{SQUARE NM}", "nanometer"), ("Ångström", "angstrom"), ("mins", "minute"), ("furlong", None)],
)  # fmt: skip
def test_odd_spellings(spelling, name):
    assert unit_name(spelling) == name


def test_an_unknown_unit_is_said_once_for_all_its_axes():
    units, notes = named_units({"Z": "furlong", "Y": "furlong", "X": "um", "T": "fortnight", "C": None})
    assert units == {"X": "micrometer"}
    assert [note.partition(" is unknown")[0] for note in notes] == [
        "The unit 'furlong' of Z and Y",
        "The unit 'fortnight' of T",
    ]


@pytest.mark.parametrize("spelling", ["", "pixel", " Pixels ", "px", None])
def test_no_unit_is_no_unknown_unit(spelling):
    assert means_no_unit(spelling) and named_units({"X": spelling}) == ({}, ())
