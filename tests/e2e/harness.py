"""What the end-to-end tests share: the simulated internet, the daemon, its API, and the checks.

    from harness import World, case, main

    @case
    def mail_arrives():
        with World(MXSIM_CONFIG) as world:
            campaign = world.campaign()
            campaign.submit(addresses)
            campaign.start(); campaign.close()
            campaign.wait_complete()
            world.check_everything([campaign])

    main()

A test file is run with the two programs as arguments. It prints `ok NAME` or `not ok NAME: WHY` for each
case and `ok N` at the end. Nothing waits for a fixed time: everything waits for a condition, with a
deadline so generous that only a fault reaches it; a failed case shows the tails of both programs' logs.
"""
import contextlib
import ctypes
import gzip
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
import urllib.parse

DEADLINE_S = float(os.environ.get("POSTRING_TEST_DEADLINE_S", "120"))
LOG_TAIL = 60


class Failed(AssertionError):
    """What a case ends with when something is not as it must be."""


class NotRun(Exception):
    """What a case ends with where this machine cannot run it: it has neither passed nor failed."""


def check(condition, why):
    if not condition:
        raise Failed(why)


def equal(got, expected, what):
    if got != expected:
        raise Failed(f"{what}: expected {short(expected)}, got {short(got)}")


def short(value):
    text = repr(value)
    return text if len(text) <= 600 else text[:600] + "..."


def wait_until(condition, what, deadline_s=None, pause_s=0.05):
    """Waits for a true result of condition() and gives it back; says what it waited for otherwise.

    `what` may be a function, asked at the end for the state of affairs."""
    end = time.monotonic() + (deadline_s or DEADLINE_S)
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > end:
            raise Failed(f"waited in vain for {what() if callable(what) else what}")
        time.sleep(pause_s)


# ---- chance, as mxsim decides it (tools/mxsim/choice.h) ---------------------------------------


def draw(what, whom, attempt):
    mask = (1 << 64) - 1
    h = 0xCBF29CE484222325
    for byte in f"{what}\0{whom}\0{attempt}".encode():
        h = ((h ^ byte) * 0x100000001B3) & mask
    h = ((h ^ (h >> 33)) * 0xFF51AFD7ED558CCD) & mask
    h = ((h ^ (h >> 33)) * 0xC4CEB9FE1A85EC53) & mask
    return h ^ (h >> 33)


def chosen(share, what, whom, attempt, times=0):
    if times and attempt >= times:
        return False
    return draw(what, whom, attempt) % 10000 < round(share * 10000)


# ---- processes ---------------------------------------------------------------------------------


_libc = ctypes.CDLL(None)


def die_with_parent():
    """In a child before it begins: a test that is killed leaves nothing running."""
    _libc.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


class Process:
    """A child with its output in a file. Ended by its own pid, always. Made by the main thread only."""

    def __init__(self, name, command, log, env=None, preexec_fn=None):
        self.name, self.log = name, pathlib.Path(log)
        self.output = open(self.log, "ab")
        self.child = subprocess.Popen(
            [str(word) for word in command], stdin=subprocess.DEVNULL, stdout=self.output,
            stderr=self.output, env={**os.environ, **(env or {})},
            preexec_fn=lambda: (die_with_parent(), preexec_fn and preexec_fn()))

    @property
    def pid(self):
        return self.child.pid

    def alive(self):
        return self.child.poll() is None

    def signal(self, number):
        if self.alive():
            self.child.send_signal(number)

    def wait(self, deadline_s=None):
        try:
            return self.child.wait(deadline_s or DEADLINE_S)
        except subprocess.TimeoutExpired:
            raise Failed(f"{self.name} (pid {self.pid}) did not end") from None

    def kill(self):
        self.signal(signal.SIGKILL)
        self.child.wait()
        self.output.close()

    def tail(self, lines=LOG_TAIL):
        try:
            text = self.log.read_text(errors="replace")
        except OSError as error:
            return str(error)
        return "\n".join(text.splitlines()[-lines:])


