"""Check that all workers of a cluster have the back end of a run: versions differ in the last bits of results."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence

from napari_restore.engine.hardware.backends import INSTALL, BackendName
from napari_restore.errors import ClusterError

__all__ = ["check_backend", "shared_backend"]

_log = logging.getLogger(__name__)


def _differing(versions: Sequence[str | None]) -> str:
    """Describe the versions of OpenVINO of the workers; "" if all workers have the same version."""
    counts = Counter(versions)
    if len(counts) == 1 and None not in counts:
        return ""
    return ", ".join(sorted(f"{name or 'no OpenVINO'} on {n} of {len(versions)} workers" for name, n in counts.items()))


def check_backend(backend: BackendName | None, versions: Sequence[str | None]) -> None:
    """Refuse a run in OpenVINO unless each worker has the same version of it.

    Parameters
    ----------
    backend : str or None
        Back end of the run.
    versions : sequence of str or None
        Version of OpenVINO of each worker; None for a worker that has none.

    Raises
    ------
    ClusterError
        If a worker has no OpenVINO, or another version than the others.
    """
    if backend == "openvino" and (problem := _differing(versions)):
        raise ClusterError(
            f"this run uses OpenVINO, and the workers have {problem}. Install the same version everywhere ({INSTALL}), "
            "or use backend='eager' (--backend eager), which changes the last bits."
        )


def shared_backend(versions: Sequence[str | None]) -> BackendName:
    """Choose OpenVINO if all workers have the same version, otherwise eager torch; log why.

    Parameters
    ----------
    versions : sequence of str or None
        See `check_backend`.

    Returns
    -------
    str
        Back end of the run.
    """
    if problem := _differing(versions):
        _log.warning("torch runs the network, since not all workers have the same OpenVINO: %s", problem)
        return "eager"
    return "openvino"
