"""The part that measures a real round-trip time: netem, on Debian's own kernel in an emulated machine.

The kernel of the machine at hand need not have netem. What is counted here waits for the network nearly all
the time, so that a slow emulated CPU does not decide it."""
import datetime
import os
import pathlib
import shutil
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests" / "vm"))
import vm  # noqa: E402
from harness import Api, Campaign, check, programs, wait_until  # noqa: E402
from lab import content, part, record, scaled  # noqa: E402

DELAY_MS = 25
BOOT_S = 300
# (figure, domain, its settings, round trips a message)
WAYS = (
    ("data_off", "off.example", 'pipelining = "off"\nchunking = false', 4),
    ("data_within", "within.example", 'pipelining = "within"\nchunking = false', 2),
    ("data_across", "across.example", 'pipelining = "across"\nchunking = false', 1),
    ("bdat_within", "bdatwithin.example", 'pipelining = "within"\nchunking = true', 1),
    ("bdat", "bdat.example", 'pipelining = "across"\nchunking = true', 1),
)

SCRIPT = f"""
/bin/tc qdisc add dev lo root netem delay {DELAY_MS}ms limit 100000 || echo NO NETEM
ping -c 3 127.0.0.1 | grep round-trip
mxsim --count --config /etc/mxsim.toml &
mkdir -p /spool/postring
postring serve --config /etc/postring.toml &
while [ ! -S /run/control.sock ]; do sleep 0.1; done
until postring key create --tenant acme --scope submit,read --socket /run/control.sock > /tmp/key
do sleep 0.2; done
echo "KEY=$(head -n 1 /tmp/key)"
wait
"""

MXSIM = """
[listen]
dns_port = 5300
smtp_port = 2525
control_port = 5301
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
servers = ["127.0.0.1:5300"]
allow_networks = ["127.0.0.0/8"]
[delivery]
port = 2525
connections = 1
messages_per_connection = 1000000
messages_per_second = 0
"""


def milliseconds(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() * 1000


def rate_of(api, domain, count):
    """Messages a second on the one connection, by the times of the outcomes."""
    body = {"name": domain, "content": content(5_000)}
    outside = {name: body["content"].pop(name) for name in ("unsubscribe", "return_path")}
    campaign = Campaign(api, api.call("POST", "/v1/campaigns", {**body, **outside}))
    campaign.submit([{"address": f"user{n}@{domain}", "data": {"name": f"N{n}"}} for n in range(count)])
    campaign.start()
    campaign.close()
    campaign.wait_complete(BOOT_S)
    times = []

    def told():
        times[:] = sorted(milliseconds(event["logged"]) for event in api.events(campaign=campaign.id)
                          if event["type"] == "delivered")
        return len(times) >= count

    wait_until(told, "the events", BOOT_S, 0.5)
    # The first few pay for the connection.
    skipped = count // 10
    return (count - 1 - skipped) * 1000 / (times[-1] - times[skipped])


@part
def measure_latency(disk):
    """Messages a second on one connection with 25 ms each way, by how a message is sent."""
    why_not = vm.available() or ("" if shutil.which("tc") else "tc is not installed")
    check(not why_not, why_not)
    count = scaled(400, 40)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="postring-latency-"))
    pid, machine = os.getpid(), None
    host, port = f"127.79.{pid >> 8 & 255}.{(pid & 255) % 254 + 1}", 8025
    try:
        rules = "".join(f'[[domain]]\npattern = "{domain}"\n' for _, domain, _, _ in WAYS)
        limits = "".join(f'[[domain]]\nname = "{domain}"\n{more}\n' for _, domain, more, _ in WAYS)
        vm.make_disk(folder / "disk.img", "ext4", 600)
        image = vm.make_initramfs(
            folder, SCRIPT, "ext4",
            {"postring": programs().postring, "mxsim": programs().mxsim, "tc": shutil.which("tc")},
            {"/etc/postring.toml": CONFIG + limits, "/etc/mxsim.toml": MXSIM + rules},
            modules=("sch_netem",))
        machine = vm.Vm(folder, 1, image, folder / "disk.img", host, {port: 8025})
        key = machine.wait_for(r"KEY=(\S+)\s", BOOT_S).group(1)
        check("NO NETEM" not in machine.text(), f"netem: {machine.text()[-2000:]}")
        average = machine.wait_for(r"round-trip min/avg/max = [\d.]+/([\d.]+)/", BOOT_S).group(1)
        record("latency.round_trip_ms", float(average))
        api = Api(host, port, key)
        wait_until(lambda: api.raw("GET", "/readyz")[0] == 200, "the daemon to be ready", BOOT_S)
        for name, domain, _, trips in WAYS:
            record(f"latency.{name}_per_s", rate_of(api, domain, max(40, count // trips)))
    finally:
        if machine:
            machine.cut()
        shutil.rmtree(folder, ignore_errors=True)
