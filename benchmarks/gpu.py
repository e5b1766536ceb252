"""Do everything that needs a GPU, in one command: tests, speed, whole jobs, memory, and training in the time left.

    python benchmarks/gpu.py --minutes 25 --out FOLDER       # from anywhere; torch and the package's dependencies
    python benchmarks/gpu.py --wheels FOLDER ...             # on a machine without network: installs them from there
    python benchmarks/gpu.py --device cpu --quick            # all of it without a GPU, as far as it goes

Each part is a process of its own with a limit of time, so a part that fails, hangs or loses the GPU costs the others
nothing. What is known so far is in ``FOLDER/gpu.json`` and ``FOLDER/gpu.md`` after each part.

tests
    The tests marked ``gpu``.
networks
    Our networks beside the authors', or beside ours in eager float32 if spandrel is not installed:
    `benchmarks/networks.py`.
jobs
    Whole jobs and the bare network: `benchmarks/pipeline.py`.
memory
    Planned and measured memory of the GPU: `benchmarks/memory/device.py`.
training
    A recipe of `napari_restore.training.recipes`, in bfloat16, until the time is over. The averaged weights and the
    state of the run are in files below 16 MB; the next call with the same folder goes on from there.

The exit code is 1 if a part failed or was stopped; tests that are skipped say why, and are no failure.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import json
import os
import platform
import re
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
MOST_BYTES = 15 * 10**6
"""Largest file of a state; larger ones are cut into several."""
SHARES = {"tests": 0.3, "networks": 0.2, "jobs": 0.15, "memory": 0.05, "training": 0.3}
"""Shares of the time; a part may take its share, among the parts that are still to come, of the time that is left."""
RESERVE = 30.0
"""Seconds for what follows the training: weights, state, page."""

Parts = dict[str, Callable[[argparse.Namespace, float], dict[str, Any]]]


def python(*arguments: object) -> list[str]:
    return [sys.executable, *map(str, arguments)]


def run(command: list[str], given: argparse.Namespace, seconds: float, log: Path) -> dict[str, Any]:
    """Run a command, and end it with all its children after its time."""
    began = time.monotonic()
    shown = " ".join(["python", *command[1:]]).replace(f"{given.temporary}/", "")
    with log.open("ab") as output:
        child = subprocess.Popen(command, cwd=ROOT, env=given.environment, stdout=output, stderr=subprocess.STDOUT,
                                 start_new_session=True)  # fmt: skip
        try:
            code = child.wait(max(1.0, seconds))
            status = "done" if code == 0 else f"failed (exit {code})"
        except subprocess.TimeoutExpired:
            status = f"stopped after {seconds:.0f} s"
        finally:
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()
    found = {"status": status, "seconds": round(time.monotonic() - began, 1), "command": shown}
    return found if status == "done" else found | {"log": log.read_text(errors="replace")[-3000:]}


def read(path: Path) -> Any:
    """Return the figures that a part has written; None if there are none."""
    return json.loads(path.read_bytes()) if path.is_file() else None


def tests(given: argparse.Namespace, seconds: float) -> dict[str, Any]:
    if "pytest" in given.missing:
        return {"status": "not run: pytest is not installed"}
    every = sorted((ROOT / "tests").rglob("test_*.py"))
    marked = [path.relative_to(ROOT) for path in every if "pytest.mark.gpu" in path.read_text("utf-8")]
    report, log = given.temporary / "tests.xml", given.temporary / "tests.log"
    # Warnings of other versions of torch than those of constraints.txt are no failures.
    command = python("-m", "pytest", "-q", "-m", "gpu", "-W", "default", "-p", "no:cacheprovider", *marked)
    found = run([*command, f"--junitxml={report}"], given, seconds, log)
    return found | (outcomes(report) if report.is_file() else {})


def outcomes(report: Path) -> dict[str, Any]:
    """Return the number of tests by outcome, the reasons of those that were skipped, and the messages of the others."""
    cases = ElementTree.parse(report).getroot().iter("testcase")
    found: dict[str, Any] = {"passed": 0, "skipped": {}, "failed": {}}
    for case in cases:
        skipped = case.find("skipped")
        failed = next((each for each in case if each.tag in ("failure", "error")), None)
        if failed is not None:
            found["failed"][case.get("name")] = f"{failed.get('message')}"[:1000]
        elif skipped is not None:
            reason = skipped.get("message", "")
            found["skipped"][reason] = found["skipped"].get(reason, 0) + 1
        else:
            found["passed"] += 1
    return found


def networks(given: argparse.Namespace, seconds: float) -> dict[str, Any]:
    fast = ["--precision", "bfloat16"]
    if not given.quick:
        fast += ["--backend", "compiled", "--theirs", "compiled-bfloat16"]
    size = ["swinir-x2-light", "--side", 64, "--rounds", 1] if given.quick else ["--batch", 8, "--rounds", 10]
    commands: dict[str, list[Any]] = {
        name: ["-m", "benchmarks.networks", *size, "--device", given.device, *kind]
        for name, kind in (("float32", []), ("bfloat16", fast))
    }
    return several(commands, given, seconds)


def jobs(given: argparse.Namespace, seconds: float) -> dict[str, Any]:
    cases = ["fast x2"] if given.quick else ["fast", "medium", "slow", "fast x2", "medium x2", "slow x2"]
    size = ["--planes", 1, "--seconds", 0.1, "--repeats", 1] if given.quick else ["--planes", 32, "--seconds", 1]
    command = ["-m", "benchmarks.pipeline", "--device", given.device, *size, "--cases"]
    return several({"jobs": [*command, *cases], "nothing": [*command, "nothing"]}, given, seconds)


def memory(given: argparse.Namespace, seconds: float) -> dict[str, Any]:
    size = ["swinir-x2-light", "--sides", 128, "--batches", 1] if given.quick else []
    return several({"memory": ["-m", "benchmarks.memory.device", *size, "--device", given.device]}, given, seconds)


def several(commands: dict[str, list[Any]], given: argparse.Namespace, seconds: float) -> dict[str, Any]:
    """Run commands that write figures one after the other; each has an equal share of the time that is left."""
    until, found = time.monotonic() + seconds, {}
    for left, (name, command) in zip(range(len(commands), 0, -1), commands.items(), strict=True):
        figures, log = given.temporary / f"{name}.json", given.temporary / f"{name}.log"
        of_it = max(1.0, (until - time.monotonic()) / left)
        found[name] = run(python(*command, "--json", figures), given, of_it, log) | {"figures": read(figures)}
    bad = [f"{name} {each['status']}" for name, each in found.items() if each["status"] != "done"]
    spent = sum(each["seconds"] for each in found.values())
    return {"status": "; ".join(bad) or "done", "seconds": spent, "runs": found}


def training(given: argparse.Namespace, seconds: float) -> dict[str, Any]:
    state = given.out / "training.state"
    if seconds < 30 and not given.quick:
        return {"status": f"not run: {seconds:.0f} s were left"}
    join(state)
    minutes = 0.01 if given.quick else seconds / 60
    command = python("-m", "benchmarks.gpu", "--train", minutes, "--device", given.device, "--recipe", given.recipe)
    command += ["--out", str(given.out), *["--quick"] * given.quick]
    log = given.temporary / "training.log"
    try:
        found = run(command, given, seconds + RESERVE / 2, log)
    finally:
        if state.is_file():
            cut(state)
    said = re.findall(r"^step.*", log.read_text(errors="replace"), re.MULTILINE)
    return found | {"recipe": given.recipe, "last": said[-1] if said else "", "files": sizes(given.out)}


def train(given: argparse.Namespace) -> None:
    """Train in this process, and write the averaged weights also of a run that is not at its end."""
    from napari_restore.training import train as trainer

    state, device = given.out / "training.state", "cuda" if given.device.startswith("cuda") else "cpu"
    path = trainer.train(
        given.recipe, given.out, state=state, device=device, bf16=device == "cuda", minutes=given.train,
        **({"log_every": 2, "synthetic": 7} if given.quick else {}),
    )  # fmt: skip
    if path is None:
        begun = trainer.TrainingRun.start(trainer.RECIPES[given.recipe], device)
        begun.restore(state)
        begun.export(given.out / f"{given.recipe}.safetensors")


def cut(path: Path) -> None:
    """Cut a file into parts of at most `MOST_BYTES`: ``NAME.0``, ``NAME.1`` and so on."""
    content = path.read_bytes()
    for old in parts_of(path):
        old.unlink()
    for number, first in enumerate(range(0, len(content), MOST_BYTES)):
        Path(f"{path}.{number}").write_bytes(content[first : first + MOST_BYTES])
    path.unlink()


def join(path: Path) -> None:
    """Undo `cut`; the parts stay until they are written anew."""
    if parts := parts_of(path):
        path.write_bytes(b"".join(part.read_bytes() for part in parts))


def parts_of(path: Path) -> list[Path]:
    found = [part for part in path.parent.glob(f"{path.name}.*") if part.suffix[1:].isdigit()]
    return sorted(found, key=lambda part: int(part.suffix[1:]))


def sizes(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_size for path in sorted(folder.iterdir()) if path.is_file()}


def machine(device: str) -> dict[str, Any]:
    """Describe the machine, its GPUs, and what the package lacks here."""
    import torch

    found: dict[str, Any] = {"python": platform.python_version(), "torch": torch.__version__, "device": device}
    found |= {"system": platform.platform(), "cores": os.cpu_count(), "gpus": "none"}
    if torch.cuda.is_available():
        each = map(torch.cuda.get_device_properties, range(torch.cuda.device_count()))
        found["gpus"] = [f"{gpu.name}, {gpu.total_memory / 1e9:.0f} GB, sm_{gpu.major}{gpu.minor}" for gpu in each]
        found |= {"CUDA": torch.version.cuda or torch.version.hip, "bfloat16": torch.cuda.is_bf16_supported()}
    return found | {"spandrel": importlib.util.find_spec("spandrel") is not None}


def missing() -> list[str]:
    """Return the dependencies of the package, and pytest, that are not installed here."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = [re.match(r"[\w.-]+", each)[0] for each in project["dependencies"]]  # type: ignore[index]
    there = {each.metadata["Name"].lower().replace("_", "-") for each in importlib.metadata.distributions()}
    return [name for name in [*names, "pytest"] if name.lower() not in there]


