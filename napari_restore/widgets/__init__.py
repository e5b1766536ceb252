"""Dock widgets for napari: the only place where napari and Qt are imported."""

import os

# The network's threads share the machine with the window. Where they spin while they wait for one another, as OpenMP's
# do unless told otherwise before torch is loaded, a window that takes one core makes the network several times slower.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
