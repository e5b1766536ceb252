"""``python -m napari_restore`` is the command line."""

from napari_restore.cli import main

main()