def page(found: dict[str, Any]) -> str:
    """Return the figures as Markdown."""
    lines = ["# On a GPU", "", f"`{found['command']}`, {found['minutes']:.1f} minutes", "", "| | |", "|---|---|"]
    lines += [f"| {name} | {', '.join(map(str, value)) if isinstance(value, list) else value} |"
              for name, value in found["machine"].items()]  # fmt: skip
    for name, part in found["parts"].items():
        lines += ["", f"## {name.capitalize()}", "", f"{part['status']}, {part.get('seconds', 0):.0f} s"]
        if "passed" in part:
            skipped = sum(part["skipped"].values())
            lines += ["", f"{part['passed']} passed, {len(part['failed'])} failed, {skipped} skipped."]
            lines += [f"- {count} skipped: {reason}" for reason, count in part["skipped"].items()]
            lines += [f"- **{test}**: {' '.join(message.split())}" for test, message in part["failed"].items()]
        for one in part.get("runs", {}).values():
            figures = one["figures"] or []
            lines += ["", f"`{one['command']}`", "", *table(figures["rows"] if isinstance(figures, dict) else figures)]
            lines += [f"Beside: {figures['theirs']}."] if isinstance(figures, dict) else []
        if "files" in part:
            lines += ["", f"{part['recipe']}: {part['last'] or 'no step'}", ""]
            lines += [f"- {file}: {size / 1e6:.1f} MB" for file, size in part["files"].items()]
        for one in (part, *part.get("runs", {}).values()):
            if one.get("log"):
                lines += ["", "```", one["log"].strip(), "```"]
    return "\n".join(lines) + "\n"


