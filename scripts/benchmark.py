"""Side by side with the peers: scatter, bias, coverage, failures and speed on one simulated suite.

The suites, the adapters of the peers and the scorer come from a benchmark folder (GalSim simulations with
Cramer-Rao bounds; its README says how to make the suites and the peers' environments). Every tool fits the
same galaxies, from the same starting values, one after the other on one core, and the same scorer judges them
all.

    python scripts/benchmark.py ../shared/bench --peers imfit astrophot --n 100
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

__all__ = ["main"]

PARAMETERS = ("x0", "y0", "mag", "re", "n", "q", "pa")
BINS = ("20-50", "50-200", "200-2000")


def main() -> int:
    """Run the adapters and print one Markdown table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bench", type=Path, help="the benchmark folder")
    parser.add_argument("--suite", default="sersic128")
    parser.add_argument(
        "--peers", nargs="*", default=["imfit"], help="each runs from $BENCH_HOME/venv/<peer>"
    )
    parser.add_argument(
        "--n", type=int, default=100, help="galaxies for the peers (autogal fits the whole suite)"
    )
    given = parser.parse_args()
    home = Path(os.environ.get("BENCH_HOME", Path.home() / ".cache/galaxy-bench"))
    with tempfile.TemporaryDirectory() as folder:
        bench = Path(shutil.copytree(given.bench, Path(folder) / "bench"))
        environment = {**os.environ, "BENCH_OUT": folder, "OMP_NUM_THREADS": "1"}
        scorer = home / "venv/sim/bin/python"
        rows = []
        for tool in ("autogal", *given.peers):
            python = sys.executable if tool == "autogal" else home / f"venv/{tool}/bin/python"
            command = [
                python,
                f"peer_{tool}.py",
                given.suite,
                *([] if tool == "autogal" else ["--n", str(given.n)]),
            ]
            if tool != "petrofit":
                command += ["--threads", "1"]
            printed = _run(command, bench, environment)
            speed = float(re.search(r"= ([\d.]+)/s", printed).group(1))
            _run([scorer, "score.py", given.suite, tool], bench, environment)
            score = json.loads((bench / f"results/{given.suite}_{tool}.json").read_text())
            rows.append((tool, speed, score))
        print(table(rows))
    return 0


def table(rows: list[tuple[str, float, dict]]) -> str:
    """Markdown: one line a tool and S/N bin."""
    bounded = "crlb_ratio" in rows[0][2]["bins"]["all"]
    head = (
        "scatter / Cramer-Rao bound: x y mag r_eff n q pa | bias / bound | inside 1 sigma, %"
        if bounded
        else "bias and scatter: " + ", ".join(rows[0][2]["bins"]["all"]["bias"])
    )
    lines = [f"| tool | S/N | N | failed % | {head} | galaxies/s |", "|" + "---|" * (6 + head.count("|"))]
    for tool, speed, score in rows:
        for name in BINS:
            if name in score["bins"]:
                found = score["bins"][name]
                cells = [
                    tool,
                    name,
                    found["N"],
                    f"{100 * found['failed']:.1f}",
                    *(_bounded(found) if bounded else _plain(found)),
                    f"{speed:.3g}",
                ]
                lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


def _bounded(found: dict) -> list[str]:
    ratio = " ".join(f"{found['crlb_ratio'][p]:.2f}" for p in PARAMETERS)
    bias = " ".join(f"{found['bias_over_crlb'][p]:+.2f}" for p in PARAMETERS)
    inside = " ".join(
        f"{100 * found['calib'][p]['frac1']:.0f}" if p in found.get("calib", {}) else "-" for p in PARAMETERS
    )
    return [ratio, bias, inside]


def _plain(found: dict) -> list[str]:
    return [", ".join(f"{found['bias'][k]:+.2g} {found['scatter'][k]:.2g}" for k in found["bias"])]


def _run(command: list, folder: Path, environment: dict[str, str]) -> str:
    done = subprocess.run(
        [str(word) for word in command], cwd=folder, env=environment, capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))} failed:\n{done.stderr[-2000:]}")
    return done.stdout


if __name__ == "__main__":
    raise SystemExit(main())
