"""Counts what a run of the tests really did, shows why the failures failed, and says it in one line.

    tally.py TESTLOG.json RESULTS_DIR EXIT_STATUS_OF_MESON

GoogleTest programs are counted by the XML files they left in RESULTS_DIR, other tests by their lines
`ok NAME` and `not ok NAME: WHY`, or as one where they print none. `not run NAME: WHY` is neither, and said
again at the end. A test that failed as a whole although each of its cases passed (a crash, a leak, a time
limit) counts as one failure. Exits 0 only when something ran, nothing failed, and meson says so too.
"""
import json
import os
import pathlib
import re
import sys
import xml.etree.ElementTree as ElementTree

GOOD = {"OK", "EXPECTEDFAIL"}
SKIPPED = "SKIP"
TAIL_LINES = 80


def count_xml(path):
    """(passed, failed) of one GoogleTest result file; None where the file cannot be read."""
    try:
        root = ElementTree.parse(path).getroot()
    except (OSError, ElementTree.ParseError):
        return None
    passed = failed = 0
    for case in root.iter("testcase"):
        if case.get("status") == "notrun" or case.find("skipped") is not None:
            continue
        if case.find("failure") is not None:
            failed += 1
        else:
            passed += 1
    return passed, failed


def count_lines(text):
    """(passed, failed) by the lines `ok NAME` and `not ok NAME: WHY`."""
    failed = len(re.findall(r"^not ok \S", text, re.MULTILINE))
    return len(re.findall(r"^ok (?!\d+$)\S", text, re.MULTILINE)), failed


def not_run(test):
    """What a test says that this machine cannot run."""
    return re.findall(r"^not run \S.*", test.get("stdout", ""), re.MULTILINE)


def count_test(test, results):
    """(passed, failed) of one entry of meson's log."""
    counted = None
    for word in test.get("command", []):
        path = results / (os.path.basename(word) + ".xml")
        if path.exists():
            counted = count_xml(path)
            break
    if counted is None:
        counted = count_lines(test.get("stdout", ""))
    passed, failed = counted
    good = test["result"] in GOOD
    if test["result"] == SKIPPED or (good and not_run(test)):
        return passed, failed
    if good and passed == 0 and failed == 0:
        passed = 1
    if not good and failed == 0:
        failed = 1
    return passed, failed


def show(test):
    print(f"\n==== {test['name']}: {test['result']} after {test.get('duration', 0):.1f} s")
    for stream in ("stdout", "stderr"):
        lines = test.get(stream, "").splitlines()
        interesting = [line for line in lines if re.search(r"FAILED|Failure|^not ok|ERROR: ", line)]
        shown = lines[-TAIL_LINES:]
        if not lines:
            continue
        print(f"---- {stream}")
        for line in interesting[:40]:
            if line not in shown:
                print(line)
        print("\n".join(shown))


def main():
    log, results, status = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), int(sys.argv[3])
    tests = []
    if log.exists():
        tests = [json.loads(line) for line in log.read_text(errors="replace").splitlines() if line]
    passed = failed = 0
    for test in tests:
        good, bad = count_test(test, results)
        passed += good
        failed += bad
        if bad:
            show(test)
    if status != 0 and failed == 0:
        failed = 1
        print(f"meson test ended with status {status}")
    if passed == failed == 0:
        failed = 1
        print("no test ran")
    for test in tests:
        for line in not_run(test):
            print(line)
    print(f"{passed} passed, {failed} failed")
    return 0 if failed == 0 else 1


sys.exit(main())
