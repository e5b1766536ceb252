"""Own schema beside ome-zarr-models, which is the oracle: both give the same verdict, and the same JSON."""

from __future__ import annotations

import copy

import pytest
from ome_zarr_models import v04, v05
from ome_zarr_models.common.well_types import WellMeta
from pydantic import ValidationError

from napari_restore.images.ome_metadata.schema import Multiscale, Plate, Well


def axis(name):
    kind = {"t": "time", "c": "channel"}.get(name, "space")
    return {"name": name, "type": kind}


def image(axes="tczyx", levels=2):
    ndim = len(axes)
    datasets = [
        {
            "path": str(level),
            "coordinateTransformations": [
                {"type": "scale", "scale": [2.0**level] * ndim},
                {"type": "translation", "translation": [0.5] * ndim},
            ],
        }
        for level in range(levels)
    ]
    return {"axes": [axis(name) for name in axes], "datasets": datasets, "name": "cells"}


def changed(change):
    made = image()
    change(made)
    return made


def transformations(made, level=0):
    return made["datasets"][level]["coordinateTransformations"]


IMAGES = {
    "plane": image("yx"),
    "time, channel, space": image(),
    "no translation": changed(lambda one: transformations(one).pop()),
    "one level": image("zyx", 1),
    "unknown fields": changed(lambda one: one.update(more=[1])),
    "transformation of all levels": changed(
        lambda one: one.update(coordinateTransformations=[{"type": "scale", "scale": [1.0] * 5}])
    ),
    "custom axis": changed(lambda one: one["axes"].__setitem__(1, {"name": "angle", "type": "angle"})),
    "axis without type": changed(lambda one: one["axes"].__setitem__(1, {"name": "c"})),
    "BAD one axis": image("x"),
    "BAD space before channel": image("ycx"),
    "BAD channel before time": image("ctyx"),
    "BAD two channels": changed(lambda one: one["axes"].__setitem__(0, {"name": "d", "type": "channel"})),
    "BAD two custom axes": changed(
        lambda one: one.update(axes=[{"name": "a", "type": "a"}, {"name": "b", "type": "b"}, *one["axes"][2:]])
    ),
    "BAD two axes of one name": changed(lambda one: one["axes"].__setitem__(3, axis("x"))),
    "BAD no level": changed(lambda one: one.update(datasets=[])),
    "BAD no axes": changed(lambda one: one.pop("axes")),
    "BAD translation alone": changed(lambda one: transformations(one).pop(0)),
    "BAD two scales": changed(lambda one: transformations(one).__setitem__(1, transformations(one)[0])),
    "BAD scale of four axes": changed(lambda one: transformations(one)[0]["scale"].pop()),
    "BAD translation of six axes": changed(lambda one: transformations(one, 1)[1]["translation"].append(1.0)),
    "BAD text as scale": changed(lambda one: transformations(one)[0]["scale"].__setitem__(0, "wide")),
    "BAD coarse to fine": changed(lambda one: one["datasets"].reverse()),
    "BAD unknown transformation": changed(lambda one: transformations(one)[0].update(type="rotation")),
    "BAD path that is a number": changed(lambda one: one["datasets"][0].update(path=0)),
}
PLATE = {
    "name": "screen", "rows": [{"name": "A"}, {"name": "B"}], "columns": [{"name": "1"}],
    "wells": [{"path": "B/1", "rowIndex": 1, "columnIndex": 0}],
    "acquisitions": [{"id": 0, "maximumfieldcount": 2, "starttime": 5, "camera": "left"}],
    "field_count": 3, "version": "0.5", "operator": "me",
}  # fmt: skip
PLATES = {
    "whole": PLATE,
    "no acquisitions": {key: PLATE[key] for key in ("rows", "columns", "wells", "version")},
    "BAD two rows of one name": PLATE | {"rows": [{"name": "B"}, {"name": "B"}]},
    "BAD row with a sign": PLATE | {"rows": [{"name": "B-1"}], "wells": []},
    "BAD well of no row": PLATE | {"wells": [{"path": "C/1", "rowIndex": 1, "columnIndex": 0}]},
    "BAD well of no column": PLATE | {"wells": [{"path": "B/2", "rowIndex": 1, "columnIndex": 0}]},
    "BAD well in a folder": PLATE | {"wells": [{"path": "B/1/0", "rowIndex": 1, "columnIndex": 0}]},
    "BAD well without index": PLATE | {"wells": [{"path": "B/1"}]},
    "BAD no columns": {key: value for key, value in PLATE.items() if key != "columns"},
    "BAD no field": PLATE | {"field_count": 0},
    "BAD acquisition below zero": PLATE | {"acquisitions": [{"id": -1}]},
}
WELLS = {
    "whole": {"images": [{"path": "0", "acquisition": 0}, {"path": "1", "more": 2}], "version": "0.5"},
    "BAD twice": {"images": [{"path": "0"}, {"path": "0"}]},
    "BAD path": {"images": [{"path": "0/1"}]},
    "BAD no list": {"version": "0.5"},
}


def verdict(model, metadata):
    try:
        return model.model_validate(copy.deepcopy(metadata)).model_dump(mode="json", exclude_none=True)
    except ValidationError:
        return None


@pytest.mark.parametrize("name", IMAGES)
@pytest.mark.parametrize("oracle", [v04, v05])
def test_images(name, oracle):
    found = verdict(Multiscale, IMAGES[name])
    assert (found is None) == name.startswith("BAD")
    assert (verdict(oracle.multiscales.Multiscale, IMAGES[name]) is None) == (found is None)


@pytest.mark.parametrize("name", PLATES)
@pytest.mark.parametrize("oracle", [v04, v05])
def test_plates(name, oracle):
    found = verdict(Plate, PLATES[name])
    assert (found is None) == name.startswith("BAD")
    assert list((found or {}).items()) == list((verdict(oracle.plate.Plate, PLATES[name]) or {}).items())


@pytest.mark.parametrize("name", WELLS)
def test_wells(name):
    found = verdict(Well, WELLS[name])
    assert (found is None) == name.startswith("BAD") and found == verdict(WellMeta, WELLS[name])
