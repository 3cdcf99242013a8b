"""The oldest kernel that is promised: the end-to-end tests of the whole path and of DNS, and a campaign
that is paused, killed and gone on with; daemon and hosts run on Debian's own kernel in an emulated
machine. WHOLE=1 in the environment runs the long cases, too."""
import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "e2e"))
import guest_world  # noqa: E402
import harness  # noqa: E402
from harness import addresses_of, case, check, equal, people, wait_until  # noqa: E402

OLDEST = "6.1."
# Run with WHOLE=1 or by name: what waits long, or sends more than an emulated machine likes.
LONG = ("an_outage_slows_and_never_bounces", "private_addresses_are_never_used",
        "name_servers_are_changed_while_it_runs", "a_campaign_arrives_once_and_is_told_once")
harness.World = guest_world.GuestWorld
main, harness.main = harness.main, lambda: None


@case
def the_kernel_is_the_oldest_one():
    kernel = guest_world.guest().kernel
    print(f"the guest's kernel: {kernel}")
    check(kernel.startswith(OLDEST), f"the guest runs {kernel}, not {OLDEST}x")


@case
def a_campaign_goes_on_over_pause_kill_and_restart():
    internet = '[[domain]]\npattern = "d{0..9}.example"\nlatency_ms = 20\n'
    with harness.World(internet, workers=2, delivery="connections = 2\n") as world:
        recipients = people(600)
        api, campaign = world.api(), world.campaign()
        campaign.start()
        campaign.submit(recipients)
        campaign.close()
        delivered = lambda: campaign.counts()["delivered"]  # noqa: E731
        wait_until(lambda: delivered() >= 50, "the first deliveries")
        campaign.pause()
        wait_until(lambda: campaign.counts()["in_flight"] == 0, "nothing to be in flight")
        at_pause = delivered()
        check(at_pause < len(recipients), "nothing was left to pause")
        events, cursor = api.events_after(None, campaign=campaign.id)
        world.restart("kill")
        equal(campaign.show()["state"], "paused", "the state after a kill")
        equal(delivered(), at_pause, "delivered after a kill")
        campaign.resume()
        wait_until(lambda: delivered() >= at_pause + 50, "more deliveries")
        world.restart("stop")
        campaign.wait_complete()
        world.check_ledger(addresses_of(recipients))
        campaign.events()
        events += api.events_after(cursor, campaign=campaign.id)[0]
        told = {event["address"] for event in events if event["type"] == "delivered"}
        equal(told, set(addresses_of(recipients)), "who was told of over the cursor")


@case
def a_campaign_is_cancelled():
    internet = '[[domain]]\npattern = "d{0..9}.example"\nlatency_ms = 50\n'
    with harness.World(internet, workers=2, delivery="connections = 1\n") as world:
        campaign = world.campaign()
        campaign.submit(people(300))
        campaign.start()
        campaign.close()
        wait_until(lambda: campaign.counts()["delivered"] >= 10, "the first deliveries")
        equal(campaign.cancel()["state"], "cancelled", "the state")

        def settled():
            counts = campaign.counts()
            return counts["waiting"] + counts["in_flight"] == 0 and counts

        counts = wait_until(settled, "everything to be settled")
        check(counts["cancelled"] > 0, f"nothing was cancelled: {counts}")
        equal(world.mxsim.stats()["accepted"], counts["delivered"], "what the hosts took")


import dns_test  # noqa: E402, F401
import whole_path_test  # noqa: E402, F401

for name in LONG:
    if name not in sys.argv and not os.environ.get("WHOLE"):
        harness.leave_out(name)
main()
