"""Limits are kept, whatever the hosts do; a stopped process and a lost DNS server only cost time."""
import contextlib
import json
import resource
import signal
import socket

from harness import NO_DESCRIPTORS, World, addresses_of, case, check, check_sum, equal, main, \
    people, to_ndjson, wait_until

PROVIDER = """
[[domain]]
pattern = "c{0..19}.customers.example"
provider = "big.example"
mx_hosts = 2
latency_ms = 5
"""


@case
def connections_are_limited_per_site():
    with World(PROVIDER, workers=2, delivery="connections = 3") as world:
        campaign = world.campaign()
        recipients = people(600, "c{}.customers.example", 20)
        campaign.start()
        campaign.submit(recipients)
        campaign.close()
        campaign.wait_complete()
        world.check_ledger(addresses_of(recipients))
        hosts = world.mxsim.hosts()
        most = max(host["most_open"] for host in hosts.values())
        check(most <= 3, f"{most} connections to one host, 3 are allowed: {hosts}")


@case
def hosts_that_take_few_connections_get_few():
    with World("""
[[domain]]
pattern = "d{0..1}.example"
max_connections = 2
latency_ms = 5
""", delivery="connections = 10") as world:
        campaign = world.campaign()
        recipients = people(300, domains=2)
        campaign.start()
        campaign.submit(recipients)
        campaign.close()
        state = campaign.wait_complete()
        equal(state["counts"]["delivered"], 300, f"delivered of {state['counts']}")
        world.check_ledger(addresses_of(recipients))


@case
def messages_per_connection_are_limited():
    with World("""
[[domain]]
pattern = "d{0..1}.example"
""", delivery="messages_per_connection = 5\nconnections = 2") as world:
        campaign = world.campaign()
        recipients = people(100, domains=2)
        campaign.start()
        campaign.submit(recipients)
        campaign.close()
        campaign.wait_complete()
        world.check_ledger(addresses_of(recipients))
        wait_until(lambda: world.mxsim.stats()["open_connections"] == 0, "connections to close")
        for host in world.mxsim.hosts().values():
            check(host["messages"] <= 5 * host["connections"], f"too many on one connection: {host}")


@case
def batches_have_the_lines_that_are_configured():
    with World(http="batch_lines = 100") as world:
        campaign = world.campaign()
        equal(campaign.submit(people(100))["accepted"], 100, "accepted")
        path = campaign.path + "/recipients"
        headers = {"Content-Type": "application/x-ndjson"}
        status, _, answer = world.api().raw("POST", path, to_ndjson(people(101, prefix="more")),
                                            headers)
        equal(status, 413, f"the status of {answer}")
        equal(campaign.counts()["accepted"], 100, "accepted after a batch that was too large")
        world.reconfigure(http="batch_lines = 101")
        world.daemon.command("reload", "--socket", world.daemon.socket)
        equal(campaign.submit(people(101, prefix="more"))["accepted"], 101, "after a reload")


@case
def too_little_free_space_stops_submission():
    with World(free_min="1TiB") as world:
        api = world.api()
        campaign = world.campaign()
        message = {"to": "a@d1.example",
                   "content": {"subject": "s", "from": "s@sender.example", "text": "t"}}
        for path, body, kind in (
                (campaign.path + "/recipients", to_ndjson(people(5)), "application/x-ndjson"),
                ("/v1/messages", json.dumps(message).encode(), "application/json")):
            status, headers, answer = api.raw("POST", path, body, {"Content-Type": kind})
            equal(status, 507, f"the status of {answer}")
            check("Retry-After" in headers, f"no Retry-After in {headers}")
        state = world.daemon.command("status", "--socket", world.daemon.socket)
        equal(state["spool"]["state"], "full", f"the spool's state in {state}")
        world.reconfigure(free_min="16MiB")
        world.restart()
        campaign.start()
        campaign.submit(people(5))
        campaign.close()
        campaign.wait_complete()


