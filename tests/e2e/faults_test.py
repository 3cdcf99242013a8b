"""Faults around the daemon: it or its hosts stand still, DNS is gone, memory runs out, all of the API's
places are taken by clients that say nothing. Each costs time; none costs mail."""
import contextlib
import http.client
import os
import pathlib
import signal
import socket
import subprocess
import threading
import time

from harness import ApiError, Failed, NotRun, World, addresses_of, case, check, equal, main, people, \
    wait_until

SITES = """
[[domain]]
pattern = "d{0..9}.example"
latency_ms = 5
"""


class Tuned(World):
    """A world with changes to the text of the configuration: [(what stands there, what is to stand)]."""

    def __init__(self, *arguments, changes=(), **named):
        self.changes = changes
        super().__init__(*arguments, **named)

    def config(self):
        text = super().config()
        for old, new in self.changes:
            check(old in text, f"no '{old}' in the configuration")
            text = text.replace(old, new)
        return text


# ---- standing still ----------------------------------------------------------------------------


def state_of(pid):
    """The process's state as the kernel names it: T is stopped."""
    return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]


@contextlib.contextmanager
def frozen(process):
    process.signal(signal.SIGSTOP)
    wait_until(lambda: state_of(process.pid) == "T", f"{process.name} to stand still")
    began = time.monotonic()
    try:
        yield
    finally:
        process.signal(signal.SIGCONT)
        print(f"{process.name} stood still for {time.monotonic() - began:.2f} s")


@case
def a_frozen_daemon_loses_nothing():
    with World(SITES, workers=2) as world:
        campaign = world.campaign()
        first, second = people(600), people(600, prefix="late")
        campaign.submit(first)
        campaign.start()
        wait_until(lambda: world.mxsim.stats()["messages"] > 0, "mail to flow")
        with frozen(world.daemon.process):
            # Its listeners take connections all the same; the answers come when it goes on.
            submitting = threading.Thread(target=campaign.submit, args=(second,),
                                          kwargs={"key": "while-frozen"})
            submitting.start()
            before = world.mxsim.stats()["messages"]
            wait_until(lambda: settled(world, before), "what was under way to arrive")
        submitting.join()
        campaign.close()
        state = campaign.wait_complete()
        equal(state["counts"]["delivered"], 1200, f"delivered of {state['counts']}")
        world.check_ledger(addresses_of(first + second))


def settled(world, before):
    """Whether the hosts have stopped to get more."""
    now = world.mxsim.stats()["messages"]
    for _ in range(20):
        if world.mxsim.stats()["messages"] != now:
            return False
    return now >= before


@case
def a_frozen_internet_thaws():
    with World(SITES, workers=2) as world:
        campaign = world.campaign()
        recipients = people(1000)
        campaign.submit(recipients)
        campaign.start()
        wait_until(lambda: world.mxsim.stats()["messages"] > 0, "mail to flow")
        with frozen(world.mxsim.process):
            counts = campaign.counts()
            check(counts["delivered"] < 1000, "all was over before the hosts stood still")
            later = people(200, prefix="late")
            campaign.submit(later)
        campaign.close()
        state = campaign.wait_complete()
        equal(state["counts"]["delivered"], 1200, f"delivered of {state['counts']}")
        world.check_ledger(addresses_of(recipients + later))


# ---- DNS ---------------------------------------------------------------------------------------


class Relay:
    """Passes questions on to a name server, while it is up."""

    def __init__(self, target):
        self.target, self.port, self.socket = ("127.0.0.1", target), 0, None
        self.up()

    def up(self):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(("127.0.0.1", self.port))
        self.port = self.socket.getsockname()[1]
        self.socket.settimeout(0.1)
        self.running = threading.Event()
        self.running.set()
        self.thread = threading.Thread(target=self.serve, args=(self.socket, self.running), daemon=True)
        self.thread.start()

    def serve(self, front, running):
        clients = {}  # the id of a question to who asked
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as back:
            back.settimeout(0.02)
            while running.is_set():
                with contextlib.suppress(TimeoutError, ConnectionError):
                    question, client = front.recvfrom(4096)
                    clients[question[:2]] = client
                    back.sendto(question, self.target)
                with contextlib.suppress(TimeoutError, ConnectionError):
                    while True:
                        answer = back.recv(65536)
                        front.sendto(answer, clients.pop(answer[:2]))

    def down(self):
        self.running.clear()
        self.thread.join()
        self.socket.close()


