"""What the course costs on this machine: `make bench`.

Prints, and writes to build/bench.json: images a second, one training of the standard
model, training against attacks beside it, our detectors and attacks beside a peer's,
a guarded service beside a bare one, each hook, each notebook, and grading beside stock
nbgrader. Nothing here passes or fails.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import sysconfig
import venv
from functools import partial
from pathlib import Path

import torch
from hook_times import hooks
from serving_load import serving
from throughput import compare
from timing import once, side_by_side

from securetrain import data, execution, metrics, robustness_tables, training

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build"
HERE = Path(__file__).parent


def machine() -> dict:
    """Say where the numbers come from."""
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
    }


def images(n: int = 4000) -> dict:
    """Time the making of `n` signs."""
    spent = side_by_side({"signs": lambda: data.signs(n, 0)}, repeats=5)["signs"]
    per_second = {"images": n, "a second": n / spent["median"]}
    print(f"{per_second['a second']:10.0f}  images made a second")
    return per_second | spent


def standard_training(seeds: tuple[int, ...] = (0, 1, 2)) -> list[dict]:
    """Time one training of the standard model on 4,000 clean signs, for each seed."""
    runs = []
    for seed in seeds:
        fit = partial(training.train, *data.signs(4000, seed), seed, progress=False)
        model, wall, cpu = once(fit)
        accuracy = metrics.accuracy(model, *data.signs(2000, seed, "test"))
        print(
            f"{wall:10.1f}  seconds ({cpu:.1f} CPU) to train the standard model, "
            f"clean accuracy {accuracy:.3f}, seed {seed}"
        )
        runs.append(
            {"seed": seed, "seconds": wall, "cpu": cpu, "clean accuracy": accuracy}
        )
    return runs


def hardening(n: int = 2000) -> dict:
    """Time training against attacks beside plain training, one epoch of `n` signs."""
    x, y = data.signs(n, 0)
    spent = side_by_side(
        {
            name: partial(
                training.train, x, y, 0, epochs=1, progress=False, attack=attack
            )
            for name, attack in robustness_tables.trainings(0).items()
        },
        repeats=3,
    )
    ratios = {}
    for name, other in (
        ("FGSM-RS", "standard"),
        ("PGD-7", "standard"),
        ("PGD-7", "FGSM-RS"),
    ):
        ratios[f"{name} / {other}"] = spent[name]["median"] / spent[other]["median"]
        print(f"{ratios[f'{name} / {other}']:10.2f}  {name} / {other}: one epoch")
    return {"ratios": ratios, "seconds": spent}


def peers_python() -> Path | None:
    """Return the peers' Python: our packages seen through a path file, and theirs.

    None, said loudly, when they cannot be installed.
    """
    folder = BUILD / "peers"
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, symlinks=True)
        site = sysconfig.get_path("purelib", vars={"base": str(folder)})
        ours = sysconfig.get_path("purelib")
        Path(site, "ours.pth").write_text(f"{ours}\n{ROOT}\n")
    install = [sys.executable, "-m", "pip", "--python", str(python), "install"]
    lock = HERE / "requirements-peers.lock"
    done = subprocess.run(
        [*install, "-q", "--no-deps", "--require-hashes", "-r", str(lock)],
        capture_output=True,
        text=True,
    )
    if done.returncode:
        print(f"\nNO COMPARISON: the peer is not installed.\n{done.stderr[-500:]}\n")
        return None
    return python


def beside_peer(script: str) -> dict | None:
    """Return the report of a script that runs in the peers' environment, or None."""
    python = peers_python()
    if python is None:
        return None
    done = subprocess.run(
        [python, "-W", "ignore", HERE / script], stdout=subprocess.PIPE
    )
    if done.returncode:
        print(f"\nNO COMPARISON: {script} failed, see above.\n")
        return None
    return json.loads(done.stdout)


def attacks() -> dict | None:
    """Run attacks.py beside the peer and print its ratio."""
    report = beside_peer("attacks.py")
    if report:
        own, peer = (report["read right"][who] for who in ("own", "peer"))
        print(f"\n{report['own / peer']:10.2f}  own / peer: PGD, 20 steps; ", end="")
        print(f"read right {own:.3f}, {report['peer']} {peer:.3f}")
    return report


def detectors() -> dict | None:
    """Run detectors.py beside the peer and print its ratios."""
    report = beside_peer("detectors.py")
    if report is None:
        return None
    print(f"\nDetectors beside {report['peer']}, 4,000 signs (seconds: least, median)")
    for scope in ("given features", "end to end"):
        for name, times in report[scope].items():
            own, peer = times["own"], times["peer"]
            print(
                f"{times['own / peer']['median']:10.2f}  own / peer: {name}, {scope}; "
                f"own {own['min']:.4f}, {own['median']:.4f}; "
                f"peer {peer['min']:.4f}, {peer['median']:.4f}"
            )
    for name, (found, false_alarms) in report["found, false alarms"].items():
        print(f"{found:10.3f}  of the poison, {false_alarms:.3f} of the rest: {name}")
    for name, share in report["agreement"].items():
        print(f"{share:10.4f}  of the flags agree: {name}")
    return report


def notebooks() -> list[dict]:
    """Run every lesson and every lab's solution as CI does."""
    paths = sorted([*ROOT.glob("course/*/*.ipynb"), *ROOT.glob("solutions/*/*.ipynb")])
    print(f"\nRunning {len(paths)} notebooks ...")
    runs = [execution.run(path) for path in paths]
    print(execution.table(runs))
    return execution.summary(runs)


def main() -> int:
    """Measure everything and write the report."""
    sys.stdout.reconfigure(line_buffering=True)
    BUILD.mkdir(exist_ok=True)
    report: dict = {"machine": machine()}
    print(", ".join(f"{k} {v}" for k, v in report["machine"].items()), end="\n\n")
    report["images"] = images()
    report["training"] = standard_training()
    report["hardening"] = hardening()
    report["detectors"] = detectors()
    report["attacks"] = attacks()
    report["serving"] = serving()
    report["hooks"] = hooks()
    report["notebooks"] = notebooks()
    report["grading"] = compare()
    path = BUILD / "bench.json"
    path.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print(f"\nWritten to {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
