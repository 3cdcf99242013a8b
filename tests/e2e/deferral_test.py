"""What is deferred is tried again, exactly as often as it has to be, with the same bytes."""
import datetime

from harness import World, addresses_of, case, check, chosen, equal, main, people, wait_until

SHARES = """
[[domain]]
pattern = "d{0..9}.example"
rcpt_4xx = 0.5
rcpt_4xx_times = 2
rcpt_4xx_text = "450 4.2.1 Try me later"
"""


def expected_deferrals(address, share, what, times):
    attempt = 0
    while chosen(share, what, address, attempt, times):
        attempt += 1
    return attempt


@case
def recipients_are_tried_again_until_they_take_it():
    with World(SHARES) as world:
        campaign = world.campaign()
        recipients = people(1000)
        campaign.start()
        campaign.submit(recipients)
        campaign.close()
        campaign.wait_complete()
        ledger = world.check_ledger(addresses_of(recipients))
        expected = {a: expected_deferrals(a, 0.5, "rcpt_4xx", 2) for a in addresses_of(recipients)}
        for address, deferrals in expected.items():
            equal(ledger[address]["attempts"], deferrals + 1, f"attempts for {address}")
        deferred = [e for e in campaign.events() if e["type"] == "deferred"]
        equal(len(deferred), sum(expected.values()), "deferred events")
        for event in deferred:
            equal((event["code"], event["enhanced"], event["stage"]), (450, "4.2.1", "rcpt"),
                  f"what {event} says")
            check("Try me later" in event["reply"] and event["next_attempt"], f"told: {event}")


STAGES = """
[[domain]]
pattern = "mail{0..2}.example"
mail_4xx = 0.3
mail_4xx_times = 1
[[domain]]
pattern = "data{0..2}.example"
data_4xx = 0.5
data_4xx_times = 2
[[domain]]
pattern = "body{0..2}.example"
body_4xx = 0.5
body_4xx_times = 2
[[domain]]
pattern = "banner{0..2}.example"
banner_4xx = 1.0
banner_4xx_times = 1
[[domain]]
pattern = "helo{0..2}.example"
helo_4xx = 1.0
helo_4xx_times = 1
"""


@case
def every_stage_may_say_later():
    with World(STAGES) as world:
        campaign = world.campaign()
        recipients = []
        for stage in ("mail", "data", "body", "banner", "helo"):
            recipients += people(150, domain=stage + "{}.example", domains=3, prefix=stage)
        campaign.start()
        campaign.submit(recipients)
        campaign.close()
        campaign.wait_complete()
        world.check_ledger(addresses_of(recipients))


@case
def a_restart_keeps_the_schedule():
    with World("""
[[domain]]
pattern = "d{0..9}.example"
rcpt_4xx = 1.0
rcpt_4xx_times = 2
""") as world:
        campaign = world.campaign()
        recipients = people(200)
        campaign.start()
        campaign.submit(recipients)
        campaign.close()
        wait_until(lambda: campaign.counts()["deferrals"] >= 100, "the first deferrals")
        world.restart("kill")
        campaign.wait_complete()
        ledger = world.check_ledger(addresses_of(recipients))
        for address in addresses_of(recipients):
            check(ledger[address]["attempts"] >= 3, f"{address} was not refused twice")


@case
def expiry_ends_what_nobody_takes():
    with World("""
[[domain]]
pattern = "d{0..9}.example"
rcpt_4xx = 1.0
""") as world:
        campaign = world.campaign()
        campaign.start()
        soon = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=3)
        recipients = [{**r, "expires_at": soon.isoformat()} for r in people(50)]
        campaign.submit(recipients)
        campaign.close()
        state = campaign.wait_complete(deadline_s=240)
        equal(state["counts"]["expired"], 50, f"expired of {state['counts']}")
        expired = [e for e in campaign.events() if e["type"] == "expired"]
        equal(len(expired), 50, "expired events")


main()
