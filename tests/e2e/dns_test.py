"""What DNS says decides: where mail goes, what waits, and what can never arrive."""
from harness import World, addresses_of, case, check, equal, main, people, wait_until

INTERNET = """
[[domain]]
pattern = "null{0..1}.example"
dns = "null_mx"
[[domain]]
pattern = "none{0..1}.example"
dns = "nxdomain"
[[domain]]
pattern = "fail{0..1}.example"
dns = "servfail"
dns_times = 2
[[domain]]
pattern = "silent{0..1}.example"
dns = "timeout"
dns_times = 2
[[domain]]
pattern = "implicit{0..1}.example"
dns = "implicit"
[[domain]]
pattern = "alias{0..1}.example"
dns = "cname"
cname = "plain0.example"
[[domain]]
pattern = "plain{0..1}.example"
[[domain]]
pattern = "tcp{0..1}.example"
dns_truncate = true
mx_hosts = 20
[[domain]]
pattern = "second{0..1}.example"
mx_hosts = 2
refuse_hosts = 1
[[domain]]
pattern = "private{0..1}.example"
address = "10.1.2.3"
[[domain]]
pattern = "late{0..1}.example"
dns_delay_ms = 300
"""


@case
def every_answer_has_its_outcome():
    with World(INTERNET) as world:
        campaign = world.campaign()
        arrive = ["fail", "silent", "implicit", "alias", "plain", "tcp", "second", "late"]
        never = ["null", "none"]
        groups = {kind: people(20, kind + "{}.example", 2, kind) for kind in arrive + never}
        campaign.start()
        campaign.submit(sum(groups.values(), []))
        campaign.close()
        campaign.wait_complete()
        world.check_ledger(addresses_of(sum((groups[kind] for kind in arrive), [])))
        events = campaign.events()
        bounced = {e["address"]: e for e in events if e["type"] == "bounced"}
        equal(set(bounced), set(addresses_of(groups["null"] + groups["none"])), "who bounced")
        for address, event in bounced.items():
            equal(event["stage"], "dns", f"where {address} was decided: {event}")
        equal({bounced[a].get("enhanced") for a in addresses_of(groups["null"])}, {"5.1.10"},
              "the enhanced code of a null MX")
        check(world.mxsim.stats()["dns_tcp_queries"] > 0, "no question went over TCP")


@case
def private_addresses_are_never_used():
    with World(INTERNET) as world:
        campaign = world.campaign()
        recipients = people(10, "private{}.example", 2)
        campaign.start()
        campaign.submit(recipients)
        campaign.close()
        events = wait_until(lambda: [e for e in campaign.events() if e["type"] != "campaign.complete"],
                            "an outcome for private addresses")
        check(all(e["type"] in ("bounced", "deferred") for e in events), f"outcomes: {events[:3]}")
        equal({e.get("enhanced") for e in events}, {"5.4.4"}, "the enhanced code")
        equal(world.mxsim.stats()["connections"], 0, "connections")


@case
def an_outage_slows_and_never_bounces():
    with World("""
[[domain]]
pattern = "d{0..9}.example"
dns = "timeout"
""") as world:
        campaign = world.campaign()
        recipients = people(100)
        campaign.start()
        campaign.submit(recipients)
        campaign.close()
        wait_until(lambda: world.mxsim.stats()["dns_queries"] >= 20, "questions into the silence")
        counts = campaign.counts()
        equal(counts["bounced"], 0, "bounced during the outage")
        world.mxsim.set("d{0..9}.example", "dns", "mx")
        campaign.wait_complete()
        world.check_ledger(addresses_of(recipients))


@case
def name_servers_are_changed_while_it_runs():
    with World(INTERNET) as world:
        right = world.dns
        campaign = world.campaign()
        campaign.start()
        campaign.submit(["first@plain0.example"])
        wait_until(lambda: campaign.counts()["delivered"] == 1, "the first to arrive")

        def reload(dns, **more):
            world.reconfigure(dns=dns, **more)
            changes = world.daemon.command("reload", "--socket", world.daemon.socket)["changes"]
            return {change["key"]: change["needs_restart"] for change in changes}

        # Nobody listens there.
        wrong = 'servers = ["127.0.0.1:1"]\nallow_networks = ["127.0.0.0/8"]\ntimeout = "200ms"\n' \
                'tries = 1'
        equal(reload(wrong, tables='[events]\nkeep = "1d"'),
              {"dns.servers": False, "dns.timeout": False, "dns.tries": False,
               "dns.negative_ttl_max": False, "events.keep": False}, "what changed")
        campaign.submit(["second@plain1.example"])

        def held_by():
            found = world.api().call("GET", "/v1/recipients/second@plain1.example")["recipients"]
            return found[0].get("hold", "")

        wait_until(lambda: "looked up" in held_by(), lambda: f"DNS to hold it, not {held_by()}")
        changed = reload(right)
        equal(changed.get("dns.servers"), False, f"whether servers need a restart, of {changed}")
        campaign.submit(["third@implicit0.example"])
        wait_until(lambda: campaign.counts()["delivered"] == 2, "the third to arrive")


main()