class Mxsim:
    """The simulated internet; see tools/mxsim/README.md for its configuration and commands."""

    def __init__(self, program, folder, config, *flags):
        self.folder = pathlib.Path(folder)
        file = self.folder / "mxsim.toml"
        file.write_text(config)
        log = self.folder / "mxsim.log"
        self.process = Process("mxsim", [program, "--config", file, *flags], log)

        def ready():
            check(self.process.alive(), f"mxsim ended: {self.process.tail()}")
            lines = [l for l in log.read_text(errors="replace").splitlines()
                     if l.startswith("ready ")]
            return lines[0] if lines else None

        line = wait_until(ready, "mxsim to be ready")
        ports = dict(word.split("=") for word in line.split()[1:])
        self.dns, self.smtp, self.control = (int(ports[n]) for n in ("dns", "smtp", "control"))
        self.connection = None

    def ask(self, line):
        if self.connection is None:
            self.connection = socket.create_connection(("127.0.0.1", self.control), DEADLINE_S)
            self.file = self.connection.makefile("rwb")
        self.file.write(line.encode() + b"\n")
        self.file.flush()
        answer = self.file.readline()
        check(answer, f"mxsim gave no answer to '{line}'")
        parsed = json.loads(answer.decode(errors="replace"))
        check("error" not in parsed, f"mxsim: {line}: {parsed.get('error')}")
        return parsed

    def stats(self):
        return self.ask("stats")

    def recipient(self, address):
        return self.ask(f"recipient {address}")

    def body(self, address):
        return self.ask(f"body {address}")["body"]

    def hosts(self):
        return self.ask("hosts")["hosts"]

    def set(self, pattern, key, value):
        self.ask(f"set {pattern} {key} {json.dumps(value)}")

    def reset(self):
        self.ask("reset")

    def ledger(self):
        """{recipient: entry} of everybody that was tried."""
        file = self.folder / "ledger.ndjson"
        self.ask(f"dump {file}")
        with open(file, encoding="utf-8", errors="replace") as lines:
            return {entry["recipient"]: entry for entry in map(json.loads, lines)}

    def close(self):
        if self.connection:
            self.connection.close()
        self.process.kill()


class Daemon:
    """`postring serve`, its configuration and its lives."""

    def __init__(self, program, folder, config, host, port):
        self.program, self.folder = program, pathlib.Path(folder)
        self.config_file = self.folder / "postring.toml"
        self.host, self.port = host, port
        self.process = None
        self.lives = 0
        self.configure(config)

    def configure(self, config):
        self.config_file.write_text(config)

    @property
    def socket(self):
        return self.folder / "control.sock"

    def start(self, wait=True, wrapper=(), env=None, preexec_fn=None):
        self.lives += 1
        log = self.folder / f"postring.{self.lives}.log"
        self.process = Process(
            "postring", [*wrapper, self.program, "serve", "--config", self.config_file], log,
            env=env, preexec_fn=preexec_fn)
        if wait:
            self.wait_ready()

    def wait_ready(self):
        def ready():
            if not self.process.alive():
                raise Failed(f"postring ended with {self.process.child.returncode} at its start:\n"
                             + self.process.tail())
            with contextlib.suppress(OSError, http.client.HTTPException):
                connection = http.client.HTTPConnection(self.host, self.port, timeout=10)
                connection.request("GET", "/readyz")
                status = connection.getresponse().status
                connection.close()
                return status == 200
            return False

        wait_until(ready, lambda: f"postring to be ready; its log:\n{self.process.tail()}")

    def kill(self):
        """As `kill -9` does it; returns when the process is gone."""
        if self.process:
            self.process.kill()

    def stop(self):
        """SIGTERM; it must end by itself and with 0."""
        self.process.signal(signal.SIGTERM)
        code = self.process.wait()
        equal(code, 0, f"the exit status after SIGTERM; the log:\n{self.process.tail()}\n")
        self.process.output.close()

    def command(self, *words, json_output=True, input=None, check_status=True):
        """Runs `postring WORDS`; returns its JSON, or its text with json_output=False."""
        command = [self.program, *words]
        if json_output:
            command.append("--json")
        done = subprocess.run([str(w) for w in command], input=input, capture_output=True,
                              text=True, timeout=DEADLINE_S)
        if check_status and done.returncode != 0:
            raise Failed(f"postring {' '.join(map(str, words))} ended with {done.returncode}: "
                         f"{done.stdout}{done.stderr}")
        if not json_output:
            return done.stdout
        try:
            return json.loads(done.stdout)
        except json.JSONDecodeError:
            raise Failed(f"postring {' '.join(map(str, words))} gave no JSON: {done.stdout}"
                         f"{done.stderr}") from None


