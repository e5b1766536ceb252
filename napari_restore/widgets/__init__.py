"""Dock widgets for napari. No other room imports napari or Qt."""

import os

# The network's threads share the cores with the window. By default OpenMP's threads spin while they wait for one
# another; then a window that uses one core makes the network several times slower. torch reads this when it is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
