"""One message submitted for several recipients: few transactions, an outcome for each of them."""
from harness import World, case, check, check_schema, equal, main, wait_until

INTERNET = """
[listen]
keep_bodies = true
[[domain]]
pattern = "c{0..4}.customers.example"
provider = "big.example"
mx_hosts = 1
rcpt_5xx = 0.2
rcpt_5xx_text = "550 5.1.1 Nobody of that name"
rcpt_4xx = 0.2
rcpt_4xx_times = 1
rcpt_4xx_text = "450 4.2.1 Try again"
[[domain]]
pattern = "few.example"
max_recipients = 4
[[domain]]
pattern = "body.example"
body_4xx = 1.0
body_4xx_times = 1
"""

MESSAGE = {"subject": "To the list", "from": "shop@sender.example", "to": "list@sender.example",
           "text": "The same for all of you\n"}
ENDED = ("delivered", "bounced", "expired", "cancelled")


def send(world, addresses, content=None, **more):
    answer = world.api().call("POST", "/v1/messages", {
        "to": addresses, "content": content or MESSAGE, **more})
    equal(len(answer["recipients"]), len(addresses), f"recipients of {answer}")

    def all_ended():
        events = world.api().events()
        ended = {e["address"]: e for e in events if e["type"] in ENDED}
        return (events, ended) if len(ended) >= len(addresses) else None

    events, ended = wait_until(all_ended, f"the end of {len(addresses)} recipients")
    check_schema(events)
    return events, ended


@case
def each_recipient_has_its_own_outcome():
    with World(INTERNET) as world:
        addresses = [f"user{i}@c{i % 5}.customers.example" for i in range(100)]
        events, ended = send(world, addresses)
        ledger = world.mxsim.ledger()
        refused = {a for a in addresses if ledger[a]["refused_5xx"] > 0}
        later = {a for a in addresses if ledger[a]["refused_4xx"] > 0}
        check(len(refused) > 5 and len(later) > 5, f"few were refused: {refused} {later}")
        equal({a for a, e in ended.items() if e["type"] == "bounced"}, refused, "who bounced")
        deferred = {e["address"] for e in events if e["type"] == "deferred"}
        equal(deferred, later, "who was deferred")
        for address in refused:
            equal((ended[address]["code"], ended[address]["enhanced"]), (550, "5.1.1"),
                  f"{address}'s code")
        reached = [a for a in addresses if a not in refused]
        world.check_ledger(reached)
        equal(len({ledger[a]["sha256"] for a in reached}), 1, "different messages")
        transactions = world.mxsim.stats()["messages"]
        check(transactions <= len(addresses) // 2,
              f"{transactions} transactions for {len(addresses)} recipients")


@case
def what_differs_by_recipient_goes_alone():
    with World(INTERNET) as world:
        addresses = [f"user{i}@few.example" for i in range(12)]
        send(world, addresses, {**MESSAGE, "to": "{{address}}"})
        equal(world.mxsim.stats()["messages"], 12, "transactions")
        world.check_ledger(addresses)


@case
def a_host_that_takes_few_recipients_gets_few():
    with World(INTERNET, delivery="connections = 1") as world:
        addresses = [f"user{i}@few.example" for i in range(40)]
        events, _ = send(world, addresses)
        world.check_ledger(addresses)
        equal([e for e in events if e["type"] == "deferred"], [], "deferrals for no fault of theirs")


@case
def the_answer_to_the_content_is_everybodys():
    for pipelining in ("across", "within", "off"):
        for chunking in ("true", "false"):
            with World(INTERNET,
                       delivery=f'pipelining = "{pipelining}"\nchunking = {chunking}') as world:
                addresses = [f"user{i}@body.example" for i in range(20)]
                events, ended = send(world, addresses)
                world.check_ledger(addresses)
                equal({e["type"] for e in ended.values()}, {"delivered"}, "outcomes")
                equal(len({e["address"] for e in events if e["type"] == "deferred"}), 20,
                      "deferred once each")


@case
def a_restart_changes_no_bytes():
    with World(INTERNET) as world:
        world.mxsim.set("body.example", "body_4xx_times", 1000)
        addresses = [f"user{i}@body.example" for i in range(10)]
        world.api().call("POST", "/v1/messages", {"to": addresses, "content": MESSAGE})
        wait_until(lambda: len(world.mxsim.ledger()) == 10, "everybody to be tried")
        world.restart("kill")
        world.mxsim.set("body.example", "body_4xx_times", 1)
        wait_until(lambda: world.mxsim.stats()["reached"] == 10, "everybody to be reached")
        world.check_ledger(addresses)


main()
