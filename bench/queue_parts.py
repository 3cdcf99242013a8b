"""Parts that measure a large queue: what it takes, how fast it comes back, how it obeys."""
import collections
import statistics
import time

from harness import check, wait_until
from lab import (DOMAINS, MANY_DOMAINS, Bench, MemoryLimit, address, content, drop_caches, ndjson, part,
                 record, scaled, send_batch, settled_bytes, spool_bytes, submit)

QUEUED = 5_000_000
QUEUED_DOMAINS = 100_000
CAMPAIGNS = 20


def fill(world, count, batch=100_000):
    """Campaigns that are not started, their batches in turn. Returns them."""
    loaded = [world.campaign(content=content(1000)) for _ in range(CAMPAIGNS)]
    batch = min(batch, max(1, count // CAMPAIGNS))
    for number, start in enumerate(range(0, count, batch)):
        size = min(batch, count - start)
        send_batch(loaded[number % CAMPAIGNS], ndjson(start, size, QUEUED_DOMAINS))
    return loaded


@part
def measure_queue(disk):
    """Memory of a waiting recipient, everything counted, after a restart."""
    count = scaled(QUEUED)
    with Bench(disk, internet=MANY_DOMAINS) as world:
        idle = settled_bytes(world.pid)
        fill(world, count)
        grown = settled_bytes(world.pid)
        world.daemon.stop()
        world.start()
        record("queue.bytes_before_restart", (grown - idle) / count)
        record("queue.bytes_per_recipient", (settled_bytes(world.pid) - idle) / count)
        record("queue.spool_bytes", spool_bytes(world.spool) / count)


def records(world):
    """{type: how many} of what lies in the spool."""
    total = {}
    for log in world.daemon.command("spool", "inspect", world.spool)["logs"]:
        for kind, number in log["by_type"].items():
            total[kind] = total.get(kind, 0) + number
    return total


@part
def measure_recovery(disk):
    """Recipients a second from the start of the process to its first MAIL, after kill -9, half of them
    with outcomes."""
    count = scaled(QUEUED)
    with Bench(disk, internet=MANY_DOMAINS) as world:
        loaded = fill(world, count)
        # Every other batch is delivered, so that outcomes lie between recipients that wait.
        first, second = loaded[::2], loaded[1::2]
        done = sum(campaign.counts()["accepted"] for campaign in first)
        for campaign in first:
            campaign.start()
        wait_until(lambda: sum(c.counts()["delivered"] for c in first) >= done,
                   "half of it to be delivered", 3600, 0.2)
        world.mxsim.set("d{0..99999}.example", "mail_delay_ms", 3_600_000)
        mails = world.mxsim.stats()["mail_commands"]
        for campaign in second:
            campaign.start()
        world.daemon.kill()
        left = world.mxsim.stats()["mail_commands"]
        check(left - mails < count // 4, "hosts took mail that they should have held up")
        kept = records(world)
        there = kept.get("recipient", 0) + kept.get("folded", 0)
        # Room may have come back meanwhile: what counts is what recovery has to read.
        check(there >= count // 2, f"of {count} recipients {kept} are on disk")
        began = time.perf_counter()
        world.start(wait=False)
        wait_until(lambda: world.mxsim.stats()["mail_commands"] > left,
                   lambda: f"the first MAIL: {world.daemon.process.tail()}", 600, 0.002)
        first_mail = time.perf_counter() - began
        world.daemon.wait_ready()
        waiting = sum(c.counts()["waiting"] + c.counts()["in_flight"] for c in second)
        check(waiting >= count - done - 100_000, f"{waiting} came back of {count - done}")
        record("recovery.recipients_on_disk", there)
        record("recovery.outcomes_share", kept.get("outcome", 0) / there)
        record("recovery.first_mail_s", first_mail)
        record("recovery.recipients_per_s", there / first_mail)


def milliseconds(function):
    began = time.perf_counter()
    answer = function()
    return (time.perf_counter() - began) * 1000, answer


def look_up(world, numbers, domains):
    """{state: [ms until one in it was found]} of the recipients of these numbers."""
    took = collections.defaultdict(list)
    for number in numbers:
        who = address(number, domains)
        ms, answer = milliseconds(lambda: world.api().call("GET", f"/v1/recipients/{who}"))
        check(answer["recipients"], f"{who} is not found")
        took[answer["recipients"][0]["state"]].append(ms)
    return took


@part
def measure_pause(disk):
    """How long pause, cancel and look-ups take while a large queue is being delivered, and whether any
    MAIL comes after the answer."""
    count = scaled(QUEUED)
    # The hosts note when the last MAIL came; what lay in the sockets when the answer came is theirs.
    with Bench(disk, internet=MANY_DOMAINS, flags=()) as world:
        campaign = world.campaign(content=content(1000))
        submit(campaign, count, domains=QUEUED_DOMAINS)
        campaign.start()
        wait_until(lambda: campaign.counts()["delivered"] >= min(count // 50, 100_000), "mail to flow",
                   600)
        live = look_up(world, (count - 1 - step * (count // 50) for step in range(1, 21)),
                       QUEUED_DOMAINS)["waiting"]
        pauses, late = [], 0
        for _ in range(5):
            before = world.mxsim.stats()["messages"]
            took, _ = milliseconds(campaign.pause)
            answered = time.time() * 1000
            pauses.append(took)
            # In flight ends; what begins would show here.
            wait_until(lambda: campaign.counts()["in_flight"] == 0, "what was in flight to end", 60)
            late = max(late, world.mxsim.stats()["last_mail_ms"] - answered)
            campaign.resume()
            wait_until(lambda: world.mxsim.stats()["messages"] > before, "mail to flow again", 60)
        took, _ = milliseconds(campaign.cancel)
        answered = time.time() * 1000
        wait_until(lambda: campaign.counts()["in_flight"] == 0, "what was in flight to end", 60)
        late = max(late, world.mxsim.stats()["last_mail_ms"] - answered)
        record("pause.queued", count)
        record("pause.pause_ms", max(pauses))
        record("pause.cancel_ms", took)
        record("pause.late_mail_ms", max(0.0, late))
        record("pause.find_live_ms", max(live))


@part
def measure_find(disk):
    """How long look-ups take in a log of as many who have ended as a queue holds, while mail flows."""
    count, more = scaled(QUEUED), scaled(1_000_000)
    with Bench(disk) as world:
        first, second = (world.campaign(content=content(1000)) for _ in range(2))
        submit(first, count)
        world.drain(first, count)
        submit(second, more, first=count)
        second.start()
        wait_until(lambda: second.counts()["delivered"] > 0, "mail to flow", 600, 0.01)
        finished = look_up(world, range(0, count, count // 50), DOMAINS)["delivered"]
        live = look_up(world, range(count + more - 1, count + more // 2, -more // 50),
                       DOMAINS)["waiting"]
        check(second.counts()["waiting"] > 0, "the mail was delivered before all were looked up")
        record("find.events", count)
        record("find.finished_p50_ms", statistics.median(finished))
        record("find.finished_ms", max(finished))
        record("find.live_ms", max(live))


@part
def measure_drain(disk):
    """A queue whose spool is not in memory and does not fit into it, over one that is."""
    # Long values: so the spool is large and the queue in memory, which does not grow with them, small.
    count, value = scaled(1_000_000, 100_000), "v" * 1_500
    rates = {}
    for kind in ("warm", "cold"):
        with Bench(disk) as world:
            campaign = world.campaign(content=content(1000))
            submit(campaign, count, batch=30_000, more=value)
            world.daemon.stop()
            limit = None
            try:
                if kind == "cold":
                    drop_caches()
                    limit = MemoryLimit(spool_bytes(world.spool) // 4)
                world.start(preexec_fn=limit.enter if limit else None)
                rates[kind], cpu_us, idle = world.drain(campaign, count)
                record(f"drain.{kind}_per_s", rates[kind])
                record(f"drain.{kind}_cpu_us", cpu_us)
                record(f"drain.{kind}_sink_idle", idle)
            finally:
                world.daemon.kill()
                if limit:
                    limit.close()
    record("drain.cold_ratio", rates["cold"] / rates["warm"])
