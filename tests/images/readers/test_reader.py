import pytest

from napari_restore.errors import SourceError
from napari_restore.images.readers.reader import begins_with, check_level, series_number


@pytest.mark.parametrize(("series", "number"), [(1, 1), ("right", 1), ("1", 1), ("7", 2)])
def test_a_series_is_chosen_by_number_or_name(series, number):
    assert series_number(series, ["left", "right", "7"], "cells.lif") == number


@pytest.mark.parametrize("series", [3, -1, "middle", "-1", ""])
def test_a_series_that_is_not_there(series):
    with pytest.raises(SourceError, match=r"it has 3, counted from 0 \(0 'left', 1 'right'\)"):
        series_number(series, ["left", "right", ""], "cells.lif")


def test_a_name_that_several_have():
    with pytest.raises(SourceError, match="several series 'a'; choose one by its number, such as 0"):
        series_number("a", ["a", "b", "a"], "cells.lif")


@pytest.mark.parametrize("level", [2, -1])
def test_a_level_that_is_not_there(level):
    check_level(1, 2, "cells.tif")
    with pytest.raises(SourceError, match=r"it has 2, counted from 0; open another one\."):
        check_level(level, 2, "cells.tif", "open another one")


def test_only_files_begin_with_something(tmp_path):
    (tmp_path / "a").write_bytes(b"II*\0")
    assert begins_with(str(tmp_path / "a"), b"MM", b"II")
    for source in (str(tmp_path), str(tmp_path / "b"), 3, None, "http://a"):
        assert not begins_with(source, b"II")