# ---- the API -----------------------------------------------------------------------------------


class ApiError(Failed):
    def __init__(self, method, path, status, body, headers):
        super().__init__(f"{method} {path}: {status} {short(body)}")
        self.status, self.body, self.headers = status, body, headers


class Api:
    """One key's view of the API. A call opens a connection of its own, so it may be used in threads."""

    def __init__(self, host, port, key):
        self.host, self.port, self.key = host, port, key

    def raw(self, method, path, body=None, headers=None, timeout=None):
        """(status, headers, body as parsed JSON or text)."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=timeout or DEADLINE_S)
        try:
            sent = dict(headers or {})
            if self.key is not None:
                sent.setdefault("Authorization", f"Bearer {self.key}")
            connection.request(method, path, body=body, headers=sent)
            answer = connection.getresponse()
            data = answer.read()
            kind = answer.getheader("Content-Type", "")
            parsed = json.loads(data) if "json" in kind and data else data.decode(errors="replace")
            return answer.status, dict(answer.getheaders()), parsed
        finally:
            connection.close()

    def call(self, method, path, value=None, headers=None, query=None):
        """The answer of a call that must succeed."""
        if query:
            path += "?" + urllib.parse.urlencode(query)
        headers = dict(headers or {})
        body = None
        if value is not None:
            body = json.dumps(value)
            headers.setdefault("Content-Type", "application/json")
        elif method == "POST":
            body = ""
        status, got, answer = self.raw(method, path, body, headers)
        if status >= 300:
            raise ApiError(method, path, status, answer, got)
        return answer

    def insist(self, method, path, body, headers):
        """Repeats until it succeeds, as a careful client does: over lost connections and what passes."""
        last = [None]

        def attempt():
            try:
                status, got, answer = self.raw(method, path, body, headers)
            except (OSError, http.client.HTTPException) as error:
                last[0] = repr(error)
                return None
            if status < 300:
                return (answer,)
            last[0] = f"{status} {short(answer)}"
            if status == 409 or status >= 500:
                return None
            raise ApiError(method, path, status, answer, got)

        return wait_until(attempt, lambda: f"{method} {path} to succeed, last: {last[0]}")[0]

    def events(self, **query):
        """Every event there is by now, in order, read page by page."""
        return self.events_after(None, **query)[0]

    def events_after(self, cursor, **query):
        """([event], the cursor behind them): what there is by now behind the cursor."""
        events = []
        while True:
            page = self.call("GET", "/v1/events",
                             query={**query, "limit": 5000, **({"after": cursor} if cursor else {})})
            events += page["events"]
            if not page["events"]:
                return events, cursor
            check(page["next"] != cursor, "an event cursor that does not move")
            cursor = page["next"]


CONTENT = {
    "subject": "Hello {{name}}",
    "from": "Shop <news@sender.example>",
    "text": "Dear {{name}},\n\n.a line that begins with a dot\nYours, {{ref}}\n",
    "html": "<p>Dear {{name}},</p>\n<p><a href=\"https://shop.example/{{ref}}\">shop</a></p>\n",
    "unsubscribe": "https://shop.example/u/{{recipient_id}}",
    "return_path": "bounce+{{verp}}@sender.example",
}


class Campaign:
    def __init__(self, api, answer):
        self.api, self.id = api, answer["id"]
        self.path = f"/v1/campaigns/{self.id}"
        self.batches = []

    def submit(self, recipients, key=None, insist=True, packed=False, form="ndjson"):
        """Recipients: addresses, or dictionaries as the API takes them. Returns the answer."""
        body = to_ndjson(recipients) if form == "ndjson" else to_csv(recipients)
        headers = {"Content-Type": "application/x-ndjson" if form == "ndjson" else "text/csv"}
        if packed:
            body = gzip.compress(body)
            headers["Content-Encoding"] = "gzip"
        if key:
            headers["Idempotency-Key"] = key
        path = self.path + "/recipients"
        if insist:
            answer = self.api.insist("POST", path, body, headers)
        else:
            status, got, answer = self.api.raw("POST", path, body, headers)
            if status >= 300:
                raise ApiError("POST", path, status, answer, got)
        self.batches.append(answer)
        return answer

    def command(self, name):
        return self.api.call("POST", f"{self.path}/{name}")

    def start(self):
        return self.command("start")

    def close(self):
        return self.command("close")

    def pause(self):
        return self.command("pause")

    def resume(self):
        return self.command("resume")

    def cancel(self):
        return self.command("cancel")

    def show(self):
        return self.api.call("GET", self.path)

    def counts(self):
        """The counts, checked to add up."""
        counts = self.show()["counts"]
        check_sum(counts, f"campaign {self.id}")
        return counts

    def wait_complete(self, deadline_s=None):
        """Waits for the state `complete`, checking the sum all the while."""
        state = {}

        def complete():
            state.update(self.show())
            check_sum(state["counts"], f"campaign {self.id}")
            return state["state"] == "complete"

        wait_until(complete, lambda: f"campaign {self.id} to be complete: {short(state)}",
                   deadline_s, 0.1)
        return state

    def events(self, **query):
        """Its events; without a query, those of every recipient that has ended by now are among
        them (they follow their outcomes by a commit)."""
        events = []

        def told():
            ended = sum(self.counts()[part] for part in FINAL)
            events[:] = self.api.events(campaign=self.id, **query)
            return query or len({e["recipient"] for e in events if e["type"] in FINAL}) >= ended

        wait_until(told, "an event for every recipient that ended")
        check_schema(events)
        return events


FINAL = ("delivered", "bounced", "expired", "cancelled")
SCHEMA = pathlib.Path(__file__).resolve().parents[2] / "src" / "reporting" / "event.schema.json"
SCHEMA_SAMPLE = 300


def check_schema(events):
    """Events are what src/reporting/event.schema.json says; of many, some of each type are looked at."""
    import jsonschema  # a package of the tests; tools/quickstart does without

    validator = jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text()))
    seen = {}
    for event in events:
        seen[event["type"]] = seen.get(event["type"], 0) + 1
        if seen[event["type"]] > SCHEMA_SAMPLE:
            continue
        for error in validator.iter_errors(event):
            raise Failed(f"an event breaks the schema: {error.message} in {event}")


def check_sum(counts, whose):
    parts = ("delivered", "bounced", "expired", "cancelled", "waiting", "in_flight")
    total = sum(counts[part] for part in parts)
    check(total == counts["accepted"], f"{whose} does not add up: {counts}")


def as_recipient(recipient):
    return {"address": recipient} if isinstance(recipient, str) else recipient


def to_ndjson(recipients):
    return "".join(json.dumps(as_recipient(r)) + "\n" for r in recipients).encode()


def to_csv(recipients):
    """Columns: address, ref, and each field of `data` of the first recipient."""
    rows = [as_recipient(r) for r in recipients]
    fields = list(rows[0].get("data", {}))
    names = ("address", "ref", "meta")
    own = [name for name in names if name in rows[0]]

    def quoted(text):
        text = str(text)
        return '"' + text.replace('"', '""') + '"' if any(c in text for c in ',"\r\n') else text

    lines = [",".join(own + [f"data.{name}" if name in names else name for name in fields])]
    for row in rows:
        values = [row[name] for name in own] + [row["data"][name] for name in fields]
        lines.append(",".join(quoted(value) for value in values))
    return ("\r\n".join(lines) + "\r\n").encode()


def people(count, domain="d{}.example", domains=10, prefix="user"):
    """Recipients with data and ref, dealt over `domains` domains."""
    return [{"address": f"{prefix}{i}@{domain.format(i % domains)}", "ref": f"{prefix}-{i}",
             "data": {"name": f"Name {i}", "ref": f"{prefix}-{i}"}} for i in range(count)]


def addresses_of(recipients):
    return [as_recipient(r)["address"] for r in recipients]


# ---- the world ---------------------------------------------------------------------------------

SIMPLE_INTERNET = """
[listen]
keep_bodies = true
[[domain]]
pattern = "d{0..999}.example"
"""


class World:
    """A simulated internet, a daemon with an empty spool, and an API key, in a folder of their own.

    `settings` is TOML put into the daemon's configuration; `delivery` and so on are the bodies of its
    tables. `spool` names another folder for the spool."""

    def __init__(self, internet=SIMPLE_INTERNET, workers=None, delivery="", tables="", start=True,
                 spool=None, flags=(), divert=None, segment_size="4MiB", retry="1s", http="",
                 free_min="16MiB"):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="postring-e2e-"))
        self.failed = False
        self.mxsim = self.daemon = None
        self.keys = {}
        try:
            self.mxsim = Mxsim(programs().mxsim, self.folder, internet, *flags)
            self.spool = pathlib.Path(spool) if spool else self.folder / "spool"
            self.spool.mkdir(exist_ok=True)
            # An address of our own: nobody else's ports can be in the way.
            pid = os.getpid()
            self.host, self.port = f"127.77.{pid >> 8 & 255}.{(pid & 255) % 254 + 1}", 8025
            self.segment_size, self.retry = segment_size, retry
            self.http, self.free_min = http, free_min
            self.dns = self.name_servers()
            self.workers = workers or int(os.environ.get("POSTRING_TEST_WORKERS", "1"))
            self.delivery, self.tables, self.divert = delivery, tables, divert
            self.daemon = Daemon(programs().postring, self.folder, self.config(), self.host, self.port)
            if start:
                self.daemon.start()
        except BaseException:
            self.failed = True
            self.close()
            raise

    def name_servers(self):
        return f"""servers = ["127.0.0.1:{self.mxsim.dns}"]
