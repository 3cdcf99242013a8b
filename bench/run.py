"""The measurements behind bench/README.md; started by tools/bench.

    run.py POSTRING MXSIM WIRE_FLOOR [--only PART]... [--json FILE] [--scale F]

Each part fills `results` with named figures; what has a bar is printed beside it.
"""
import argparse
import concurrent.futures
import http.client
import json
import os
import pathlib
import platform
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests" / "e2e"))
import harness  # noqa: E402
from harness import check, wait_until  # noqa: E402

SENDER_CPU, SINK_CPU = 0, 1
TICKS = os.sysconf("SC_CLK_TCK")
DOMAINS = 100

BARS = {
    "wire.cpu_ratio.5k": ("<=", 1.8), "wire.cpu_ratio.100k": ("<=", 1.4),
    "submit.recipients_per_s": (">=", 500_000), "spool.overhead_bytes": ("<=", 200),
    "queue.bytes_per_recipient": ("<=", 120), "recovery.recipients_per_s": (">=", 1_500_000),
    "transactional.p99_ms": ("<=", 20), "events.per_s": (">=", 300_000),
    "scale.cpu_ratio.4w": ("<=", 1.15), "drain.cold_ratio": (">=", 0.8),
}
results = {}


def record(name, value):
    results[name] = value
    bar = BARS.get(name)
    says = ""
    if bar:
        good = value <= bar[1] if bar[0] == "<=" else value >= bar[1]
        says = f"   bar {bar[0]} {bar[1]:,}   {'met' if good else 'MISSED'}"
    print(f"  {name:<34}{value:>14,.2f}{says}", flush=True)


