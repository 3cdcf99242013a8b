"""The power goes while mail comes in and goes out, on a real kernel and filesystem: nothing acknowledged is
lost, and nothing is sent again once a reader of events was told that it was delivered.

What arrives twice must have been taken by its host shortly before the cut: how shortly, a client can
tell. A batch is acknowledged after a sync of the log that has the outcomes, too; so an outcome that was
there when the client began to submit is on disk when it is answered. What was taken a second (for the way
of the reply) before the last batch began that was answered before the cut must not be sent again. How
long that is depends on how long the emulated machine takes for a sync, and is printed.

The mail hosts and the submitting client live outside the machine and remember. CUTS in the environment
makes it longer."""
import json
import os
import pathlib
import random
import shutil
import sys
import tempfile
import time
import typing

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "e2e"))
import harness  # noqa: E402
import vm  # noqa: E402
from harness import Api, Campaign, Mxsim, NotRun, CONTENT, case, check, equal, main, programs, \
    wait_until  # noqa: E402
from load import Submitter  # noqa: E402

CUTS = int(os.environ.get("CUTS", "5"))
DISK_MIB = 600
BOOT_S = 480
harness.DEADLINE_S = 2 * BOOT_S
# Of a reply into the machine; and of a message out of it, which may arrive after the cut was noted.
UNDER_WAY_MS = 1_000

SCRIPT = """
mkdir -p /spool/postring
postring serve --config /etc/postring.toml &
while [ ! -S /run/control.sock ]; do sleep 0.1; done
if [ ! -s /spool/key ]; then
  until postring key create --tenant acme --scope submit,read --socket /run/control.sock > /spool/key.new
  do sleep 0.2; done
  sync
  mv /spool/key.new /spool/key
  sync
fi
echo "KEY=$(head -n 1 /spool/key)"
wait
"""

CONFIG = """
workers = 1
hostname = "mail.sender.example"
[spool]
dir = "/spool/postring"
segment_size = "4MiB"
free_min = "16MiB"
[http]
listen = ["10.0.2.15:8025"]
insecure_listen = true
[control]
socket = "/run/control.sock"
[dns]
allow_networks = ["10.0.2.0/24"]
[[route]]
domain = "*"
hosts = ["10.0.2.2:{smtp}"]
[delivery]
retry = ["1s"]
connections = 4
"""


class TimedApi(Api):
    """Notes when the last batch began that was acknowledged, by the clock that the hosts' ledger uses.

    A batch that is submitted again is none: it may have been there already, and nothing be synced for it."""

    def __init__(self, host, port, key):
        super().__init__(host, port, key)
        self.tried, self.begun_ms = set(), 0

    def raw(self, method, path, body=None, headers=None, timeout=None):
        begun_ms, key = time.time() * 1000, (headers or {}).get("Idempotency-Key")
        counts = path.endswith("/recipients") and key not in self.tried
        self.tried.add(key)
        answer = super().raw(method, path, body, headers, timeout)
        if counts and answer[0] < 300:
            self.begun_ms = begun_ms
        return answer


class Cut(typing.NamedTuple):
    at_ms: float
    bound_ms: float  # how long before it what was sent may be sent again


