"""Limits are kept, whatever the hosts do; a stopped process and a lost DNS server only cost time."""
import resource
import signal

from harness import NO_DESCRIPTORS, World, addresses_of, case, check, equal, main, people, wait_until

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
        print(f"memory of a connection to a silent host, at most: {grown // 1000} bytes")
        recipients = people(200)
        campaign.submit(recipients)
        wait_until(lambda: campaign.counts()["delivered"] == 200, "the others to be delivered")
        world.check_ledger(addresses_of(recipients))
        world.daemon.stop()


main()
