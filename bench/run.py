"""The measurements behind bench/README.md; started by tools/bench.

    run.py POSTRING MXSIM WIRE_FLOOR [--only PART]... [--json FILE] [--scale F] [--list]

Each part prints named figures, each with what is aimed at and whether it is met. A part that cannot be
measured here says why and fails the run; the others still run. --json keeps what there is after each part.
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import time
import traceback

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import lab  # noqa: E402
import harness  # noqa: E402
import flow_parts  # noqa: E402, F401
import queue_parts  # noqa: E402, F401
import peer_parts  # noqa: E402, F401
import latency_parts  # noqa: E402, F401

# What says most comes first, what takes longest last.
ORDER = ("wire", "submit", "spool", "events", "transactional", "scale", "queue", "recovery", "pause",
         "find", "drain", "postfix", "connections", "internet", "latency")


def one_line(text):
    return " ".join(text.split())


def measure(name, disk):
    """True when the part was measured."""
    print(f"{name}: {one_line(lab.PARTS[name].__doc__)}", flush=True)
    began = time.monotonic()
    try:
        lab.PARTS[name](disk)
        return True
    except (harness.Failed, OSError, KeyError, ValueError, subprocess.SubprocessError) as error:
        if not isinstance(error, harness.Failed):
            traceback.print_exc(file=sys.stdout)
        print(f"  {name} was not measured: {one_line(str(error))[:2000]}")
        return False
    finally:
        print(f"  ({time.monotonic() - began:.0f} s)", flush=True)


def keep(file):
    if file:
        document = {**lab.results, "verdicts": {
            name: lab.verdict(name, value) for name, value in lab.results.items()
            if name in lab.TARGETS}}
        pathlib.Path(file).write_text(json.dumps(document, indent=2) + "\n")


def main():
    parser = argparse.ArgumentParser(description=one_line(__doc__.split("\n")[0]))
    for name in ("postring", "mxsim", "wire_floor"):
        parser.add_argument(name)
    parser.add_argument("--only", action="append", choices=ORDER)
    parser.add_argument("--json")
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--list", action="store_true", help="names the parts and ends")
    options = parser.parse_args()
    if options.list:
        for name in ORDER:
            print(f"{name:<16}{one_line(lab.PARTS[name].__doc__)}")
        return 0
    lab.Settings.scale, lab.Settings.wire_floor = options.scale, options.wire_floor
    harness.use_programs(options.postring, options.mxsim)
    # The daemon's CPU is its own.
    os.sched_setaffinity(0, {lab.SINK_CPU})
    disk = lab.SpoolDisk()
    failed = []
    try:
        lab.results["machine"] = lab.describe_machine(disk)
        lab.results["scale"] = options.scale
        for name in options.only or ORDER:
            if not measure(name, disk):
                failed.append(name)
            keep(options.json)
    finally:
        disk.close()
    missed = [name for name, value in lab.results.items() if lab.verdict(name, value) == "MISSED"]
    met = [name for name, value in lab.results.items() if lab.verdict(name, value) == "met"]
    print(f"{len(met)} met, {len(missed)} missed, {len(failed)} not measured"
          + (f": {', '.join(failed)}" if failed else ""))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