@case
def the_status_adds_up_and_names_the_sources():
    tables = """
[[source]]
name = "here"
address = "127.0.0.2"
ehlo = "here.sender.example"
[[source]]
name = "absent"
address = "192.0.2.77"
ehlo = "absent.sender.example"
"""
    with World(tables=tables, workers=2) as world:
        for source in ("here", "absent"):
            campaign = world.campaign(sources=[source])
            campaign.start()
            campaign.submit(people(30, prefix=source))
            campaign.close()

        def status():
            return world.daemon.command("status", "--socket", world.daemon.socket)

        wait_until(lambda: status()["totals"]["delivered"] == 30
                   and [s["state"] for s in status()["sources"]] == ["ok", "stopped"],
                   lambda: f"one source to deliver and one to be stopped: {status()}")
        totals = status()["totals"]
        equal(totals["accepted"], 60, f"accepted of {totals}")
        check_sum(totals, "the status")
        sources = {s["name"]: s for s in status()["sources"]}
        check("192.0.2.77 is not an address of this machine" in sources["absent"]["reason"],
              f"the reason: {sources}")
        equal(status()["spool"]["state"], "ok", "the spool")
        equal(status()["divert"], None, "divert")
        text = world.daemon.command("status", "--socket", world.daemon.socket, json_output=False)
        for words in ("accepted 60", "here.sender.example", "stopped"):
            check(words in text, f"'{words}' is missing in:\n{text}")
        campaign.cancel()
        wait_until(lambda: status()["totals"]["cancelled"] == 30, "30 cancelled in the status")


@case
def waiting_readers_are_limited():
    # One thousand may wait on a worker; the limit on connections must not be met before.
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(soft, 4096), hard), hard))
    with World(workers=1, http="connections = 3000") as world:
        key = world.key()
        asked = (f"GET /v1/events?wait=20s&after={world.api().call('GET', '/v1/events')['next']} "
                 f"HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {key}\r\n\r\n").encode()
        sockets = []
        try:
            for _ in range(1000):
                sockets.append(socket.create_connection((world.host, world.port)))
                sockets[-1].sendall(asked)

            def refused():
                with socket.create_connection((world.host, world.port)) as one:
                    one.settimeout(0.2)
                    one.sendall(asked)
                    with contextlib.suppress(TimeoutError):
                        return one.recv(200).startswith(b"HTTP/1.1 503 ")
                return False

            wait_until(refused, "one reader too many to be refused")
        finally:
            for one in sockets:
                one.close()
        equal(world.api().raw("GET", "/healthz")[0], 200, "the server's health")


@case
def a_stopped_process_goes_on():
    with World("""
[[domain]]
pattern = "d{0..9}.example"
latency_ms = 5
""") as world:
        campaign = world.campaign()
        recipients = people(1000)
        campaign.submit(recipients)
        campaign.start()
        campaign.close()
        for _ in range(3):
            before = world.mxsim.stats()["messages"]
            world.daemon.process.signal(signal.SIGSTOP)
            world.daemon.process.signal(signal.SIGCONT)
            wait_until(lambda: world.mxsim.stats()["messages"] > before
                       or campaign.counts()["delivered"] == 1000, "mail to flow again")
        campaign.wait_complete()
        world.check_ledger(addresses_of(recipients))


@case
def few_descriptors_only_slow_it_down():
    def few():
        resource.setrlimit(resource.RLIMIT_NOFILE, (160, 160))

    with World("""
[[domain]]
pattern = "d{0..299}.example"
latency_ms = 5
""", start=False) as world:
        world.daemon.start(preexec_fn=few, env=NO_DESCRIPTORS)
        campaign = world.campaign()
        recipients = people(900, domains=300)
        campaign.start()
        campaign.submit(recipients)
        campaign.close()
        state = campaign.wait_complete(240)
        equal(state["counts"]["delivered"], 900, f"delivered of {state['counts']}")
        world.check_ledger(addresses_of(recipients))


def resident_bytes(pid):
    with open(f"/proc/{pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


# What a connection takes with its two waiting recipients, and with sanitisers twice and more.
SILENT_CONNECTION_BYTES = 48 * 1024


@case
def many_silent_hosts_cost_little():
    with World("""
[[domain]]
pattern = "silent{0..999}.example"
hang_at = "banner"
[[domain]]
pattern = "d{0..9}.example"
""", delivery="connections = 2\nstop_wait = \"1s\"") as world:
        campaign = world.campaign()
        campaign.start()
        before = resident_bytes(world.daemon.process.pid)
        campaign.submit(people(2000, "silent{}.example", 1000, "s"))
        wait_until(lambda: world.mxsim.stats()["open_connections"] >= 1000, "a thousand connections")
        grown = resident_bytes(world.daemon.process.pid) - before
        print(f"memory of a connection to a silent host: {grown // 1000} bytes")
        check(grown < 1000 * SILENT_CONNECTION_BYTES,
              f"{grown // 1000} bytes for a connection; at most {SILENT_CONNECTION_BYTES}")
        recipients = people(200)
        campaign.submit(recipients)
        wait_until(lambda: campaign.counts()["delivered"] == 200, "the others to be delivered")
        world.check_ledger(addresses_of(recipients))
        world.daemon.stop()


main()
