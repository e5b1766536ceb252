"""The dock widgets of napari, its reader and its sample images: the only room that knows napari and Qt."""
