"""The second half of tools/quickstart: a simulated internet, a daemon, a campaign, and what came of it.

    quickstart.py POSTRING MXSIM [--recipients N]
"""
import argparse
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests" / "e2e"))
import harness  # noqa: E402

DOMAINS = 200
BATCH = 10_000

# 200 domains: quick ones, slow ones, and a few that greylist. Two addresses in a hundred are unknown.
INTERNET = """
[default]
latency_ms = [2, 30]
rcpt_5xx = 0.02
rcpt_5xx_text = "550 5.1.1 No such user here"
[[domain]]
pattern = "d{0..169}.example"
[[domain]]
pattern = "d{170..189}.example"
rcpt_4xx = 0.2
rcpt_4xx_times = 1
rcpt_4xx_text = "450 4.2.1 Mailbox is busy"
[[domain]]
pattern = "d{190..199}.example"
greylist_ms = 1500
"""

CONTENT = {
    "subject": "{{name}}, your sample has arrived",
    "from": "Sample Shop <news@shop.example>",
    "text": "Dear {{name}},\n\nthis message was rendered for you and sent by postring.\n",
    "html": "<p>Dear {{name}},</p><p>this message was rendered for you and sent by "
            "<a href=\"https://shop.example/?c={{recipient_id}}\">postring</a>.</p>",
    "unsubscribe": "https://shop.example/unsubscribe/{{recipient_id}}",
    "return_path": "bounce+{{verp}}@shop.example",
}


def people(first, count):
    return [{"address": f"person{i}@d{i % DOMAINS}.example", "ref": str(i),
             "data": {"name": f"Person {i}"}} for i in range(first, first + count)]


class Progress:
    """One line that is written over on a terminal, one line every few seconds elsewhere."""

    def __init__(self):
        self.live = sys.stdout.isatty()
        self.began = self.shown = time.monotonic()
        self.before = (self.began, 0)
        self.rate = 0.0

    def show(self, counts, total, last=False):
        now = time.monotonic()
        if not last and now - self.shown < (0.2 if self.live else 2):
            return
        self.shown = now
        done = counts["delivered"] + counts["bounced"] + counts["expired"]
        if now - self.before[0] >= 1:
            self.rate = (done - self.before[1]) / (now - self.before[0])
            self.before = (now, done)
        left = f"{(total - done) / self.rate:.0f} s left" if self.rate > 0 and done < total else ""
        line = (f"  sent {counts['delivered']:>7,}  deferred {counts['deferrals']:>6,}  "
                f"bounced {counts['bounced']:>6,}  {done * 100 // max(total, 1):>3} %  "
                f"{self.rate:>8,.0f}/s  {left}")
        print(("\r" + line.ljust(90)) if self.live else line, end="" if self.live else "\n", flush=True)

    def end(self):
        if self.live:
            print()


def run(world, total):
    print("  start: simulated internet on port "
          f"{world.mxsim.smtp}, postring on http://{world.host}:{world.port}")
    campaign = world.campaign(content=CONTENT, name="quickstart")
    campaign.start()
    print(f"  send {total:,} recipients in {DOMAINS} domains")
    began = time.monotonic()
    progress = Progress()
    for first in range(0, total, BATCH):
        campaign.submit(people(first, min(BATCH, total - first)), key=f"quickstart-{first}", insist=True)
        progress.show(campaign.counts(), total)
    campaign.close()
    while True:
        state = campaign.show()
        progress.show(state["counts"], total, last=state["state"] == "complete")
        if state["state"] == "complete":
            break
        harness.check(time.monotonic() - began < 900, f"it does not end: {state}")
        time.sleep(0.1)
    progress.end()
    return state["counts"], time.monotonic() - began


def summary(world, counts, seconds, total):
    """Prints what happened beside what the hosts received; returns whether the two agree."""
    stats = world.mxsim.stats()
    refused = sum(entry["refused_5xx"] > 0 and entry["accepted"] == 0
                  for entry in world.mxsim.ledger().values())
    rows = [
        ("accepted by postring", counts["accepted"], total),
        ("delivered", counts["delivered"], stats["accepted"]),
        ("of these twice", 0, stats["duplicated"]),
        ("bounced", counts["bounced"], refused),
        ("expired or cancelled", counts["expired"] + counts["cancelled"], 0),
        ("left over", counts["waiting"] + counts["in_flight"], 0),
        ("breaches of the protocol", 0, sum(v["count"] for v in stats["violations"].values())),
    ]
    print(f"\n  {'':<26}{'postring':>10}{'the hosts':>12}")
    for name, ours, theirs in rows:
        print(f"  {name:<26}{ours:>10,}{theirs:>12,}   {'ok' if ours == theirs else 'DIFFERS'}")
    print(f"\n  {counts['deferrals']:,} attempts were deferred and tried again. {seconds:.1f} s, "
          f"{counts['accepted'] / seconds:,.0f} messages/s, on {world.mxsim.stats()['connections']:,} "
          "connections.")
    return all(ours == theirs for _, ours, theirs in rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("postring")
    parser.add_argument("mxsim")
    parser.add_argument("--recipients", type=int, default=100_000)
    options = parser.parse_args()
    harness.use_programs(options.postring, options.mxsim)
    try:
        with harness.World(INTERNET, workers=0, delivery="connections = 20",
                           segment_size="64MiB") as world:
            counts, seconds = run(world, options.recipients)
            good = summary(world, counts, seconds, options.recipients)
    except harness.Failed as error:
        print(f"\nquickstart failed: {error}", file=sys.stderr)
        return 1
    print("\n  Everything that was sent arrived, once." if good else "\n  The two do not agree.")
    print("  Stopped what was started. Next: README.md")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
