"""kill -9, again and again, while mail comes in and goes out: nothing acknowledged is lost, and what
arrives twice was in flight when a kill came.

CYCLES in the environment makes it longer."""
import os
import random
import time

from harness import World, case, check, equal, main, wait_until
from load import Submitter

CYCLES = int(os.environ.get("CYCLES", "20"))
CONNECTIONS = 8
SITES = 4

INTERNET = """
[[domain]]
pattern = "d{0..3}.example"
latency_ms = 2
rcpt_4xx = 0.1
rcpt_4xx_times = 1
"""
LIMITS = f"connections = {CONNECTIONS}\n"


def survive(world, submitter, campaign, end_life, cycles):
    """Ends `cycles` lives of the daemon at random moments under load; random, but the same each run."""
    dice = random.Random(20_26)
    for cycle in range(cycles):
        before = world.mxsim.stats()["messages"]
        wait_until(lambda: world.mxsim.stats()["messages"] > before or submitter.wrong,
                   f"mail to flow in life {cycle + 1}")
        check(not submitter.wrong, submitter.wrong)
        time.sleep(dice.uniform(0, 0.4))
        end_life()
        world.daemon.start()
    submitter.stopping.set()
    submitter.join(240)
    check(not submitter.is_alive() and not submitter.wrong, f"the submitter: {submitter.wrong}")
    equal(campaign.counts()["accepted"], len(submitter.acknowledged), "what was acknowledged")
    campaign.close()
    return campaign.wait_complete(300)


def report(world, addresses, kills):
    ledger = world.check_ledger(addresses, duplicates_allowed=True)
    twice = [ledger[a] for a in addresses if ledger[a]["accepted"] > 1]
    extra = sum(entry["accepted"] - 1 for entry in twice)
    print(f"kills: {kills}, acknowledged: {len(addresses)}, lost: 0, duplicates: {extra}")
    return extra


@case
def nothing_acknowledged_is_lost():
    with World(INTERNET, workers=2, delivery=LIMITS) as world:
        campaign = world.campaign()
        campaign.start()
        submitter = Submitter(campaign, 100, SITES)
        submitter.start()
        state = survive(world, submitter, campaign, world.daemon.kill, CYCLES)
        equal(state["counts"]["delivered"], len(submitter.acknowledged), "delivered")
        extra = report(world, submitter.acknowledged, CYCLES)
        # One message per connection is sent and not yet known to have arrived, and a few turns of
        # two loops pass until its outcome is written at its home.
        limit = CYCLES * CONNECTIONS * SITES * 4
        check(extra <= limit, f"{extra} duplicates, more than {limit} were ever in flight at the kills")
        told = {e["address"] for e in campaign.events() if e["type"] == "delivered"}
        equal(told, set(submitter.acknowledged), "who was told to be delivered")


@case
def a_graceful_restart_sends_nothing_twice():
    with World(INTERNET, workers=2, delivery=LIMITS) as world:
        campaign = world.campaign()
        campaign.start()
        submitter = Submitter(campaign, 100, SITES)
        submitter.start()
        survive(world, submitter, campaign, world.daemon.stop, CYCLES)
        equal(report(world, submitter.acknowledged, 0), 0, "duplicates over graceful restarts")
        told = [e["address"] for e in campaign.events() if e["type"] == "delivered"]
        equal(sorted(told), sorted(submitter.acknowledged), "who was told to be delivered, once each")


main()