# ---- the machine -------------------------------------------------------------------------------


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def anonymous_bytes(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    return 0


def filesystem_of(path):
    best = ("", "?")
    for line in pathlib.Path("/proc/mounts").read_text().splitlines():
        _, where, kind, *_ = line.split()
        if str(path).startswith(where) and len(where) >= len(best[0]):
            best = (where, kind)
    return best[1]


class SpoolDisk:
    """A folder on a journaled filesystem: the temporary folder where it is one, else ext4 on a loop."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="postring-bench-"))
        self.loop = None
        if filesystem_of(self.folder) not in ("ext4", "xfs", "btrfs"):
            image = self.folder / "disk.img"
            with open(image, "wb") as file:
                file.truncate(20 << 30)
            subprocess.run(["mkfs.ext4", "-q", image], check=True)
            self.loop = self.folder / "disk"
            self.loop.mkdir()
            subprocess.run(["mount", "-o", "loop", image, self.loop], check=True)
            self.folder_of_spools = self.loop
        else:
            self.folder_of_spools = self.folder
        self.number = 0

    def spool(self):
        self.number += 1
        folder = self.folder_of_spools / f"spool{self.number}"
        folder.mkdir()
        return folder

    def fsync_ms(self):
        times = []
        with open(self.folder_of_spools / "fsync", "wb", buffering=0) as file:
            for _ in range(300):
                file.write(b"x" * 4096)
                began = time.perf_counter()
                os.fdatasync(file.fileno())
                times.append((time.perf_counter() - began) * 1000)
        times.sort()
        return times[len(times) // 2], times[len(times) * 99 // 100]

    def close(self):
        if self.loop:
            subprocess.run(["umount", "-l", self.loop])
        shutil.rmtree(self.folder, ignore_errors=True)


def describe_machine(disk):
    model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo")
                  if line.startswith("model name")), "?")
    p50, p99 = disk.fsync_ms()
    machine = {"cpu": model, "cpus": os.cpu_count(), "kernel": platform.release(),
               "filesystem": filesystem_of(disk.folder_of_spools),
               "fsync_p50_ms": round(p50, 2), "fsync_p99_ms": round(p99, 2)}
    print("machine:", ", ".join(f"{name} {value}" for name, value in machine.items()), flush=True)
    return machine


# ---- pieces of the parts -----------------------------------------------------------------------

ONE_SITE = f"""
[[domain]]
pattern = "d{{0..{DOMAINS - 1}}}.example"
provider = "big.example"
"""
FAST = "connections = 32\nmessages_per_connection = 1000000\nmessages_per_second = 0\n"


def content(size):
    """A message of about `size` bytes with one field, as the floor's."""
    line = "x" * 76 + "\n"
    return {"from": "a@sender.example", "subject": "bench {{name}}",
            "text": "Dear {{name}},\n" + line * max(1, (size - 500) // 78), "unsubscribe": "none",
            "return_path": "bounce+{{verp}}@sender.example"}


def ndjson(first, count, domains=DOMAINS):
    return "".join(
        f'{{"address":"user{i}@d{i % domains}.example","ref":"r{i}","data":{{"name":"N{i}"}}}}\n'
        for i in range(first, first + count)).encode()


def submit(campaign, count, first=0, batch=200_000, domains=DOMAINS):
    """Submits and returns the seconds that the requests took, bodies made beforehand."""
    spent = 0.0
    for start in range(first, first + count, batch):
        body = ndjson(start, min(batch, first + count - start), domains)
        began = time.perf_counter()
        status, _, answer = campaign.api.raw("POST", campaign.path + "/recipients", body,
                                             {"Content-Type": "application/x-ndjson"})
        spent += time.perf_counter() - began
        check(status == 201, f"{status} {answer}")
    return spent


class Bench(harness.World):
    """A world whose daemon runs on one CPU and whose hosts only count, on the other."""

    def __init__(self, disk, internet=ONE_SITE, delivery=FAST, workers=1, flags=("--count",), **more):
        self.disk = disk
        super().__init__(internet, workers=workers, delivery=delivery, start=False, flags=flags,
                         spool=disk.spool(), segment_size="64MiB", **more)
        os.sched_setaffinity(self.mxsim.process.pid, {SINK_CPU})
        for task in os.listdir(f"/proc/{self.mxsim.process.pid}/task"):
            os.sched_setaffinity(int(task), {SINK_CPU})
        self.start()

    def start(self):
        self.daemon.start(wrapper=("taskset", "-c", str(SENDER_CPU)))

    def cpu(self):
        return cpu_seconds(self.daemon.process.pid)

    def close(self):
        super().close()
        shutil.rmtree(self.spool, ignore_errors=True)

    def drain(self, campaign, count):
        """Starts the campaign and waits until the sink has all: rate, CPU us each, the sink's idle share."""
        sink = self.mxsim.process.pid
        before = self.mxsim.stats()["messages"]
        cpu, sink_cpu, began = self.cpu(), cpu_seconds(sink), time.perf_counter()
        campaign.start()
        wait_until(lambda: self.mxsim.stats()["messages"] - before >= count, "the sink to have it all",
                   3600, 0.02)
        seconds = time.perf_counter() - began
        sink_cpu = cpu_seconds(sink) - sink_cpu
        # What is still to be written about the last of them belongs to the price.
        wait_until(lambda: campaign.counts()["delivered"] >= count, "the outcomes", 600)
        return count / seconds, (self.cpu() - cpu) * 1e6 / count, 1 - sink_cpu / seconds


def floor(world, messages, size):
    done = subprocess.run(
        ["taskset", "-c", str(SENDER_CPU), options.wire_floor, "--address", "127.1.0.0", "--port",
         str(world.mxsim.smtp), "--messages", str(messages), "--size", str(size)],
        capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def scaled(count):
    return max(1000, int(count * options.scale))


# ---- the parts ---------------------------------------------------------------------------------


def part_wire(disk):
    """CPU per message over that of the cheapest program that says the same."""
    for name, size, count in (("5k", 5_000, scaled(1_000_000)), ("100k", 100_000, scaled(100_000))):
        with Bench(disk) as world:
            base = floor(world, count, size)
            campaign = world.campaign(content=content(size))
            submit(campaign, count)
            rate, cpu_us, idle = world.drain(campaign, count)
        record(f"floor.rate.{name}", base["rate"])
        record(f"floor.cpu_us.{name}", base["cpu_us_per_message"])
        record(f"wire.rate.{name}", rate)
        record(f"wire.cpu_us.{name}", cpu_us)
        record(f"wire.sink_idle.{name}", idle)
        record(f"wire.cpu_ratio.{name}", cpu_us / base["cpu_us_per_message"])


def part_submit(disk):
    """Durable recipients a second through one core, four fields each."""
    count = scaled(1_000_000)
    with Bench(disk) as world:
        campaign = world.campaign(content=content(1000))
        seconds = submit(campaign, count)
        record("submit.recipients_per_s", count / seconds)
        record("submit.cpu_us", world.cpu() * 1e6 / count)


def spool_bytes(folder):
    return sum(path.stat().st_blocks * 512 for path in pathlib.Path(folder).rglob("*") if path.is_file())


def appended_bytes(world):
    """What the daemon says it appended; its segments are preallocated, so their sizes tell nothing."""
    _, _, text = world.api().raw("GET", "/metrics")
    for line in text.splitlines():
        if line.startswith("postring_spool_appended_bytes_total"):
            return float(line.split()[-1])
    raise harness.Failed("no metric postring_spool_appended_bytes_total")


def part_spool(disk):
    """Bytes appended for a recipient from submission to a delivered outcome, beyond address and values."""
    count = scaled(200_000)
    with Bench(disk) as world:
        campaign = world.campaign(content=content(1000))
        before = appended_bytes(world)
        submit(campaign, count)
        world.drain(campaign, count)
        own = sum(len(f"user{i}@d{i % DOMAINS}.example") + len(f"r{i}") + len(f"N{i}")
                  for i in range(count))
        record("spool.overhead_bytes", (appended_bytes(world) - before - own) / count)


CLOSED = """
[default]
rcpt_4xx = 1.0
[[domain]]
pattern = "d{0..99999}.example"
provider = "big.example"
"""


def part_queue(disk):
    """Memory and recovery with 5,000,000 recipients in 100,000 domains and 20 campaigns."""
    count, campaigns = scaled(5_000_000), 20
    with Bench(disk, internet=CLOSED) as world:
        idle = anonymous_bytes(world.daemon.process.pid)
        loaded = [world.campaign(content=content(1000)) for _ in range(campaigns)]
        each = count // campaigns
        for number, campaign in enumerate(loaded):
            submit(campaign, each, first=number * each, domains=100_000)
        world.daemon.stop()
        began = time.perf_counter()
        world.start()
        seconds = time.perf_counter() - began
        record("recovery.recipients_per_s", each * campaigns / seconds)
        held = anonymous_bytes(world.daemon.process.pid)
        record("queue.bytes_per_recipient", (held - idle) / (each * campaigns))
        for name, path in (("live", f"user{each}@d{each % 100_000}.example"),):
            began = time.perf_counter()
            world.api().call("GET", f"/v1/recipients/{path}")
            record(f"explain.{name}_ms", (time.perf_counter() - began) * 1000)
        began = time.perf_counter()
        loaded[0].start()
        loaded[0].pause()
        record("pause_ms", (time.perf_counter() - began) * 1000)


def part_transactional(disk):
    """Request sent to the peer's 250, while bulk mail flows and comes in."""
    count, per_second = scaled(10_000), 200
    with Bench(disk, flags=()) as world:
        bulk = world.campaign(content=content(5000))
        submit(bulk, scaled(2_000_000))
        bulk.start()
        api = world.api()
        body = {"content": {"from": "a@sender.example", "subject": "code", "text": "Your code\n"}}
        sent = {}

        def send(number):
            address = f"tx{number}@d{number % DOMAINS}.example"
            sent[address] = time.time() * 1000
            api.call("POST", "/v1/messages", {**body, "to": address})

        began = time.perf_counter()
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            futures = []
            for number in range(count):
                wait = began + number / per_second - time.perf_counter()
                if wait > 0:
                    time.sleep(wait)
                futures.append(pool.submit(send, number))
            for future in futures:
                future.result()
        last = f"tx{count - 1}@d{(count - 1) % DOMAINS}.example"
        wait_until(lambda: world.mxsim.recipient(last)["accepted"] > 0, "the last one", 600)
        ledger = world.mxsim.ledger()
        took = sorted(ledger[address]["last_ms"] - at for address, at in sent.items())
        record("transactional.p50_ms", took[len(took) // 2])
        record("transactional.p99_ms", took[len(took) * 99 // 100])


def part_events(disk):
    """Events a second to one reader."""
    count = scaled(500_000)
    with Bench(disk) as world:
        campaign = world.campaign(content=content(1000))
        submit(campaign, count)
        world.drain(campaign, count)
        api, cursor, seen, spent = world.api(), None, 0, 0.0
        while seen < count:
            path = "/v1/events?limit=10000" + (f"&after={cursor}" if cursor else "")
            connection = http.client.HTTPConnection(world.host, world.port)
            began = time.perf_counter()
            connection.request("GET", path, headers={"Authorization": f"Bearer {api.key}"})
            data = connection.getresponse().read()
            spent += time.perf_counter() - began
            connection.close()
            page = json.loads(data)
            check(page["events"], f"only {seen} events")
            seen += len(page["events"])
            cursor = page["next"]
        record("events.per_s", seen / spent)


def part_scale(disk):
    """CPU per message of four workers on one CPU over that of one."""
    count, cost = scaled(500_000), {}
    for workers in (1, 4):
        with Bench(disk, internet="""
[[domain]]
pattern = "d{0..99}.example"
""", delivery="connections = 8\nmessages_per_second = 0\n", workers=workers) as world:
            campaign = world.campaign(content=content(5000))
            submit(campaign, count)
            _, cost[workers], _ = world.drain(campaign, count)
            record(f"scale.cpu_us.{workers}w", cost[workers])
    record("scale.cpu_ratio.4w", cost[4] / cost[1])


def part_internet(disk):
    """A picture of the real thing; no bar."""
    count = scaled(200_000)
    with Bench(disk, internet="""
[default]
latency_ms = [20, 150]
rcpt_5xx = 0.02
drop_at = "data"
drop_share = 0.005
drop_times = 1
[[domain]]
pattern = "d{0..89999}.example"
[[domain]]
pattern = "d{90000..99999}.example"
greylist_ms = 3000
""", delivery="connections = 10\nconnections_max = 20000\n", flags=()) as world:
        campaign = world.campaign(content=content(5000))
        campaign.start()
        cpu, began = world.cpu(), time.perf_counter()
        submit(campaign, count, batch=20_000, domains=100_000)
        campaign.close()
        campaign.wait_complete(3600)
        seconds = time.perf_counter() - began
        record("internet.messages_per_s", count / seconds)
        record("internet.cpu_us", (world.cpu() - cpu) * 1e6 / count)
        stats = world.mxsim.stats()
        check(not stats["violations"], stats["violations"])


PARTS = {name[5:]: function for name, function in list(globals().items()) if name.startswith("part_")}


def main():
    global options
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    for name in ("postring", "mxsim", "wire_floor"):
        parser.add_argument(name)
    parser.add_argument("--only", action="append", choices=list(PARTS))
    parser.add_argument("--json")
    parser.add_argument("--scale", type=float, default=1.0)
    options = parser.parse_args()
    harness.use_programs(options.postring, options.mxsim)
    disk = SpoolDisk()
    failed = False
    try:
        results["machine"] = describe_machine(disk)
        for name in options.only or PARTS:
            print(f"{name}: {PARTS[name].__doc__}", flush=True)
            try:
                PARTS[name](disk)
            except (harness.Failed, OSError, subprocess.SubprocessError) as error:
                failed = True
                print(f"  {name} was not measured: {error}")
    finally:
        disk.close()
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(results, indent=2) + "\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