allow_networks = ["127.0.0.0/8"]
timeout = "1s"
tries = 2
negative_ttl_max = "1s\""""

    def config(self):
        divert = f'[divert]\nall = "{self.divert}"\n' if self.divert else ""
        return f"""
workers = {self.workers}
hostname = "mail.sender.example"
[spool]
dir = "{self.spool}"
segment_size = "{self.segment_size}"
free_min = "{self.free_min}"
[http]
listen = ["{self.host}:{self.port}"]
{self.http}
[control]
socket = "{self.folder}/control.sock"
[dns]
{self.dns}
{divert}
[delivery]
port = {self.mxsim.smtp}
retry = ["{self.retry}"]
{self.delivery}
{self.tables}
"""

    def reconfigure(self, **changes):
        for name, value in changes.items():
            setattr(self, name, value)
        self.daemon.configure(self.config())

    def key(self, tenant="acme", scope="submit,read"):
        if (tenant, scope) not in self.keys:
            answer = self.daemon.command("key", "create", "--tenant", tenant, "--scope", scope,
                                         "--socket", self.daemon.socket)
            self.keys[tenant, scope] = answer["key"]
        return self.keys[tenant, scope]

    def api(self, tenant="acme", scope="submit,read"):
        return Api(self.host, self.port, self.key(tenant, scope))

    def campaign(self, api=None, content=None, key=None, insist=False, **more):
        content = dict(content or CONTENT)
        outside = {name: content.pop(name) for name in ("unsubscribe", "return_path")
                   if name in content}
        value = {"name": "test", "content": content, **outside, **more}
        api = api or self.api()
        headers = {"Content-Type": "application/json"}
        if key:
            headers["Idempotency-Key"] = key
        if insist:
            return Campaign(api, api.insist("POST", "/v1/campaigns", json.dumps(value), headers))
        return Campaign(api, api.call("POST", "/v1/campaigns", value, headers))

    def restart(self, how="stop"):
        getattr(self.daemon, how)()
        self.daemon.start()

    # -- what must hold at the end

    def check_ledger(self, addresses, duplicates_allowed=False):
        """Each address was reached, once unless duplicates are allowed; no grammar was broken."""
        ledger = self.mxsim.ledger()
        lost = [a for a in addresses if ledger.get(a, {}).get("accepted", 0) == 0]
        check(not lost, f"{len(lost)} never arrived, such as {lost[:5]}: {self.told_of(lost[:1])}")
        twice = [a for a in addresses if ledger[a]["accepted"] > 1]
        if not duplicates_allowed:
            check(not twice, f"{len(twice)} arrived more than once, such as "
                             f"{[ledger[a] for a in twice[:3]]}")
        wanted = set(addresses)
        print(f"arrived: {len(addresses)}, lost: 0, twice: {len(twice)}")
        strangers = [a for a, e in ledger.items() if e["accepted"] > 0 and a not in wanted]
        check(not strangers, f"mail reached strangers: {strangers[:5]}")
        self.check_manners()
        return ledger

    def told_of(self, addresses):
        """What the daemon says of them, for a message of a test that failed."""
        try:
            return [self.api().call("GET", "/v1/recipients/" + urllib.parse.quote(a, safe=""))
                    for a in addresses]
        except (ApiError, OSError) as error:
            return f"nothing ({error})"

    def check_manners(self):
        stats = self.mxsim.stats()
        check(not stats["violations"], f"the protocol was broken: {stats['violations']}")
        equal(stats["bytes_changed"], 0, "recipients whose attempts carried different bytes")

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind is not None:
            self.failed = True
        self.close()
        return False

    def close(self):
        if self.failed:
            if self.daemon and self.daemon.process:
                code = self.daemon.process.child.poll()
                state = "runs" if code is None else f"ended with {code}"
                print(f"---- postring (life {self.daemon.lives}, {state})")
                print(self.daemon.process.tail())
            if self.mxsim:
                with contextlib.suppress(Exception):
                    print("---- mxsim:", json.dumps(self.mxsim.stats())[:3000])
                print(self.mxsim.process.tail(10))
        sanitiser = None
        if self.daemon and self.daemon.process:
            self.daemon.kill()
            sanitiser = self.sanitiser_report()
        if self.mxsim:
            self.mxsim.close()
        if os.environ.get("POSTRING_TEST_KEEP"):
            print(f"kept {self.folder}")
        else:
            shutil.rmtree(self.folder, ignore_errors=True)
        check(sanitiser is None or self.failed, f"a sanitiser complained:\n{sanitiser}")

    def sanitiser_report(self):
        for log in sorted(self.folder.glob("postring.*.log")):
            text = BLIND_TYPE_CHECK.sub("", log.read_text(errors="replace"))
            for mark in ("ERROR: AddressSanitizer", "ERROR: LeakSanitizer", "runtime error:"):
                if mark in text:
                    return text[max(0, text.index(mark) - 200):][:6000]
        return None


