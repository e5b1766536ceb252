"""Run the command line with ``python -m napari_restore``."""

from napari_restore.cli import main

main()
