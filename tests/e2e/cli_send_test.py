"""`postring send` and the other commands, as an operator uses them."""
import json
import os
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


def postring(*words, **environment):
    """Runs the command; its exit status, output and complaints."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("POSTRING_")}
    done = subprocess.run([str(w) for w in (programs().postring, *words)], capture_output=True,
                          text=True, timeout=DEADLINE_S, env={**plain, **environment})
    return done.returncode, done.stdout, done.stderr


@case
def the_command_line_goes_before_the_environment():
    with World() as world:
        world.campaign()
        url, key = f"http://{world.host}:{world.port}", world.key()
        nowhere = "http://127.0.0.1:1"
        listing = ("campaign", "list", "--json")
        good = [((), {"POSTRING_URL": url, "POSTRING_KEY": key}),
                (("--url", url), {"POSTRING_URL": nowhere, "POSTRING_KEY": key}),
                (("--url", url, "--key", key), {"POSTRING_KEY": "wrong", "POSTRING_SOCKET": "/no"}),
                (("--socket", world.daemon.socket), {"POSTRING_SOCKET": "/no", "POSTRING_KEY": "x"}),
                (("--config", world.daemon.config_file), {"POSTRING_SOCKET": "/no"}),
                ((), {"POSTRING_SOCKET": str(world.daemon.socket)})]
        for words, environment in good:
            status, output, wrong = postring(*listing, *words, **environment)
            equal(status, 0, f"the status with {words} and {environment}: {wrong}")
            equal(len(output.splitlines()), 1, f"campaigns with {words} and {environment}")
        bad = [(("--url", nowhere), {"POSTRING_URL": url, "POSTRING_KEY": key}),
               (("--key", "wrong"), {"POSTRING_URL": url, "POSTRING_KEY": key}),
               (("--socket", "/no"), {"POSTRING_URL": url, "POSTRING_KEY": key})]
        for words, environment in bad:
            status, _, wrong = postring(*listing, *words, **environment)
            equal(status, 1, f"the status with {words} and {environment}")
            check(wrong.startswith("postring: "), f"the complaint: {wrong}")


@case
def over_the_socket_a_tenant_may_be_named():
    with World() as world:
        world.campaign(name="ours")
        world.campaign(api=world.api("globex"), name="theirs")
        socket = ("--socket", world.daemon.socket)

        def names(*words):
            status, output, wrong = postring("campaign", "list", "--json", *socket, *words)
            equal(status, 0, f"the status with {words}: {wrong}")
            return sorted(json.loads(line)["name"] for line in output.splitlines())

        equal(names(), ["ours", "theirs"], "campaigns of every tenant")
        equal(names("--tenant", "globex"), ["theirs"], "campaigns of one tenant")
        status, _, wrong = postring("events", "--tenant", "nobody", *socket)
        check(status == 1 and "no such tenant" in wrong, f"an unknown tenant: {status} {wrong}")
        status, _, wrong = postring("campaign", "list", "--tenant", "acme", "--key", world.key())
        check(status == 1 and "--tenant" in wrong, f"a tenant beside a key: {status} {wrong}")


@case
def wrong_words_are_told_what_there_is():
    tries = {("nonsense",): "explain", ("campaign", "strat", "1"): "start", (): "Usage",
             ("campaign",): "Usage", ("campaign", "list", "--state", "foo"): "paused",
             ("events", "--limit", "0"): "--limit", ("events", "--type", "foo"): "bounced",
             ("send",): "campaign"}
    for words, told in tries.items():
        status, output, wrong = postring(*words)
        equal(status, 2, f"the exit status of {words}")
        check(told in wrong and not output, f"{words} was told {output}{wrong}")


@case
def the_system_is_checked_for_what_listens():
    with World(start=False) as world:
        def findings(file):
            _, output, _ = postring("check", "system", "--config", file, "--json")
            return {one["name"]: one["state"] for one in json.loads(output)["findings"]}

        api = f"API on {world.host}:{world.port}"
        found = findings(world.daemon.config_file)
        equal((found["control socket"], found[api]), ("ok", "ok"), "before the start")
        world.daemon.start()
        equal(findings(world.daemon.config_file)[api], "warning", "while a postring runs")
        other = world.folder / "other.toml"
        other.write_text(world.config().replace("/control.sock", "/nowhere/control.sock"))
        equal(findings(other)["control socket"], "wrong", "without the socket's folder")
        status, _, wrong = postring("serve", "--config", other)
        check(status == 1, f"the exit status of serve: {status} {wrong}")


main()
