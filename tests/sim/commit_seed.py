"""Runs the simulator with one seed more than it is told: the commit's own. So each commit runs a seed that
no other has run, and whoever has the commit can run it again.

    commit_seed.py SIMULATE [ARGUMENT]...
"""
import pathlib
import subprocess
import sys


def commit():
    """The commit that is checked out; nothing where nobody can say."""
    folder = pathlib.Path(__file__).resolve().parent
    try:
        asked = subprocess.run(["git", "-c", "safe.directory=*", "-C", folder, "rev-parse", "HEAD"],
                               capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return asked.stdout.strip()


def main():
    seed = commit()
    if seed is None:
        print("not run commit_seed: no commit is known here", flush=True)
    else:
        print(f"seed of commit {seed}", flush=True)
    more = [] if seed is None else ["--seed", seed]
    sys.exit(subprocess.run(sys.argv[1:] + more, check=False).returncode)


main()
