"""Pause and cancel mean it from the moment they are answered, also when the power goes an instant later."""
import datetime

from harness import World, addresses_of, case, check, equal, main, people, wait_until

SLOW = """
[[domain]]
pattern = "d{0..9}.example"
latency_ms = 30
rcpt_delay_ms = 20
"""
LIMITS = "connections = 2\n"


def running(world, count=3000):
    campaign = world.campaign()
    campaign.submit(people(count))
    campaign.start()
    campaign.close()
    wait_until(lambda: campaign.counts()["delivered"] >= 20, "the first deliveries")
    return campaign


def check_silence(world, campaign):
    """Since pause or cancel was answered no MAIL command was sent and none is.

    A command that was under way to the host when the answer came is counted there after it: at
    most one on each of the two connections to each of the ten hosts.
    """
    before = world.mxsim.stats()["mail_commands"]
    wait_until(lambda: campaign.counts()["in_flight"] == 0, "nothing to be in flight")
    # Long enough for several round trips on every connection there was.
    for _ in range(10):
        campaign.counts()
    wait_until(lambda: world.mxsim.stats()["open_connections"] == 0, "idle connections to close")
    after = world.mxsim.stats()["mail_commands"]
    check(after <= before + 20, f"{after - before} MAIL commands after the answer")


@case
def pause_stops_and_resume_goes_on():
    with World(SLOW, workers=2, delivery=LIMITS) as world:
        campaign = running(world)
        answer = campaign.pause()
        equal(answer["state"], "paused", "the state")
        check_silence(world, campaign)
        counts = campaign.counts()
        check(counts["waiting"] > 0, f"nothing was left to pause: {counts}")
        world.mxsim.set("d{0..9}.example", "rcpt_delay_ms", 0)
        world.mxsim.set("d{0..9}.example", "latency_ms", 0)
        equal(campaign.resume()["state"], "running", "the state after resume")
        state = campaign.wait_complete()
        equal(state["counts"]["delivered"], 3000, "delivered")
        world.check_ledger(addresses_of(people(3000)))


@case
def pause_survives_a_kill():
    with World(SLOW, delivery=LIMITS) as world:
        campaign = running(world, 1000)
        campaign.pause()
        world.daemon.kill()
        # What the dead one had sent is being read by the hosts.
        wait_until(lambda: world.mxsim.stats()["open_connections"] == 0, "the hosts to notice")
        before = world.mxsim.stats()["mail_commands"]
        world.daemon.start()
        equal(campaign.show()["state"], "paused", "the state after kill -9")
        check_silence(world, campaign)
        equal(world.mxsim.stats()["mail_commands"], before, "MAIL commands of the next life")
        campaign.resume()
        campaign.wait_complete()
        world.check_ledger(addresses_of(people(1000)), duplicates_allowed=True)


@case
def cancel_ends_it():
    with World(SLOW, workers=2, delivery=LIMITS) as world:
        campaign = running(world)
        answer = campaign.cancel()
        equal(answer["state"], "cancelled", "the state")
        check_silence(world, campaign)

        def settled():
            counts = campaign.counts()
            return counts["waiting"] == 0 and counts["in_flight"] == 0 and counts

        counts = wait_until(settled, "everything to be settled")
        check(counts["cancelled"] > 0, f"nothing was cancelled: {counts}")
        equal(counts["delivered"] + counts["cancelled"], 3000, f"outcomes: {counts}")
        equal(world.mxsim.stats()["accepted"], counts["delivered"], "what the hosts took")
        world.restart("kill")
        equal(campaign.show()["state"], "cancelled", "the state after kill -9")
        equal(campaign.counts(), counts, "the counts after kill -9")


@case
def a_campaign_starts_by_itself_when_it_is_time():
    with World() as world:
        world.key()  # made before, so that little comes between the time and its being asked for
        soon = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=4)
        campaign = world.campaign(start_at=soon.isoformat())
        equal(campaign.show()["state"], "scheduled", "the state")
        campaign.submit(people(50))
        campaign.close()
        campaign.wait_complete()
        ledger = world.check_ledger(addresses_of(people(50)))
        first = min(entry["first_ms"] for entry in ledger.values())
        check(first >= soon.timestamp() * 1000 - 1, "mail left before its time")


@case
def complete_comes_once():
    with World() as world:
        campaign = world.campaign()
        campaign.start()
        campaign.submit(people(20))
        wait_until(lambda: campaign.counts()["delivered"] == 20, "twenty deliveries")
        equal(campaign.show()["state"], "running", "the state before close")
        campaign.close()
        campaign.wait_complete()
        for how in ("kill", "stop"):
            world.restart(how)
            equal(campaign.show()["state"], "complete", f"the state after {how}")
        # A kill may let it be told again, as any event: by the same id.
        told = {e["id"] for e in campaign.events() if e["type"] == "campaign.complete"}
        equal(len(told), 1, "campaign.complete events of different ids")


main()
