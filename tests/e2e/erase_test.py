"""An address that was erased is told by nobody, and no file of the spool's slices names it."""
import json
import pathlib

from harness import World, addresses_of, case, check, check_sum, equal, main, people, wait_until

INTERNET = """
[[domain]]
pattern = "d{0..9}.example"
[[domain]]
pattern = "slow.example"
rcpt_delay_ms = 240000
"""
GONE = "gone@d1.example"
PATH = "/v1/recipients/gone%40d1.example"


def files_that_name(world, address):
    """Of the slices, and what is kept of erasures; event segments are compressed."""
    named = []
    for path in pathlib.Path(world.spool).rglob("*"):
        try:
            if path.is_file() and address.encode() in path.read_bytes():
                named.append(path.name)
        except FileNotFoundError:
            pass
    return named


def check_unnamed(world, api, campaign, address):
    events = api.events()
    check(address not in json.dumps(events), "an event names the address")
    campaign.events()  # as the schema says
    equal(api.call("GET", "/v1/recipients/" + address)["recipients"], [], "what is known of it")
    page = api.call("GET", campaign.path + "/recipients?limit=1000")
    check(address not in json.dumps(page), "a list names the address")
    check_sum(campaign.counts(), "the campaign")
    return events


@case
def an_erased_address_is_told_by_nobody():
    with World(INTERNET, workers=2, retry="1h", segment_size="2MiB") as world:
        api, theirs = world.api(), world.api("globex")
        first = world.campaign()
        first.start()
        first.submit([{"address": GONE, "ref": "customer " + GONE}] + people(20))
        first.close()
        first.wait_complete()
        world.mxsim.set("d{0..9}.example", "rcpt_4xx", 1.0)
        second = world.campaign()
        second.submit([{"address": GONE, "meta": GONE}] + people(20))
        second.start()
        other = world.campaign(api=theirs)
        other.submit([GONE])
        other.start()

        def deferred():
            return second.counts()["deferrals"] == 21 and other.counts()["deferrals"] == 1

        wait_until(deferred, "everything to be deferred")
        second.events()
        before = len(api.events())
        check(files_that_name(world, GONE), "no file named it from the start")

        equal(api.raw("DELETE", PATH)[0], 403, "erasing without the scope")
        admin = world.api(scope="admin")
        answer = admin.call("DELETE", PATH)
        equal(answer, {"cancelled": 1, "in_flight": 0}, "what was erased")
        equal(second.counts()["cancelled"], 1, "cancelled")
        equal(second.counts()["waiting"], 20, "waiting")
        wait_until(lambda: len(api.events()) == before + 1, "the event of its end")
        events = check_unnamed(world, api, second, GONE)
        equal(len([e for e in events if e.get("erased")]), 3, "events of what was erased")
        equal([e["type"] for e in events if e.get("erased")], ["delivered", "deferred", "cancelled"],
              "their types")
        check_unnamed(world, api, first, GONE)
        # Another tenant's is another's.
        equal(other.counts()["waiting"], 1, "another tenant's recipient")
        check(GONE in json.dumps(other.events()), "another tenant's events do not name it")

        world.restart("kill")
        check_unnamed(world, api, second, GONE)
        equal(second.counts()["cancelled"], 1, "cancelled after kill -9")
        # The operator's command, for every tenant.
        answer = world.daemon.command("erase", GONE, "--socket", world.daemon.socket)
        equal(answer["cancelled"], 1, "what the operator erased")
        check_unnamed(world, theirs, other, GONE)
        wait_until(lambda: not files_that_name(world, GONE), "the files to be rewritten")
        world.restart()
        check_unnamed(world, api, second, GONE)
        check_unnamed(world, theirs, other, GONE)

        # What comes later is new mail.
        world.mxsim.set("d{0..9}.example", "rcpt_4xx", 0.0)
        third = world.campaign()
        third.start()
        third.submit([GONE])
        third.close()
        third.wait_complete()
        equal(third.counts()["delivered"], 1, "delivered later")
        check(GONE in json.dumps(third.events()), "events of new mail do not name it")
        equal(len(api.call("GET", PATH)["recipients"]), 1, "what is known of new mail")


@case
def one_in_flight_does_not_wait_again():
    with World(INTERNET, retry="1s") as world:
        address = "gone@slow.example"
        campaign = world.campaign()
        campaign.start()
        campaign.submit([address] + people(20))
        wait_until(lambda: world.mxsim.stats()["mail_commands"] == 21, "all to be under way")
        wait_until(lambda: campaign.counts()["delivered"] == 20, "the others to be delivered")
        answer = world.api(scope="admin").call("DELETE", "/v1/recipients/gone%40slow.example")
        equal(answer, {"cancelled": 0, "in_flight": 1}, "what was erased")
        world.daemon.kill()
        world.mxsim.set("slow.example", "rcpt_delay_ms", 0)
        world.mxsim.set("slow.example", "rcpt_4xx", 1.0)
        world.daemon.start()
        wait_until(lambda: campaign.counts()["cancelled"] == 1, "it to be cancelled")
        check_unnamed(world, world.api(), campaign, address)
        wait_until(lambda: not files_that_name(world, address), "the files to be rewritten")
        world.check_ledger(addresses_of(people(20)))


main()
