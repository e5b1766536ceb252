from pathlib import Path

import pytest

import napari_restore.images.readers as room
from napari_restore.errors import SourceError
from napari_restore.images.opening import open_image
from napari_restore.images.readers.table import ENDINGS, READERS, what_can_be_opened

# A folder of ours or a module of the room that opens nothing itself.
_NO_FORMATS = {"__init__", "reader", "table", "tiff_metadata"}


def test_every_reader_is_in_the_table():
    names = {path.stem for path in Path(room.__file__).parent.iterdir() if path.suffix == ".py"} - _NO_FORMATS
    assert {reader.__name__.rpartition(".")[2] for reader in READERS.values()} == names


def test_the_list_of_what_can_be_opened_has_every_ending():
    sentence = what_can_be_opened()
    assert all(ending in sentence for ending in ENDINGS) and all(name in sentence for name in READERS)


@pytest.mark.parametrize("ending", [".tif", ".lsm", ".h5", ".ims"])
def test_a_file_that_ends_like_a_format_and_is_none(tmp_path, ending):
    (tmp_path / f"a{ending}").write_bytes(b"something else")
    with pytest.raises(SourceError, match="does not begin like it"):
        open_image(tmp_path / f"a{ending}")
    with pytest.raises(SourceError, match="read from a disk"):
        open_image(f"https://example.org/a{ending}")


@pytest.mark.parametrize("source", [None, 3, "/nowhere/a.tif", b"II*", object(), {}, lambda: 0])
def test_no_reader_fails_at_what_it_does_not_know(source):
    for name, reader in READERS.items():
        assert not reader.recognises(source), name