class Lab:
    """Mail hosts outside, a disk, and one life of the machine after the other."""

    def __init__(self, filesystem):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="postring-vm-"))
        self.vm, self.lives, self.cuts = None, 0, []
        self.cursor, self.told_ms = None, {}
        pid = os.getpid()
        self.host, self.port = f"127.78.{pid >> 8 & 255}.{(pid & 255) % 254 + 1}", 8025
        self.mxsim = Mxsim(programs().mxsim, self.folder, "[default]\nlatency_ms = 2\n")
        self.disk = self.folder / "disk.img"
        vm.make_disk(self.disk, filesystem, DISK_MIB)
        self.initramfs = vm.make_initramfs(
            self.folder, SCRIPT, filesystem, {"postring": programs().postring},
            {"/etc/postring.toml": CONFIG.format(smtp=self.mxsim.smtp)})
        self.boot()

    def boot(self):
        self.lives += 1
        self.vm = vm.Vm(self.folder, self.lives, self.initramfs, self.disk, self.host,
                        {self.port: 8025})
        self.key = self.vm.wait_for(r"KEY=(\S+)\s", BOOT_S).group(1)
        self.ready_ms = time.time() * 1000

    def cut(self, submitting):
        """`submitting`: the API of whoever submits meanwhile."""
        begun_ms = max(submitting.begun_ms, self.ready_ms)
        at_ms = time.time() * 1000
        self.vm.cut()
        self.cuts.append(Cut(at_ms, at_ms - begun_ms + UNDER_WAY_MS))

    def read_events(self, campaign):
        """Notes when the event of a delivery was first read; what is being sent then was told before.

        What was read is durable: so the cursor holds over every cut."""
        events, self.cursor = self.api().events_after(self.cursor, campaign=campaign.id)
        now_ms = time.time() * 1000
        for event in events:
            if event["type"] == "delivered":
                self.told_ms.setdefault(event["address"], now_ms)

    def api(self):
        return Api(self.host, self.port, self.key)

    def close(self, failed):
        if failed and self.vm:
            print("---- console\n" + self.vm.process.tail(80))
        if self.vm:
            self.vm.cut()
        self.mxsim.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def cut_and_count(lab, filesystem):
    timed = TimedApi(lab.host, lab.port, lab.key)
    answer = timed.insist("POST", "/v1/campaigns", to_json_campaign(), {
        "Content-Type": "application/json", "Idempotency-Key": "campaign"})
    campaign = Campaign(timed, answer)
    lab.api().insist("POST", campaign.path + "/start", "", {})
    submitter = Submitter(campaign, 50, 4)
    submitter.start()
    dice = random.Random(6_18)
    for _ in range(CUTS):
        before = lab.mxsim.stats()["messages"]
        wait_until(lambda: lab.mxsim.stats()["messages"] > before + 20 or submitter.wrong
                   or not submitter.is_alive(), "mail to flow", BOOT_S)
        check(not submitter.wrong, submitter.wrong)
        time.sleep(dice.uniform(0, 3))
        lab.read_events(campaign)
        lab.cut(timed)
        lab.boot()
    submitter.stopping.set()
    submitter.join(BOOT_S)
    check(not submitter.is_alive() and not submitter.wrong, f"the submitter: {submitter.wrong}")
    lab.api().insist("POST", campaign.path + "/close", "", {})
    state = campaign.wait_complete(2 * BOOT_S)
    equal(state["counts"]["accepted"], len(submitter.acknowledged), "what was acknowledged")
    ledger = lab.mxsim.ledger()
    lost = [a for a in submitter.acknowledged if ledger.get(a, {}).get("accepted", 0) == 0]
    twice = [ledger[a] for a in submitter.acknowledged if ledger.get(a, {}).get("accepted", 0) > 1]
    excuses = [(entry, cut_behind(entry, lab.cuts)) for entry in twice]
    before_ms = [max(0, cut.at_ms - entry["accepted_ms"]) for entry, cut in excuses if cut]
    bounds = sorted(cut.bound_ms / 1000 for cut in lab.cuts)
    print(f"power cuts: {CUTS}, acknowledged: {len(submitter.acknowledged)}, lost: {len(lost)}, "
          f"on {filesystem}")
    print(f"duplicates: {len(twice)}, window: {max(before_ms, default=0) / 1000:.2f} s before a cut; bounds "
          f"of the cuts: {bounds[0]:.2f} to {bounds[-1]:.2f} s, the median {bounds[len(bounds) // 2]:.2f} s")
    check(not lost, f"lost: {lost[:5]}")
    told = [a for a, ms in lab.told_ms.items() if ledger[a]["last_ms"] > ms]
    check(not told, f"sent again after the event that they were delivered was read: {told[:5]}")
    unexplained = [entry for entry, cut in excuses if not cut]
    check(not unexplained, f"duplicates that no cut explains: {unexplained[:3]}")
    early = [(entry, cut) for entry, cut in excuses
             if cut.at_ms - entry["accepted_ms"] > cut.bound_ms]
    check(not early, f"sent again though their outcomes were durable: {early[:3]}")
    stats = lab.mxsim.stats()
    check(not stats["violations"], f"the protocol was broken: {stats['violations']}")
    equal(stats["bytes_changed"], 0, "recipients whose attempts carried different bytes")


def cut_behind(entry, cuts):
    """The first cut behind the message's arrival, which must explain its repeat; None where it came later."""
    cut = next((cut for cut in cuts if cut.at_ms >= entry["accepted_ms"] - UNDER_WAY_MS), None)
    return cut if cut and cut.at_ms <= entry["last_ms"] else None


def to_json_campaign():
    content = {name: CONTENT[name] for name in ("subject", "from", "text", "html")}
    return json.dumps({"name": "cuts", "content": content, "unsubscribe": CONTENT["unsubscribe"],
                       "return_path": CONTENT["return_path"]})


def on(filesystem):
    why_not = vm.available()
    if why_not:
        raise NotRun(why_not)
    lab, failed = Lab(filesystem), True
    try:
        cut_and_count(lab, filesystem)
        failed = False
    finally:
        lab.close(failed)


@case
def power_cuts_on_ext4():
    on("ext4")


@case
def power_cuts_on_xfs():
    on("xfs")


main()