def table(rows: list[dict[str, Any]]) -> list[str]:
    if not rows:
        return ["No figures."]
    cells = [[f"{value:.4g}" if isinstance(value, float) else str(value) for value in row.values()] for row in rows]
    return [f"| {' | '.join(line)} |" for line in (list(rows[0]), ["---"] * len(rows[0]), *cells)]


def main() -> int:
    parser = argparse.ArgumentParser("python benchmarks/gpu.py", description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=25, help="time for all parts together")
    parser.add_argument("--out", type=Path, default=Path("gpu-results"), help="folder of figures, weights and state")
    parser.add_argument("--device", default="cuda", help="cuda, cuda:1 or cpu")
    parser.add_argument("--quick", action="store_true", help="the least of everything, to see that it runs")
    every: Parts = {"tests": tests, "networks": networks, "jobs": jobs, "memory": memory, "training": training}
    parser.add_argument("--parts", nargs="+", choices=list(every), default=list(every))
    parser.add_argument("--recipe", help="what is trained; by default the bundled denoiser, with --quick a tiny one")
    parser.add_argument("--wheels", type=Path, help="folder of wheels that are installed for this call only")
    parser.add_argument("--train", type=float, help=argparse.SUPPRESS)
    given = parser.parse_args()
    given.out = given.out.resolve()
    given.recipe = given.recipe or ("restormer-sigma25-tiny" if given.quick else "restormer-denoise-light")
    if given.train is not None:
        train(given)
        return 0
    began = time.monotonic()
    given.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        given.temporary = Path(temporary)
        paths = [ROOT, ROOT / "tests", *filter(None, [os.environ.get("PYTHONPATH")])]
        if given.wheels:
            paths.append(given.temporary / "site")
            install = python("-m", "pip", "install", "-q", "--no-index", "--no-deps", "--target", paths[-1])
            subprocess.run([*install, *map(str, sorted(given.wheels.glob("*.whl")))], check=True)
            sys.path.append(str(paths[-1]))
        given.missing = missing()
        given.environment = os.environ | {
            "PYTHONPATH": os.pathsep.join(map(str, paths)), "PYTHONUNBUFFERED": "1",
            "NAPARI_RESTORE_CACHE": f"{temporary}/cache",
        }  # fmt: skip
        found = {"command": " ".join(["python", "benchmarks/gpu.py", *sys.argv[1:]]), "minutes": 0.0, "parts": {},
                 "machine": machine(given.device) | {"missing": given.missing or "nothing"}}  # fmt: skip
        for number, name in enumerate(given.parts):
            left = 60 * given.minutes - RESERVE - (time.monotonic() - began)
            limit = left * SHARES[name] / sum(SHARES[later] for later in given.parts[number:])
            print(f"{name}: at most {max(0.0, limit):.0f} s", flush=True)
            part = every[name](given, limit) if limit > 1 else {"status": "not run: no time was left"}
            found["parts"][name] = part
            found["minutes"] = (time.monotonic() - began) / 60
            print(f"{name}: {part['status']}, {part.get('seconds', 0):.0f} s", flush=True)
            (given.out / "gpu.json").write_text(json.dumps(found, indent=1), encoding="utf-8")
            (given.out / "gpu.md").write_text(page(found), encoding="utf-8")
    print(given.out / "gpu.md")
    return int(any(part["status"] != "done" for part in found["parts"].values()))


if __name__ == "__main__":
    sys.exit(main())