def failures(world):
    """Questions that failed, as the daemon counts them."""
    _, _, text = world.api().raw("GET", "/metrics")
    return sum(float(line.split()[-1]) for line in text.splitlines()
               if line.startswith("postring_dns_failures_total"))


@case
def a_name_server_that_is_gone_comes_back():
    with Tuned("""
[[domain]]
pattern = "d{0..9}.example"
ttl_s = 1
[[domain]]
pattern = "new{0..9}.example"
""", start=False) as world:
        relay = Relay(world.mxsim.dns)
        try:
            world.changes = [(f'servers = ["127.0.0.1:{world.mxsim.dns}"]',
                              f'servers = ["127.0.0.1:{relay.port}"]')]
            world.reconfigure()
            world.daemon.start()
            campaign = world.campaign()
            campaign.start()
            known, new = people(100), people(100, "new{}.example", prefix="n")
            campaign.submit(known)
            wait_until(lambda: campaign.counts()["delivered"] == 100, "the first to be delivered")
            relay.down()
            campaign.submit(new)
            wait_until(lambda: failures(world) > 0, "a question to fail")
            counts = campaign.counts()
            equal((counts["delivered"], counts["bounced"]), (100, 0), "delivered and bounced")
            relay.up()
            back = time.monotonic()
            campaign.close()
            state = campaign.wait_complete()
            print(f"all was delivered {time.monotonic() - back:.2f} s after the name server came back; "
                  f"{failures(world):.0f} questions had failed")
            equal(state["counts"]["delivered"], 200, f"delivered of {state['counts']}")
            world.check_ledger(addresses_of(known + new))
        finally:
            world.daemon.kill()
            relay.down()


# ---- hosts -------------------------------------------------------------------------------------


@case
def who_waits_for_a_silent_host_can_say_so():
    with World("""
[[domain]]
pattern = "silent.example"
hang_at = "banner"
[[domain]]
pattern = "d{0..9}.example"
""", delivery="connections = 2\nstop_wait = \"1s\"") as world:
        campaign = world.campaign()
        waiting, others = people(50, "silent.example", prefix="s"), people(500)
        campaign.start()
        campaign.submit(waiting)
        wait_until(lambda: world.mxsim.stats()["open_connections"] > 0, "a connection to it")
        campaign.submit(others)
        began = time.monotonic()
        wait_until(lambda: campaign.counts()["delivered"] == 500, "the others to be delivered")
        print(f"500 others were delivered in {time.monotonic() - began:.2f} s")
        world.check_ledger(addresses_of(others))
        for address in addresses_of(waiting)[::10]:
            found = {}

            def held():
                [found["now"]] = campaign.api.call("GET", f"/v1/recipients/{address}")["recipients"]
                return found["now"].get("hold")

            wait_until(held, lambda: f"something to hold {address}: {found}")
            check(found["now"]["state"] in ("waiting", "in_flight"), f"{address}: {found}")
        equal(campaign.cancel()["state"], "cancelled", "the state")
        wait_until(lambda: campaign.counts()["waiting"] == 0, "nobody to wait")
        world.daemon.stop()


# ---- memory ------------------------------------------------------------------------------------


class MemoryLimit:
    """A control group of our own; `why_not` says why there can be none."""

    def __init__(self):
        base = pathlib.Path("/sys/fs/cgroup")
        self.why_not = ""
        self.second = (base / "cgroup.controllers").exists()
        self.folder = (base if self.second else base / "memory") / f"postring-test-{os.getpid()}"
        try:
            self.folder.mkdir()
            self.limit(1 << 40)
            subprocess.run(["true"], check=True, preexec_fn=self.enter)
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            self.why_not = f"no control group can be made: {error}"
            self.close()

    def limit(self, size):
        name = "memory.max" if self.second else "memory.limit_in_bytes"
        (self.folder / name).write_text(f"{size}\n")

    def used(self):
        name = "memory.current" if self.second else "memory.usage_in_bytes"
        return int((self.folder / name).read_text())

    def enter(self):
        (self.folder / "cgroup.procs").write_text(f"{os.getpid()}\n")

    def close(self):
        with contextlib.suppress(OSError):
            self.folder.rmdir()


