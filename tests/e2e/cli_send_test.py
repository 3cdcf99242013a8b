"""`postring send` and the other commands, as an operator uses them."""
import signal
import subprocess

from harness import DEADLINE_S, World, addresses_of, case, check, equal, main, people, programs, \
    to_csv, wait_until

CAMPAIGN = """
name = "From the command line"
unsubscribe = "https://shop.example/u/{{recipient_id}}"
[content]
subject = "Hello {{name}}"
from = "Shop <news@sender.example>"
text = "Dear {{name}}"
"""

SLOW = """
[[domain]]
pattern = "d{0..9}.example"
latency_ms = 2
"""


def send(world, recipients, *flags):
    """Starts `postring send`; returns the process."""
    (world.folder / "campaign.toml").write_text(CAMPAIGN)
    (world.folder / "list.csv").write_bytes(to_csv(recipients))
    command = [programs().postring, "send", world.folder / "campaign.toml", "--recipients",
               world.folder / "list.csv", "--url", f"http://{world.host}:{world.port}", "--key",
               world.key(), *flags]
    return subprocess.Popen([str(w) for w in command], stdin=subprocess.DEVNULL, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


@case
def send_brings_a_list():
    with World() as world:
        recipients = people(2000)
        done = send(world, recipients)
        output, _ = done.communicate(timeout=DEADLINE_S)
        equal(done.returncode, 0, f"the exit status of send: {output}")
        wait_until(lambda: world.mxsim.stats()["reached"] == 2000, "everybody to be reached")
        world.check_ledger(addresses_of(recipients))


@case
def send_survives_a_restart_of_the_server():
    with World(SLOW) as world:
        recipients = people(20_000)
        done = send(world, recipients, "--batch", "500")
        for how in ("kill", "stop", "kill"):
            before = world.mxsim.stats()["messages"]
            wait_until(lambda: world.mxsim.stats()["messages"] > before + 50
                       or done.poll() is not None, "mail to flow")
            world.restart(how)
        output, _ = done.communicate(timeout=240)
        equal(done.returncode, 0, f"the exit status of send: {output}")
        campaigns = world.api().call("GET", "/v1/campaigns")["campaigns"]
        equal(len(campaigns), 1, "campaigns")
        equal(campaigns[0]["counts"]["accepted"], 20_000, "accepted")
        wait_until(lambda: world.mxsim.stats()["reached"] == 20_000, "everybody to be reached", 300)
        world.check_ledger(addresses_of(recipients), duplicates_allowed=True)


@case
def rejected_lines_are_printed():
    with World() as world:
        recipients = people(3) + [{"address": "not an address", "ref": "x",
                                   "data": {"name": "X", "ref": "x"}}]
        done = send(world, recipients)
        output, _ = done.communicate(timeout=DEADLINE_S)
        check("not an address" in output or "5" in output, f"the rejected line is not named: {output}")
        wait_until(lambda: world.mxsim.stats()["reached"] == 3, "the good ones to be reached")


@case
def a_reload_is_all_or_nothing():
    with World() as world:
        good = world.config()
        world.daemon.configure(good.replace("[dns]", "[dns]\nnonsense = 1"))
        world.daemon.process.signal(signal.SIGHUP)
        campaign = world.campaign()
        campaign.start()
        campaign.submit(people(50))
        campaign.close()
        campaign.wait_complete()
        check(world.daemon.process.alive(), "the daemon did not survive a bad reload")
        wait_until(lambda: "nonsense" in world.daemon.process.tail(), "the log to name the mistake")


@case
def a_bad_configuration_is_told_whole():
    with World(start=False) as world:
        world.daemon.configure(world.config() + "\n[nowhere]\nx = 1\n")
        done = subprocess.run([programs().postring, "check", "config", world.daemon.config_file],
                              capture_output=True, text=True, timeout=DEADLINE_S)
        check(done.returncode != 0, "a bad configuration was found good")
        check("nowhere" in done.stdout + done.stderr, f"the mistake: {done.stdout}{done.stderr}")
        world.daemon.configure(world.config())
        world.daemon.command("check", "config", world.daemon.config_file, json_output=False)


main()
