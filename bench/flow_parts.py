"""Parts that measure mail on its way: in, through the spool, out, and told about."""
import concurrent.futures
import contextlib
import http.client
import json
import multiprocessing
import os
import time

from harness import Failed, check, wait_until
from lab import (DOMAINS, FAST, Bench, content, floor, ndjson, own_bytes, part, record, scaled,
                 send_batch, submit)


@part
def measure_wire(disk):
    """CPU per message over that of the cheapest program that says the same to the same sink."""
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


@part
def measure_submit(disk):
    """Durable recipients a second through one core, four fields each."""
    count = scaled(1_000_000)
    with Bench(disk) as world:
        campaign = world.campaign(content=content(1000))
        submit(campaign, 1000)  # segments and keys are there
        cpu = world.cpu()
        seconds = submit(campaign, count, first=1000)
        record("submit.recipients_per_s", count / seconds)
        record("submit.cpu_us", (world.cpu() - cpu) * 1e6 / count)


@part
def measure_spool(disk):
    """Bytes appended for a recipient from submission to a delivered outcome, beyond address and values."""
    count = scaled(500_000)
    for name, delivered in (("submission", False), ("overhead", True)):
        # Segments so large that none is closed: all that was ever appended is still there.
        with Bench(disk, segment_size="256MiB") as world:
            campaign = world.campaign(content=content(1000))
            submit(campaign, count)
            if delivered:
                world.drain(campaign, count)
            world.daemon.stop()
            logs = world.daemon.command("spool", "inspect", world.spool)["logs"]
            check(all(log["segments"] == 1 for log in logs), f"a segment was closed: {logs}")
            appended = sum(log["bytes"] for log in logs)
        record(f"spool.{name}_bytes", (appended - own_bytes(count)) / count)


def keep_full(path, key, host, port, first, size, least, most):
    """A process of its own that submits bulk mail and never lets it run out."""
    from harness import Api, Campaign
    campaign = Campaign(Api(host, port, key), {"id": path})
    number = first
    while number < most:
        body = ndjson(number, size)
        send_batch(campaign, body)
        number += size
        while campaign.show()["counts"]["waiting"] > least:
            time.sleep(0.05)