@case
def what_was_acknowledged_survives_the_end_of_memory():
    group = MemoryLimit()
    if group.why_not:
        raise NotRun(group.why_not)
    try:
        with World(start=False) as world:
            world.daemon.start(preexec_fn=group.enter)
            acknowledged = submit_until_the_end(world, group)
            ended = not world.daemon.process.alive()
            print(f"acknowledged until the end of memory: {len(acknowledged)}, "
                  f"the daemon {'was ended' if ended else 'held out'}")
            world.restart("kill")
            [campaign] = world.api().call("GET", "/v1/campaigns")["campaigns"]
            counts = campaign["counts"]
            check(counts["accepted"] >= len(acknowledged),
                  f"{len(acknowledged)} were acknowledged, {counts} are there")
            path = f"/v1/campaigns/{campaign['id']}"
            for command in ("start", "close"):
                world.api().call("POST", f"{path}/{command}")
            wait_until(lambda: world.api().call("GET", path)["state"] == "complete", "completion", 300)
            ledger = world.mxsim.ledger()
            lost = [a for a in acknowledged if ledger.get(a, {}).get("accepted", 0) != 1]
            check(not lost, f"{len(lost)} did not arrive once, such as {lost[:5]}")
    finally:
        group.close()


def submit_until_the_end(world, group):
    """Batches into ever less memory, until the daemon is ended or enough was tried."""
    campaign = world.campaign()
    # Little more than it holds: what comes now is too much. What is read from files can go again.
    group.limit(group.used() + (8 << 20))
    acknowledged = []
    for number in range(40):
        batch = people(2000, prefix=f"m{number}-")
        try:
            campaign.submit(batch, key=f"m{number}", insist=False)
        except ApiError as error:
            check(error.status in (500, 503, 507), f"batch {number}: {error}")
            continue
        except (OSError, http.client.HTTPException):
            world.daemon.process.wait()
            break
        acknowledged += addresses_of(batch)
    return acknowledged


# ---- clients -----------------------------------------------------------------------------------


@case
def clients_that_say_nothing_do_not_keep_others_out():
    changes = [("[http]\n", "[http]\nconnections = 16\n")]
    with Tuned(SITES, changes=changes) as world:
        campaign = world.campaign()
        campaign.start()
        idle, begun, stuck = [], b"POST /v1/messages HTTP/1.1\r\nHost: x\r\n", None
        try:
            for number in range(20):
                connection = socket.create_connection((world.host, world.port), 60)
                idle.append(connection)
                with contextlib.suppress(OSError):
                    connection.send(begun[:number + 1])
            # Every place is taken, and others stand before us. They come free as their time runs out.
            began = time.monotonic()
            campaign.submit(people(50), key="k")
            print(f"a batch got in behind 20 silent clients in {time.monotonic() - began:.2f} s")
        except Failed as failed:
            stuck = failed
        finally:
            for connection in idle:
                connection.close()
        check(stuck is None, f"nobody else got in: {stuck}")
        campaign.close()
        state = campaign.wait_complete()
        equal(state["counts"]["delivered"], 50, "delivered")


@case
def a_batch_beyond_the_limits_leaves_nothing():
    changes = [("[http]\n", "[http]\nbody_bytes = \"64KiB\"\n")]
    with Tuned(SITES, changes=changes) as world:
        campaign = world.campaign()
        campaign.start()
        long_value = [{"address": f"u{n}@d1.example", "data": {"name": "x" * 4000}} for n in range(50)]
        try:
            campaign.submit(long_value, insist=False)
        except ApiError as error:
            equal(error.status, 413, "the answer to too much")
        else:
            check(False, "too much was taken")
        equal(campaign.counts()["accepted"], 0, "accepted")
        campaign.submit(people(100))
        campaign.close()
        state = campaign.wait_complete()
        equal(state["counts"]["delivered"], 100, "delivered")
        world.check_ledger(addresses_of(people(100)))


main()
