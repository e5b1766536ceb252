import pytest

from napari_restore.images.units import unit_name


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
