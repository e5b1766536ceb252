import importlib
import pkgutil
import sys
import types

import numpy as np
import pytest

import napari_restore.images.readers as room
from napari_restore.errors import SourceError
from napari_restore.images.opening import open_image
from napari_restore.images.readers.table import ENDINGS, READERS, what_can_be_opened


def test_every_reader_is_in_the_table():
    names = [module.name for module in pkgutil.walk_packages(room.__path__, f"{room.__name__}.")]
    modules = [importlib.import_module(name) for name in names]
    # A module that recognises a source is a reader, or the part of a reader that hands it on.
    readers = {module for module in modules if hasattr(module, "recognises")}
    inside = {reader for reader in readers if sys.modules[reader.__name__.rpartition(".")[0]] in readers}
    assert readers - inside == set(READERS.values())


def test_the_list_of_what_can_be_opened_has_every_ending():
    sentence = what_can_be_opened()
    assert all(ending in sentence for ending in ENDINGS) and all(name in sentence for name in READERS)


@pytest.mark.parametrize("ending", [".tif", ".lsm", ".h5", ".ims", ".czi", ".nd2", ".lif"])
def test_a_file_that_ends_like_a_format_and_is_none(tmp_path, ending):
    (tmp_path / f"a{ending}").write_bytes(b"something else")
    with pytest.raises(SourceError, match="but not its content"):
        open_image(tmp_path / f"a{ending}")
    with pytest.raises(SourceError, match="read from a disk"):
        open_image(f"https://example.org/a{ending}")


@pytest.mark.parametrize("source", [None, 3, "/nowhere/a.tif", b"II*", object(), {}, lambda: 0])
def test_no_reader_fails_at_what_it_does_not_know(source):
    for name, reader in READERS.items():
        assert not reader.recognises(source), name


@pytest.mark.parametrize("package", ["zarr", "xarray", "torch"])
def test_a_package_that_another_thread_is_importing(monkeypatch, package):
    # As the dock widgets' main thread opens a layer while a worker imports what a run needs.
    monkeypatch.setitem(sys.modules, package, types.ModuleType(package))
    assert open_image(np.zeros((4, 5), np.uint8), axes="YX").shape == (4, 5)
    found = [name for name, reader in READERS.items() if reader.recognises(np.zeros((4, 5)))]
    assert found == ["an array of numpy or dask"]
