"""Every documented path, asked of a live daemon with mail in every state, answers as openapi.yaml says."""
import importlib.util
import json
import pathlib

import yaml  # Debian's python3-yaml

from harness import World, case, check, equal, main, people, to_ndjson, wait_until

ROOT = pathlib.Path(__file__).resolve().parents[2]
INTERNET = """
[listen]
keep_bodies = true
[[domain]]
pattern = "d{0..9}.example"
[[domain]]
pattern = "no.example"
rcpt_5xx = 1.0
rcpt_5xx_text = "550 5.1.1 Nobody of that name"
[[domain]]
pattern = "later.example"
rcpt_4xx = 1.0
rcpt_4xx_text = "451 4.2.0 Later"
"""


def load_checker():
    spec = importlib.util.spec_from_file_location(
        "openapi_test", ROOT / "tests" / "submission" / "openapi_test.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Contract:
    """Asks, and compares every answer with the documentation."""

    def __init__(self, world):
        self.api = world.api(scope="submit,read,admin")
        self.checker = load_checker()
        self.document = yaml.safe_load((ROOT / "src/submission/openapi.yaml").read_text())
        self.good = set()

    def ask(self, method, path, body=None, headers=None, status=None):
        if method == "POST" and body is None:
            body = ""
        if isinstance(body, dict):
            body, headers = json.dumps(body), {"Content-Type": "application/json", **(headers or {})}
        got, answer_headers, answer = self.api.raw(method, path, body, headers)
        kind = answer_headers.get("Content-Type", "")
        sample = {"request": f"{method} {path}", "status": got, "content_type": kind,
                  "body": json.dumps(answer) if "json" in kind else answer}
        wrong = self.checker.check_answer(self.document, sample)
        check(wrong is None, wrong)
        if status is not None:
            equal(got, status, f"{method} {path}: {answer}")
        if got < 300:
            pattern, _ = self.checker.operation_for(self.document, method, path)
            self.good.add(f"{method} {pattern}")
        return answer

    def check_all_asked(self):
        documented = {f"{method.upper()} {path}" for path, entry in self.document["paths"].items()
                      for method in ("get", "post", "delete") if method in entry}
        equal(sorted(documented - self.good), [], "what never answered well")


NDJSON = {"Content-Type": "application/x-ndjson"}


@case
def every_path_answers_as_documented():
    with World(INTERNET) as world:
        contract = Contract(world)
        ask = contract.ask
        made = ask("POST", "/v1/campaigns", {
            "name": "contract", "unsubscribe": "none", "max_age": "2d",
            "content": {"subject": "Hi {{name}}", "from": "a@sender.example", "text": "{{name}}"}},
            status=201)
        path = f"/v1/campaigns/{made['id']}"
        extra = [{"address": "x@no.example"}, {"address": "y@later.example", "meta": "m"},
                 {"address": "no address"}, {"address": "x@no.example"}]
        batch = ask("POST", path + "/recipients", to_ndjson(people(20) + extra), NDJSON, status=201)
        equal((batch["accepted"], batch["duplicate"], batch["rejected"]), (22, 1, 1), "the counts")
        for command in ("start", "pause", "resume"):
            ask("POST", f"{path}/{command}", status=200)

        def settled():
            counts = ask("GET", path, status=200)["counts"]
            return counts["delivered"] == 20 and counts["bounced"] == 1 and counts["deferrals"] > 0

        wait_until(settled, "the campaign to be delivered, bounced and deferred")
        for state in ("waiting", "in_flight", "delivered", "bounced", "expired", "cancelled"):
            ask("GET", f"{path}/recipients?state={state}&limit=5", status=200)
        page = ask("GET", path + "/recipients?limit=7", status=200)
        check(len(page["recipients"]) <= 7, "a page longer than its limit")
        for address in ("y@later.example", "x@no.example", "user1@d1.example"):
            found = ask("GET", f"/v1/recipients/{address}", status=200)["recipients"]
            equal(len(found), 1, f"recipients of {address}")
        ask("GET", f"/v1/batches/{batch['batch']}", status=200)
        ask("GET", "/v1/campaigns?limit=1", status=200)
        ask("POST", "/v1/messages", {
            "to": ["one@d1.example", {"address": "two@d2.example", "ref": "r"}],
            "content": {"subject": "s", "from": "a@sender.example", "text": "t"}}, status=202)
        stored = ask("GET", path)["content"]
        ask("POST", "/v1/messages", {"to": "three@d3.example", "data": {"name": "N"},
                                     "stored_content": stored}, status=202)
        ask("POST", path + "/close", status=200)
        ask("POST", path + "/cancel", status=200)
        ask("DELETE", "/v1/recipients/user1%40d1.example", status=200)
        ask("GET", path + "/recipients?state=delivered", status=200)
        events = ask("GET", "/v1/events?limit=10", status=200)
        ask("GET", f"/v1/events?after={events['next']}&campaign={made['id']}&wait=1s", status=200)
        for probe in ("/healthz", "/readyz", "/metrics"):
            ask("GET", probe, status=200)
        contract.check_all_asked()


@case
def refusals_are_as_documented():
    with World(INTERNET) as world:
        ask = Contract(world).ask
        nobody = "/v1/campaigns/00000000000000ff"
        for method, path, body, headers, status in (
                ("GET", nobody, None, None, 404),
                ("POST", nobody + "/recipients", "", NDJSON, 404),
                ("POST", nobody + "/start", None, None, 404),
                ("GET", "/v1/batches/00000000000000ff", None, None, 404),
                ("GET", "/v1/recipients/nobody", None, None, 422),
                ("GET", "/v1/events?after=nonsense", None, None, None),
                ("GET", "/v1/events?wait=1h", None, None, 422),
                ("GET", "/v1/campaigns?colour=red", None, None, 422),
                ("POST", "/v1/campaigns", {"name": "x"}, None, 422),
                ("POST", "/v1/campaigns", "{", {"Content-Type": "application/json"}, 422),
                ("POST", "/v1/campaigns", "a=b", {"Content-Type": "text/plain"}, 415),
                ("POST", "/v1/messages", {"to": "a@d1.example"}, None, 422),
                ("DELETE", "/v1/campaigns", None, None, 405)):
            ask(method, path, body, headers, status)
        made = ask("POST", "/v1/campaigns", {
            "name": "x", "class": "standard",
            "content": {"subject": "s", "from": "a@sender.example", "text": "t"}}, status=201)
        path = f"/v1/campaigns/{made['id']}"
        ask("POST", path + "/recipients", "", NDJSON, 422)
        ask("POST", path + "/recipients", "x", {"Content-Type": "application/json"}, 415)
        ask("POST", path + "/recipients", "x", {**NDJSON, "Content-Encoding": "gzip"}, 400)
        ask("POST", path + "/cancel", status=200)
        ask("POST", path + "/recipients", to_ndjson(people(1)), NDJSON, 409)
        ask("POST", path + "/start", status=409)


main()
