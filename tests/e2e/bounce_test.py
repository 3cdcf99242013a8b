"""What is refused for good bounces, once, with the peer's words; nobody else does."""
from harness import World, addresses_of, case, check, equal, main, people

INTERNET = """
[[domain]]
pattern = "d{0..9}.example"
rcpt_5xx = 0.3
rcpt_5xx_text = "550 5.1.1 Nobody of that name"
[[domain]]
pattern = "body{0..2}.example"
body_5xx = 0.4
body_5xx_text = "554 5.7.1 Not in this house"
[[domain]]
pattern = "data{0..2}.example"
extensions = ["PIPELINING"]
data_5xx = 1.0
"""


@case
def exactly_the_refused_bounce():
    with World(INTERNET) as world:
        campaign = world.campaign()
        groups = {"rcpt": people(600), "body": people(150, "body{}.example", 3, "b"),
                  "data": people(150, "data{}.example", 3, "e")}
        everybody = sum(groups.values(), [])
        campaign.start()
        campaign.submit(everybody)
        campaign.close()
        state = campaign.wait_complete()
        ledger = world.mxsim.ledger()
        refused = {stage: {a for a in addresses_of(group)
                           if ledger[a]["refused_5xx"] > 0 and ledger[a]["accepted"] == 0}
                   for stage, group in groups.items()}
        all_refused = set.union(*refused.values())
        check(all(len(some) > 20 for some in refused.values()), f"few were refused: {refused}")
        equal(state["counts"]["bounced"], len(all_refused), f"bounced of {state}")
        events = campaign.events()
        bounced = {e["address"]: e for e in events if e["type"] == "bounced"}
        equal(set(bounced), all_refused, "who bounced")
        for address in refused["rcpt"]:
            event = bounced[address]
            equal((event["code"], event["enhanced"]), (550, "5.1.1"), f"{address}'s code")
            check("Nobody of that name" in event["reply"], f"{address}'s reply: {event}")
        # What became of one is told as its event tells it.
        address = min(refused["rcpt"])
        [found] = campaign.api.call("GET", f"/v1/recipients/{address}")["recipients"]
        equal((found["state"], found["class"], found["last_attempt"]["enhanced_code"]),
              ("bounced", "bulk", "5.1.1"), f"what is known of {address}: {found}")
        for address in refused["body"]:
            equal(bounced[address]["code"], 554, f"{address}'s code")
        world.check_ledger([a for a in addresses_of(everybody) if a not in all_refused])
        for address in all_refused:
            check(ledger[address]["attempts"] <= 2,
                  f"{address} was tried {ledger[address]['attempts']} times")


main()
