"""Runs the simulator as it is told, and once more with the commit's own seed, in swarm mode. So each commit
runs a seed that no other has run, and whoever has the commit can run it again.

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
    status = subprocess.run(sys.argv[1:], check=False).returncode
    if seed is not None:
        own = [sys.argv[1], "--seed", seed, "--again", "--log", "short"]
        status = subprocess.run(own, check=False).returncode or status
    sys.exit(status)


main()