@part
def measure_transactional(disk):
    """Request sent to the peer's 250, while bulk mail flows at full speed and more comes in."""
    count, per_second = scaled(10_000), 200
    with Bench(disk, flags=()) as world:
        bulk = world.campaign(content=content(5000))
        bulk.start()
        submit(bulk, 100_000)
        feeder = multiprocessing.get_context("fork").Process(
            target=keep_full, daemon=True,
            args=(bulk.id, bulk.api.key, world.host, world.port, 100_000, 50_000, 200_000, 20_000_000))
        feeder.start()
        try:
            before, began = world.mxsim.stats()["messages"], time.perf_counter()
            sent = in_a_hurry(send_steadily, world.host, world.port, world.api().key, count, per_second)
            seconds = time.perf_counter() - began
            bulk_sent = world.mxsim.stats()["messages"] - before - count
        finally:
            feeder.kill()
            feeder.join()
        wait_until(lambda: world.mxsim.recipient(next(reversed(sent)))["accepted"] > 0,
                   "the last transactional message", 600)
        bulk.cancel()
        took = sorted(arrival(world, address) - at for address, at in sent.items())
        record("transactional.bulk_per_s", bulk_sent / seconds)
        record("transactional.p50_ms", took[len(took) // 2])
        record("transactional.p99_ms", took[len(took) * 99 // 100])
        record("transactional.max_ms", took[-1])


def arrival(world, address):
    entry = wait_until(lambda: (lambda e: e if e["accepted"] else None)(world.mxsim.recipient(address)),
                       f"{address} to arrive", 600)
    return entry["last_ms"]


def in_a_hurry(function, *arguments):
    """Calls it in a process that need not wait for a CPU behind the hosts and the feeder."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)

    def run():
        with contextlib.suppress(PermissionError):
            os.nice(-15)
        theirs.send(function(*arguments))

    process = context.Process(target=run, daemon=True)
    process.start()
    theirs.close()
    try:
        return ours.recv()
    except EOFError:
        raise Failed("the client ended without a result") from None
    finally:
        process.join()


def send_steadily(host, port, key, count, per_second):
    """Posts messages at a steady pace over kept connections; {address: ms of the wall clock}."""
    sent, threads = {}, 8

    def client(mine):
        connection = http.client.HTTPConnection(host, port, timeout=60)
        for number in range(mine, count, threads):
            wait = began + number / per_second - time.perf_counter()
            if wait > 0:
                time.sleep(wait)
            to = f"tx{number}@d{number % DOMAINS}.example"
            body = json.dumps({"to": to, "content": {"from": "a@sender.example", "subject": "code",
                                                     "text": f"Your code is {number}\n"}})
            for attempt in range(3):
                sent[to] = time.time() * 1000
                try:
                    connection.request("POST", "/v1/messages", body, {
                        "Authorization": f"Bearer {key}", "Content-Type": "application/json"})
                    answer = connection.getresponse()
                    data = answer.read()
                    break
                except (OSError, http.client.HTTPException):
                    connection.close()  # it was kept too long; the next is a fresh one
                    check(attempt < 2, "a message could not be posted")
            check(answer.status < 300, f"a message was answered {answer.status} {data[:200]}")
        connection.close()

    began = time.perf_counter()
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        for future in [pool.submit(client, mine) for mine in range(threads)]:
            future.result()
    return {f"tx{n}@d{n % DOMAINS}.example": sent[f"tx{n}@d{n % DOMAINS}.example"]
            for n in range(count)}


@part
def measure_events(disk):
    """Events a second to one reader."""
    count = scaled(500_000)
    with Bench(disk) as world:
        campaign = world.campaign(content=content(1000))
        submit(campaign, count)
        world.drain(campaign, count)
        key, cursor, seen, spent, bytes_read = world.api().key, None, 0, 0.0, 0
        connection = http.client.HTTPConnection(world.host, world.port, timeout=60)
        cpu = world.cpu()
        while seen < count:
            path = "/v1/events?limit=10000&wait=10s" + (f"&after={cursor}" if cursor else "")
            began = time.perf_counter()
            connection.request("GET", path, headers={"Authorization": f"Bearer {key}"})
            data = connection.getresponse().read()
            spent += time.perf_counter() - began
            page = json.loads(data)
            check(page["events"], f"only {seen} events of {count}")
            seen += len(page["events"])
            bytes_read += len(data)
            cursor = page["next"]
        connection.close()
        record("events.per_s", seen / spent)
        record("events.cpu_us", (world.cpu() - cpu) * 1e6 / seen)
        record("events.bytes_each", bytes_read / seen)


@part
def measure_scale(disk):
    """CPU per message of four workers on one CPU over that of one worker."""
    count, cost = scaled(500_000), {}
    internet = '[[domain]]\npattern = "d{0..99}.example"\n'
    for workers in (1, 4):
        with Bench(disk, internet=internet, workers=workers,
                   delivery=FAST.replace("32", "8")) as world:
            campaign = world.campaign(content=content(5000))
            submit(campaign, count)
            rate, cost[workers], _ = world.drain(campaign, count)
            record(f"scale.rate.{workers}w", rate)
            record(f"scale.cpu_us.{workers}w", cost[workers])
    record("scale.cpu_ratio.4w", cost[4] / cost[1])


def descriptors():
    import resource
    return resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 500


@part
def measure_connections(disk):
    """Memory of a connection to a host that fell silent in the middle of a transaction."""
    wanted = min(scaled(10_000, 200), descriptors())
    hosts = 100
    with Bench(disk, internet=f"""
[[domain]]
pattern = "d{{0..{hosts - 1}}}.example"
hang_at = "rcpt"
""", delivery=f"connections = {-(-wanted // hosts)}\nmessages_per_second = 0\nstop_wait = \"1s\"") as world:
        campaign = world.campaign(content=content(5000))
        submit(campaign, wanted + 2 * hosts, domains=hosts)
        idle = anonymous(world)
        campaign.start()
        wait_until(lambda: world.mxsim.stats()["open_connections"] >= wanted * 0.99,
                   lambda: f"{wanted} connections, there are {world.mxsim.stats()}", 300)
        open_now = world.mxsim.stats()["open_connections"]
        record("connections.open", open_now)
        record("connections.bytes_each", (anonymous(world) - idle) / open_now)


def anonymous(world):
    from lab import settled_bytes
    return settled_bytes(world.pid)


@part
def measure_internet(disk):
    """A picture of the real thing: slow hosts, refusals, greylisting, lost connections, cold DNS."""
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
""", delivery="connections = 10\nconnections_max = 10000\n", flags=()) as world:
        campaign = world.campaign(content=content(5000))
        campaign.start()
        cpu, began = world.cpu(), time.perf_counter()
        submit(campaign, count, batch=20_000, domains=100_000)
        campaign.close()
        state = campaign.wait_complete(3600)
        seconds = time.perf_counter() - began
        record("internet.messages_per_s", count / seconds)
        record("internet.cpu_us", (world.cpu() - cpu) * 1e6 / count)
        record("internet.delivered_share", state["counts"]["delivered"] / count)
        record("internet.memory_mib", anonymous(world) / (1 << 20))
        world.check_manners()
