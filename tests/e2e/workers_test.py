"""A spool written by some number of workers is served by any other."""
from harness import World, addresses_of, case, equal, main, people

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


main()
