"""What the parts of the benchmark share: the machine, a disk for spools, a pinned daemon, and figures.

A part is a function that gets the disk and calls `record` for each figure:

    @part
    def measure_submit(disk):
        "Durable recipients a second through one core."
        with Bench(disk) as world: ...
        record("submit.recipients_per_s", value)

The daemon has CPU 0 to itself; the simulated hosts and this program share CPU 1. Everything that a part
starts ends with it, also when it fails.
"""
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

SENDER_CPU, SINK_CPU = 0, (1 if (os.cpu_count() or 1) > 1 else 0)
TICKS = os.sysconf("SC_CLK_TCK")
DOMAINS = 100
GIB = 1 << 30

# What is aimed at. What has none is reported only.
TARGETS = {
    "wire.cpu_ratio.5k": ("<=", 1.8), "wire.cpu_ratio.100k": ("<=", 1.4),
    "submit.recipients_per_s": (">=", 500_000), "spool.overhead_bytes": ("<=", 200),
    "queue.bytes_per_recipient": ("<=", 120), "recovery.recipients_per_s": (">=", 1_500_000),
    "transactional.p99_ms": ("<=", 20), "events.per_s": (">=", 300_000),
    "scale.cpu_ratio.4w": ("<=", 1.15), "drain.cold_ratio": (">=", 0.8),
    "postfix.ratio": (">=", 30), "pause.pause_ms": ("<=", 1_000), "pause.cancel_ms": ("<=", 1_000),
    "pause.late_mail_ms": ("<=", 50), "pause.find_live_ms": ("<=", 50),
    "find.live_ms": ("<=", 50), "find.finished_ms": ("<=", 1_000),
}


class Settings:
    """What the command line said; set once, at the start."""
    scale = 1.0
    wire_floor = ""


PARTS = {}
results = {}


def part(function):
    PARTS[function.__name__.removeprefix("measure_")] = function
    return function


def verdict(name, value):
    """'met', 'MISSED', or '' where nothing is aimed at."""
    if name not in TARGETS:
        return ""
    relation, target = TARGETS[name]
    return "met" if (value <= target if relation == "<=" else value >= target) else "MISSED"


def record(name, value):
    results[name] = round(value, 4)
    says = ""
    if name in TARGETS:
        says = f"   target {TARGETS[name][0]} {TARGETS[name][1]:,}   {verdict(name, value)}"
    print(f"  {name:<34}{value:>14,.2f}{says}", flush=True)


def scaled(count, least=1000):
    return max(least, int(count * Settings.scale))


# ---- the machine -------------------------------------------------------------------------------


