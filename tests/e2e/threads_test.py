"""The engine under the thread sanitiser, with several workers: nothing is shared but the mailboxes.

    threads_test.py POSTRING MXSIM

POSTRING_TSAN names a daemon that was built with -Db_sanitize=thread (tools/test builds it); without
it the test is skipped. Other files' cases run against it, and it must not report a race in any.
"""
import os
import pathlib
import subprocess
import sys
import tempfile

FILES = ["workers_test.py", "whole_path_test.py", "campaign_control_test.py"]
SKIPPED = 77


def main():
    daemon, mxsim = os.environ.get("POSTRING_TSAN"), sys.argv[2]
    if not daemon:
        print("not run threads: POSTRING_TSAN names no daemon")
        return SKIPPED
    failed = False
    with tempfile.TemporaryDirectory(prefix="postring-tsan-") as folder:
        reports = pathlib.Path(folder) / "race"
        environment = {**os.environ, "POSTRING_TEST_WORKERS": "3",
                       "TSAN_OPTIONS": f"log_path={reports}:exitcode=66"}
        for name in FILES:
            ran = subprocess.run([sys.executable, pathlib.Path(__file__).with_name(name), daemon, mxsim],
                                 env=environment)
            failed = failed or ran.returncode != 0
        races = sorted(pathlib.Path(folder).glob("race.*"))
        for race in races:
            print(race.read_text(errors="replace")[:8000])
        if races:
            print(f"not ok no_races: {len(races)} daemons reported one")
        else:
            print("ok no_races")
    return 1 if failed or races else 0


sys.exit(main())
