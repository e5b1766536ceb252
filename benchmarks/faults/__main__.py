"""Inject everything that can go wrong into runs, hundreds of times.

    python -m benchmarks.faults                          # the whole campaign, about a quarter of an hour on one core
    python -m benchmarks.faults --kills 10 --flips 10    # a short one
    python -m benchmarks.faults --only locks,disk

Every trial is a real run, on a small image and with a small network, in a process of its own, and each that was
interrupted is run again to its end. Counted are results that differ by a single byte from that of a run which nothing
interrupted (`wrong`), damage that nobody noticed (`silent`), processes that did not end (`hangs`), and files that were
left behind (`left`). All of them have to be 0; the exit code says so.

Linux only. A small file system to be filled up needs root, and the object store needs moto[server].
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.faults.campaign import COLUMNS, Campaign, Row


def campaign(folder: Path, given: argparse.Namespace) -> list[Row]:
    """Run the selected trials, and print a line for each kind of fault when it is done."""
    todo = Campaign(folder, given.seed)
    print(f"a run takes {todo.seconds:.2f} s in its own process; {len(todo.whole)} files")
    print(f"{'':<38}" + "".join(f"{name:>12}" for name in COLUMNS), flush=True)
    parts: dict[str, Callable[[], Row | list[Row]]] = {
        "kills": lambda: todo.kill_at_random(given.kills),
        "points": lambda: todo.kill_at_points(given.points),
        "zombies": lambda: todo.zombies(given.zombies),
        "locks": lambda: todo.locks(given.locks),
        "disk": lambda: todo.full_disks(given.disks),
        "errors": lambda: todo.failing_disks(given.errors),
        "flips": lambda: todo.flips(given.flips),
        "sources": lambda: todo.sources(given.sources),
        "slow": lambda: todo.slow(given.slow),
        "network": lambda: todo.network(given.network, given.clients, given.stores),
        "cluster": lambda: todo.cluster(given.workers, given.schedulers, given.sleepers),
    }
    rows: list[Row] = []
    for name in given.only or parts:
        began = time.monotonic()
        done = parts[name]()
        for row in done if isinstance(done, list) else [done]:
            row.seconds = row.seconds or time.monotonic() - began
            rows.append(row)
            print(row, flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser("python -m benchmarks.faults", description=__doc__.splitlines()[0])
    for name, count in (
        ("kills", 200), ("points", 200), ("zombies", 24), ("locks", 20), ("disks", 10), ("errors", 20), ("flips", 200),
        ("sources", 30), ("slow", 12), ("network", 26), ("clients", 10), ("stores", 5),
        ("workers", 50), ("schedulers", 10), ("sleepers", 6), ("seed", 0),
    ):  # fmt: skip
        parser.add_argument(f"--{name}", type=int, default=count)
    parser.add_argument(
        "--only",
        type=lambda text: text.split(","),
        help="names of parts: kills,points,zombies,...",
    )
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = campaign(Path(folder), given)
    sys.exit(0 if all(row.ok for row in rows) else 1)


if __name__ == "__main__":
    main()