def cpu_seconds(pid):
    """User and system time of a process with all its threads."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def anonymous_bytes(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise harness.Failed(f"no RssAnon of process {pid}")


def settled_bytes(pid):
    """Anonymous memory once it has stopped to shrink: allocators give back with a delay."""
    least, since = anonymous_bytes(pid), time.monotonic()
    while time.monotonic() - since < 3:
        time.sleep(0.25)
        now = anonymous_bytes(pid)
        if now < least * 0.995:
            least, since = now, time.monotonic()
    return least


def on_cpu(pid, cpu):
    for task in os.listdir(f"/proc/{pid}/task"):
        os.sched_setaffinity(int(task), {cpu})


def drop_caches():
    os.sync()
    try:
        pathlib.Path("/proc/sys/vm/drop_caches").write_text("3\n")
    except OSError as error:
        raise harness.Failed(f"caches cannot be dropped: {error}") from None


class MemoryLimit:
    """A control group of our own that limits memory, page cache included; version 1 or 2."""

    def __init__(self, limit_bytes):
        base = pathlib.Path("/sys/fs/cgroup")
        second = (base / "cgroup.controllers").exists()
        self.folder = (base if second else base / "memory") / f"postring-bench-{os.getpid()}"
        try:
            self.folder.mkdir()
            name = "memory.max" if second else "memory.limit_in_bytes"
            (self.folder / name).write_text(f"{limit_bytes}\n")
        except OSError as error:
            self.close()
            raise harness.Failed(f"memory cannot be limited: {error}") from None

    def enter(self):
        """In a child, before it begins."""
        (self.folder / "cgroup.procs").write_text(f"{os.getpid()}\n")

    def close(self):
        try:
            self.folder.rmdir()
        except OSError:
            pass


def filesystem_of(path):
    best = ("", "?")
    for line in pathlib.Path("/proc/mounts").read_text().splitlines():
        _, where, kind, *_ = line.split()
        inside = where == "/" or str(path) == where or str(path).startswith(where + "/")
        if inside and len(where) >= len(best[0]):
            best = (where, kind)
    return best[1]


class SpoolDisk:
    """A folder on a journaled filesystem: the temporary folder where it is one, else ext4 on a loop."""

    IMAGE_BYTES = 20 * GIB

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="postring-bench-"))
        self.mounted = None
        self.folder_of_spools = self.folder
        self.number = 0
        if filesystem_of(self.folder) not in ("ext4", "xfs", "btrfs"):
            image = self.folder / "disk.img"
            with open(image, "wb") as file:
                file.truncate(self.IMAGE_BYTES)
            subprocess.run(["mkfs.ext4", "-q", image], check=True)
            self.mounted = self.folder / "disk"
            self.mounted.mkdir()
            subprocess.run(["mount", "-o", "loop", image, self.mounted], check=True)
            self.folder_of_spools = self.mounted

    def spool(self):
        self.number += 1
        folder = self.folder_of_spools / f"spool{self.number}"
        folder.mkdir()
        return folder

    def fsync_ms(self):
        times = []
        path = self.folder_of_spools / "fsync"
        with open(path, "wb", buffering=0) as file:
            for _ in range(300):
                file.write(b"x" * 4096)
                began = time.perf_counter()
                os.fdatasync(file.fileno())
                times.append((time.perf_counter() - began) * 1000)
        path.unlink()
        times.sort()
        return times[len(times) // 2], times[len(times) * 99 // 100]

    def close(self):
        if self.mounted:
            subprocess.run(["umount", "-l", self.mounted])
        shutil.rmtree(self.folder, ignore_errors=True)


def describe_machine(disk):
    model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo")
                  if line.startswith("model name")), "?")
    p50, p99 = disk.fsync_ms()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIB
    machine = {"cpu": model, "cpus": os.cpu_count(), "memory_gib": round(memory, 1),
               "kernel": platform.release(), "filesystem": filesystem_of(disk.folder_of_spools),
               "fsync_p50_ms": round(p50, 2), "fsync_p99_ms": round(p99, 2),
               "load": round(os.getloadavg()[0], 2)}
    print("machine:", ", ".join(f"{name} {value}" for name, value in machine.items()), flush=True)
    return machine


# ---- mail --------------------------------------------------------------------------------------

ONE_SITE = f"""
[[domain]]
pattern = "d{{0..{DOMAINS - 1}}}.example"
provider = "big.example"
"""
MANY_DOMAINS = """
[[domain]]
pattern = "d{0..99999}.example"
provider = "big.example"
"""
FAST = "connections = 32\nmessages_per_connection = 1000000\nmessages_per_second = 0\n"


def spool_bytes(folder):
    """What the spool takes on its disk, prepared segments included."""
    return sum(path.stat().st_blocks * 512 for path in pathlib.Path(folder).rglob("*")
               if path.is_file())


def content(size):
    """A message of about `size` bytes with one field, as the floor's."""
    line = "x" * 76 + "\n"
    return {"from": "a@sender.example", "subject": "bench {{name}}",
            "text": "Dear {{name}},\n" + line * max(1, (size - 500) // 78), "unsubscribe": "none",
            "return_path": "bounce+{{verp}}@sender.example"}


def address(number, domains=DOMAINS):
    return f"user{number}@d{number % domains}.example"


def ndjson(first, count, domains=DOMAINS, more=""):
    """A body with four fields a line, or with `more` behind each name."""
    return "".join(
        f'{{"address":"user{i}@d{i % domains}.example","ref":"r{i}","data":{{"name":"N{i}{more}"}}}}\n'
        for i in range(first, first + count)).encode()


def own_bytes(count):
    """Bytes of the addresses and values of the first `count` recipients."""
    return sum(len(address(i)) + len(f"r{i}") + len(f"N{i}") for i in range(count))


def send_batch(campaign, body):
    """Submits one prepared body, patiently where it is told to wait; returns the seconds it took."""
    began = time.perf_counter()
    while True:
        status, _, answer = campaign.api.raw("POST", campaign.path + "/recipients", body,
                                             {"Content-Type": "application/x-ndjson"}, timeout=600)
        if status != 503:
            break
        time.sleep(0.2)
    check(status == 201, f"a batch was answered {status} {answer}")
    return time.perf_counter() - began


def submit(campaign, count, first=0, batch=200_000, domains=DOMAINS, more=""):
    """Submits and returns the seconds that the requests took, bodies made beforehand."""
    return sum(send_batch(campaign, ndjson(start, min(batch, first + count - start), domains, more))
               for start in range(first, first + count, batch))


class Bench(harness.World):
    """A world whose daemon runs on one CPU and whose hosts only count, on the other."""

    def __init__(self, disk, internet=ONE_SITE, delivery=FAST, workers=1, flags=("--count",),
                 segment_size="64MiB", **more):
        super().__init__(internet, workers=workers, delivery=delivery, start=False, flags=flags,
                         spool=disk.spool(), segment_size=segment_size, **more)
        on_cpu(self.mxsim.process.pid, SINK_CPU)
        try:
            self.start()
        except BaseException:
            self.failed = True
            self.close()
            raise

    def start(self, wait=True, preexec_fn=None):
        self.daemon.start(wait=wait, wrapper=("taskset", "-c", str(SENDER_CPU)),
                          preexec_fn=preexec_fn)

    @property
    def pid(self):
        return self.daemon.process.pid

    def cpu(self):
        return cpu_seconds(self.pid)

    def close(self):
        super().close()
        shutil.rmtree(self.spool, ignore_errors=True)

    def drain(self, campaign, count):
        """Starts the campaign and waits until the sink has all of it.

        Returns messages a second, CPU us of the daemon for each, and the sink's idle share."""
        sink = self.mxsim.process.pid
        before = self.mxsim.stats()["messages"]
        cpu, sink_cpu, began = self.cpu(), cpu_seconds(sink), time.perf_counter()
        campaign.start()
        wait_until(lambda: self.mxsim.stats()["messages"] - before >= count,
                   lambda: f"{count} messages at the sink; there are {self.mxsim.stats()['messages']}",
                   3600, 0.02)
        seconds = time.perf_counter() - began
        sink_cpu = cpu_seconds(sink) - sink_cpu
        # What is still to be written about the last of them belongs to the price.
        wait_until(lambda: campaign.counts()["delivered"] >= count, "the outcomes", 600)
        return count / seconds, (self.cpu() - cpu) * 1e6 / count, 1 - sink_cpu / seconds


def floor(world, messages, size):
    """What the cheapest program that says the same costs against the same sink."""
    done = subprocess.run(
        ["taskset", "-c", str(SENDER_CPU), Settings.wire_floor, "--address", "127.1.0.0", "--port",
         str(world.mxsim.smtp), "--messages", str(messages), "--size", str(size)],
        capture_output=True, text=True, check=True, timeout=1800)
    return json.loads(done.stdout)
