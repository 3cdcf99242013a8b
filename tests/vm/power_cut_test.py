"""The power goes while mail comes in and goes out, on a real kernel and filesystem: nothing acknowledged is
lost, and nothing is sent again once a reader of events was told that it was delivered.

How long before a cut the messages were sent that arrive twice is printed and not judged: an outcome is on
disk `outcome_sync` (5 ms) and one sync after it was written, and an emulated machine takes its time.

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
# A cut is noted just before it comes: what was under way then arrives a little later.
UNDER_WAY_MS = 5_000

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


class Lab:
    """Mail hosts outside, a disk, and one life of the machine after the other."""

    def __init__(self, filesystem):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="postring-vm-"))
        self.vm, self.lives, self.cuts_ms = None, 0, []
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
        self.key = self.vm.wait_for(r"KEY=(\S+)", BOOT_S).group(1)

    def cut(self):
        self.cuts_ms.append(time.time() * 1000)
        self.vm.cut()

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
    answer = lab.api().insist("POST", "/v1/campaigns", to_json_campaign(), {
        "Content-Type": "application/json", "Idempotency-Key": "campaign"})
    campaign = Campaign(lab.api(), answer)
    lab.api().insist("POST", campaign.path + "/start", "", {})
    submitter = Submitter(campaign, 50, 4)
    submitter.start()
    dice = random.Random(6_18)
    for _ in range(CUTS):
        before = lab.mxsim.stats()["messages"]
        wait_until(lambda: lab.mxsim.stats()["messages"] > before + 20 or submitter.wrong
                   or not submitter.is_alive(), "mail to flow", BOOT_S)
        check(not submitter.wrong, submitter.wrong)
        time.sleep(dice.uniform(0, 1))
        lab.read_events(campaign)
        lab.cut()
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
    before_ms = [before_cut_ms(entry, lab.cuts_ms) for entry in twice]
    longest = max((ms for ms in before_ms if ms is not None), default=0)
    print(f"power cuts: {CUTS}, acknowledged: {len(submitter.acknowledged)}, lost: {len(lost)}, "
          f"duplicates: {len(twice)} within {longest / 1000:.2f} s before a cut, on {filesystem}")
    check(not lost, f"lost: {lost[:5]}")
    told = [a for a, ms in lab.told_ms.items() if ledger[a]["last_ms"] > ms]
    check(not told, f"sent again after the event that they were delivered was read: {told[:5]}")
    unexplained = [entry for entry, ms in zip(twice, before_ms) if ms is None]
    check(not unexplained, f"duplicates that no cut explains: {unexplained[:3]}")
    stats = lab.mxsim.stats()
    check(not stats["violations"], f"the protocol was broken: {stats['violations']}")
    equal(stats["bytes_changed"], 0, "recipients whose attempts carried different bytes")


def before_cut_ms(entry, cuts_ms):
    """How long before the cut that explains its repeat a message first arrived; None: no cut does."""
    between = (max(0, cut - entry["first_ms"]) for cut in cuts_ms
               if entry["first_ms"] - UNDER_WAY_MS <= cut <= entry["last_ms"])
    return min(between, default=None)


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
