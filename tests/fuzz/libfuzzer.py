"""A fuzz target with libFuzzer, which learns from coverage, for half a minute: each run goes other ways.

    libfuzzer.py TARGET

POSTRING_FUZZ names the folder that `tools/fuzz --build` has built (tools/test does); without it the test is
skipped.
"""
import os
import pathlib
import subprocess
import sys

SECONDS = 30
SKIPPED = 77


def main():
    if not os.environ.get("POSTRING_FUZZ"):
        print(f"not run {sys.argv[1]}_libfuzzer: POSTRING_FUZZ names no targets")
        return SKIPPED
    tool = pathlib.Path(__file__).resolve().parents[2] / "tools" / "fuzz"
    return subprocess.run([tool, "--built", "--for", str(SECONDS), sys.argv[1]], check=False).returncode


sys.exit(main())
