"""A spool written by some number of workers is served by any other."""
from harness import World, addresses_of, case, equal, main, people, wait_until

CLOSED = """
[[domain]]
pattern = "d{0..19}.example"
rcpt_4xx = 1.0
"""


@case
def any_number_of_workers_serves_a_spool():
    with World(CLOSED, workers=3) as world:
        campaign = world.campaign()
        campaign.start()
        recipients = []
        for step, workers in enumerate((1, 4, 2)):
            part = people(300, domains=20, prefix=f"p{step}-")
            campaign.submit(part)
            recipients += part
            world.daemon.stop()
            world.reconfigure(workers=workers)
            world.daemon.start()
            counts = campaign.counts()
            equal(counts["accepted"], len(recipients), f"accepted with {workers} workers")
            equal(counts["delivered"], 0, f"delivered with {workers} workers")
        world.mxsim.set("d{0..19}.example", "rcpt_4xx", 0)
        campaign.close()
        state = campaign.wait_complete()
        equal(state["counts"]["delivered"], len(recipients), f"delivered of {state['counts']}")
        world.check_ledger(addresses_of(recipients))
        again = world.campaign()
        again.start()
        again.submit(people(50))
        again.close()
        again.wait_complete()


@case
def completion_is_told_last():
    with World(workers=3) as world:
        campaigns = [world.campaign() for _ in range(12)]
        for number, campaign in enumerate(campaigns):
            campaign.start()
            campaign.submit(people(40, domains=20, prefix=f"c{number}-"))
            campaign.close()
        for campaign in campaigns:
            campaign.wait_complete()

        def all_told():
            told = [e["campaign"] for e in world.api().events(type="campaign.complete")]
            return sorted(told) == sorted(c.id for c in campaigns)

        wait_until(all_told, "one event for each campaign's completion")
        events = world.api().events()
        for campaign in campaigns:
            types = [e["type"] for e in events if e["campaign"] == campaign.id]
            equal(types, ["delivered"] * 40 + ["campaign.complete"], "the order of its events")


main()
