"""The API as it answers against src/submission/openapi.yaml.

    openapi_test.py OPENAPI.yaml SUBMISSION_TEST

Runs the API's tests with POSTRING_API_SAMPLES set, so that they write down every route and every
answer; then every route is documented, every documented one is there, and every answer has a
documented status and fits its schema.
"""

import json
import os
import subprocess
import sys
import tempfile

import jsonschema  # Debian's python3-jsonschema
import yaml  # Debian's python3-yaml

METHODS = ("get", "post", "put", "patch", "delete")


def resolve(document, node):
    while "$ref" in node:
        target = document
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        node = target
    return node


def operation_for(document, method, path):
    """The documented operation a request belongs to, and its pattern."""
    parts = path.split("?")[0].split("/")
    for pattern, entry in document["paths"].items():
        wanted = pattern.split("/")
        if len(wanted) != len(parts):
            continue
        if all(w == p or w.startswith("{") for w, p in zip(wanted, parts)):
            return pattern, entry.get(method.lower().replace("head", "get"))
    return None, None


def check_answer(document, sample):
    """What is wrong with an answer; nothing where it is as documented."""
    method, path = sample["request"].split(" ", 1)
    status = str(sample["status"])
    pattern, operation = operation_for(document, method, path)
    if operation is None:
        return None if status in ("404", "405") else f"{method} {path} is not documented"
    responses = operation["responses"]
    response = resolve(document, responses.get(status, responses["default"]))
    if status not in responses and int(status) < 400:
        return f"{method} {pattern} answers {status}, which is not documented"
    kind = sample["content_type"].split(";")[0]
    if kind not in response["content"]:
        return f"{method} {pattern} {status} is {kind}, documented is {list(response['content'])}"
    if not kind.endswith("json"):
        return None
    schema = dict(response["content"][kind]["schema"])
    schema["components"] = document["components"]
    validator = jsonschema.Draft202012Validator(schema)
    errors = [f"{'/'.join(map(str, error.path))}: {error.message}"
              for error in validator.iter_errors(json.loads(sample["body"]))]
    return f"{method} {pattern} {status}: {errors}" if errors else None


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        document = yaml.safe_load(file)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "samples")
        run = subprocess.run([sys.argv[2], "--gtest_filter=ApiTest.*"], stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, check=False,
                             env={**os.environ, "POSTRING_API_SAMPLES": path})
        if run.returncode != 0:
            sys.exit(run.stdout.decode(errors="replace"))
        with open(path, encoding="utf-8") as file:
            samples = [json.loads(line) for line in file]
    wrong = []
    routes = {sample["route"] for sample in samples if "route" in sample}
    documented = {f"{method.upper()} {path}" for path, entry in document["paths"].items()
                  for method in METHODS if method in entry}
    wrong += [f"{route} is not documented" for route in sorted(routes - documented)]
    wrong += [f"{route} is documented and not there" for route in sorted(documented - routes)]
    answers = [sample for sample in samples if "request" in sample]
    wrong += [message for sample in answers if (message := check_answer(document, sample))]
    good = set()
    for sample in answers:
        if sample["status"] < 300:
            method, path = sample["request"].split(" ", 1)
            good.add(f"{method} {operation_for(document, method, path)[0]}")
    wrong += [f"{route} never answered well" for route in sorted(documented - good)]
    for message in sorted(set(wrong)):
        print(message)
    print(f"{len(routes)} routes, {len(answers)} answers, {len(set(wrong))} wrong")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
