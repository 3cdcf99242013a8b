"""Events against src/reporting/event.schema.json: what the program writes fits, what is wrong does not.

    schema_test.py SCHEMA.json REPORTING_TEST
"""
import json
import os
import subprocess
import sys
import tempfile

import jsonschema  # Debian's python3-jsonschema


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        schema = json.load(file)
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    failed = 0

    def expect(name, event, good):
        nonlocal failed
        errors = [error.message for error in validator.iter_errors(event)]
        if (not errors) == good:
            print(f"ok {name}")
        else:
            failed += 1
            print(f"not ok {name}: {errors or 'was accepted'}")

    with tempfile.TemporaryDirectory() as folder:
        samples = os.path.join(folder, "samples")
        environment = dict(os.environ, POSTRING_EVENT_SAMPLES=samples)
        environment.pop("GTEST_OUTPUT", None)
        subprocess.run([sys.argv[2], "--gtest_filter=Event.SamplesForTheSchema"], check=True,
                       env=environment, stdout=subprocess.DEVNULL)
        with open(samples, encoding="utf-8") as file:
            events = [json.loads(line) for line in file]
    for number, event in enumerate(events):
        expect(f"schema.sample_{number}_{event['type']}", event, True)
        if len(event.get("reply", "").encode()) > 512:
            failed += 1
            print(f"not ok schema.reply_{number}: longer than 512 bytes")

    whole = events[0]
    for key in ("id", "type", "logged", "tenant", "queued", "recipient", "address", "attempt", "stage"):
        expect(f"schema.needs_{key}", {k: v for k, v in whole.items() if k != key}, False)
    expect("schema.unknown_key", dict(whole, other=1), False)
    expect("schema.bad_time", dict(whole, logged="2026-03-01T09:30:00Z"), False)
    expect("schema.id_as_number", dict(whole, recipient=7), False)
    expect("schema.next_attempt_of_delivered", dict(whole, next_attempt=whole["logged"]), False)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
