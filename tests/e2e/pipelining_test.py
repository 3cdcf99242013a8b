"""Every way to hold the conversation, against every kind of host, without one breach of the grammar."""
from harness import World, addresses_of, case, equal, main, people

INTERNET = """
[[domain]]
pattern = "all{0..2}.example"
[[domain]]
pattern = "none{0..2}.example"
extensions = []
[[domain]]
pattern = "helo{0..2}.example"
ehlo = false
extensions = []
[[domain]]
pattern = "pipe{0..2}.example"
extensions = ["PIPELINING"]
[[domain]]
pattern = "chunk{0..2}.example"
extensions = ["CHUNKING", "SIZE", "8BITMIME"]
[[domain]]
pattern = "slow{0..2}.example"
write_bytes = 1
latency_ms = 3
[[domain]]
pattern = "refuse{0..2}.example"
rcpt_5xx = 0.3
mail_4xx = 0.1
mail_4xx_times = 1
data_4xx = 0.1
data_4xx_times = 1
body_4xx = 0.1
body_4xx_times = 1
[[domain]]
pattern = "few{0..2}.example"
close_after_messages = 3
"""
KINDS = ("all", "none", "helo", "pipe", "chunk", "slow", "refuse", "few")


def everybody_gets_it(pipelining, chunking):
    delivery = f'pipelining = "{pipelining}"\nchunking = {"true" if chunking else "false"}'
    with World(INTERNET, delivery=delivery) as world:
        campaign = world.campaign()
        recipients = []
        for kind in KINDS:
            recipients += people(60, kind + "{}.example", 3, kind)
        campaign.start()
        campaign.submit(recipients)
        campaign.close()
        state = campaign.wait_complete()
        counts = state["counts"]
        equal(counts["delivered"] + counts["bounced"], len(recipients), f"outcomes in {counts}")
        bounced = {e["address"] for e in campaign.events() if e["type"] == "bounced"}
        wrong = [a for a in bounced if "@refuse" not in a]
        equal(wrong, [], "who bounced without having been refused")
        world.check_ledger([a for a in addresses_of(recipients) if a not in bounced])


@case
def one_command_at_a_time():
    everybody_gets_it("off", False)


@case
def within_a_message():
    everybody_gets_it("within", False)


@case
def across_messages():
    everybody_gets_it("across", False)


@case
def chunks_one_at_a_time():
    everybody_gets_it("off", True)


@case
def chunks_across_messages():
    everybody_gets_it("across", True)


main()
