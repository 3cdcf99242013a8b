"""Greylisting hosts get what they want: a second try, later, from the same source."""
from harness import World, addresses_of, case, equal, main, people

INTERNET = """
[[domain]]
pattern = "pair{0..4}.example"
greylist_ms = 1200
[[domain]]
pattern = "host{0..4}.example"
greylist_ms = 1200
greylist_by_host = true
"""

SOURCES = """
[[source]]
name = "one"
address = "127.0.0.2"
ehlo = "one.sender.example"
[[source]]
name = "two"
address = "127.0.0.3"
ehlo = "two.sender.example"
"""


@case
def greylisted_mail_arrives():
    with World(INTERNET, tables=SOURCES) as world:
        campaign = world.campaign(sources=["one", "two"])
        recipients = people(100, "pair{}.example", 5, "p") + people(100, "host{}.example", 5, "h")
        campaign.start()
        campaign.submit(recipients)
        campaign.close()
        campaign.wait_complete()
        world.check_ledger(addresses_of(recipients))
        sources = {}
        for event in campaign.events():
            if "source" in event and "address" in event:
                sources.setdefault(event["address"], set()).add(event["source"])
        changed = [a for a, used in sources.items() if len(used) > 1]
        equal(changed, [], "recipients whose source changed between tries")


main()