# ---- cases -------------------------------------------------------------------------------------


class Programs:
    def __init__(self, postring, mxsim):
        self.postring, self.mxsim = os.path.abspath(postring), os.path.abspath(mxsim)


_programs = None
_cases = []


# The check of dynamic types looks whether memory is readable by way of a pipe. Where a test leaves no
# descriptor free it cannot, and takes every object for a bad one. Such a test starts its daemon with this.
NO_DESCRIPTORS = {"UBSAN_OPTIONS": "halt_on_error=0"}
BLIND_TYPE_CHECK = re.compile(
    r"^.*runtime error: .* which does not point to an object of type .*\n"
    r".*note: object has invalid vptr\n<memory cannot be printed>\n", re.MULTILINE)


def programs():
    return _programs


def use_programs(postring, mxsim):
    global _programs
    _programs = Programs(postring, mxsim)


def case(function):
    _cases.append(function)
    return function


def leave_out(name):
    """A case of a file that was imported."""
    _cases[:] = [function for function in _cases if function.__name__ != name]


def main():
    """Runs the file's cases, or those named behind the two programs."""
    if len(sys.argv) < 3:
        sys.exit(f"usage: {sys.argv[0]} POSTRING MXSIM [CASE]...")
    use_programs(*sys.argv[1:3])
    sys.stdout.reconfigure(line_buffering=True, errors="replace")
    wanted = sys.argv[3:]
    good = bad = 0
    for function in _cases:
        if wanted and function.__name__ not in wanted:
            continue
        began = time.monotonic()
        try:
            function()
        except NotRun as why:
            print(f"not run {function.__name__}: {why}")
        except Exception as error:  # whatever it is, the other cases still run
            bad += 1
            if not isinstance(error, Failed):
                traceback.print_exc(file=sys.stdout)
            else:
                frames = [f for f in traceback.extract_tb(error.__traceback__)]
                print(" < ".join(f"{os.path.basename(f.filename)}:{f.lineno}" for f in reversed(frames)))
            why = str(error).replace("\n", " | ")[:1500]
            print(f"not ok {function.__name__}: {why or type(error).__name__}")
        else:
            good += 1
            print(f"ok {function.__name__} ({time.monotonic() - began:.1f} s)")
    if bad:
        print(f"failed: {bad} of {good + bad} failed")
        sys.exit(1)
    print(f"ok {good}")
