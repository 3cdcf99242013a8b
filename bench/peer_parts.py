"""The part that measures a peer on the same machine, in the same run, against the same sink."""
import os
import pathlib
import shutil
import subprocess
import time

from harness import check, wait_until
from lab import FAST, TICKS, Bench, content, part, record, scaled, submit
from postfix_server import Postfix, unpacked

CONCURRENCY = 50
SIZE = 5_000

# Its fastest here: no connection cache, every limit out of the way. It lets go of nothing while it is filled
# (no queue manager), and then delivers to one destination, the sink.
MAIN_CF = """
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
meta_directory = {folder}/etc
maillog_file = {folder}/postfix.log
maillog_file_prefixes = {folder}
myhostname = mail.sender.example
mydestination =
mynetworks = 127.0.0.0/8
inet_protocols = ipv4
inet_interfaces = 127.0.0.1
alias_maps =
alias_database =
relayhost = [SINK]:PORT
smtpd_client_connection_count_limit = 0
smtpd_client_connection_rate_limit = 0
smtpd_recipient_restrictions = permit_mynetworks, reject
default_process_limit = 200
default_destination_concurrency_limit = CONCURRENCY
initial_destination_concurrency = CONCURRENCY
smtp_connection_cache_on_demand = no
qmgr_message_active_limit = 100000
qmgr_message_recipient_limit = 100000
local_header_rewrite_clients =
"""
FILL_CF = "127.0.0.1:{port} inet n - n - - smtpd\n"
DRAIN_CF = "qmgr unix n - n 300 1 qmgr\nsmtp unix - - n - - smtp\nrelay unix - - n - - smtp\n"


def cpu_of_all_below(pid):
    """CPU seconds of a process, all below it, and those of them that have ended."""
    children = pathlib.Path(f"/proc/{pid}/task/{pid}/children")
    total, waiting = 0, [pid]
    while waiting:
        one = waiting.pop()
        try:
            fields = pathlib.Path(f"/proc/{one}/stat").read_text().rsplit(")", 1)[1].split()
            children = pathlib.Path(f"/proc/{one}/task/{one}/children").read_text().split()
        except OSError:
            continue
        total += sum(int(field) for field in fields[11:15])
        waiting += [int(child) for child in children]
    return total / TICKS


def fill(postfix, port, count):
    environment = {**os.environ, "LD_LIBRARY_PATH": ":".join(
        str(unpacked() / folder) for folder in ("usr/lib/postfix", "usr/lib/x86_64-linux-gnu"))}
    subprocess.run([unpacked() / "usr/sbin/smtp-source", "-s", "20", "-l", str(SIZE), "-m", str(count),
                    "-f", "a@sender.example", "-t", "user@d0.example", "-N", f"127.0.0.1:{port}"],
                   env=environment, check=True, timeout=1200, stdout=subprocess.DEVNULL)
    queued = sum(1 for path in (postfix.folder / "queue/incoming").rglob("*") if path.is_file())
    check(queued == count, f"{queued} of {count} messages lie in Postfix's queue: {postfix.logs()}")


def drain(world, postfix, count):
    """Messages a second between the first and the last at the sink, and CPU us for each."""
    everywhere = ("taskset", "-c", f"0-{(os.cpu_count() or 1) - 1}")
    before = world.mxsim.stats()["messages"]
    postfix.start(wrapper=everywhere)
    first = wait_until(lambda: (time.perf_counter(), world.mxsim.stats()["messages"] - before)
                       if world.mxsim.stats()["messages"] > before else None,
                       lambda: "the first message: " + postfix.logs(), 120, 0.01)
    cpu = cpu_of_all_below(postfix.process.pid)
    wait_until(lambda: world.mxsim.stats()["messages"] - before >= count,
               lambda: f"{count} messages at the sink: {postfix.logs()}", 1200, 0.02)
    sent, seconds = count - first[1], time.perf_counter() - first[0]
    return sent / seconds, (cpu_of_all_below(postfix.process.pid) - cpu) * 1e6 / sent


@part
def measure_postfix(disk):
    """Draining a full queue over what Debian's Postfix does with it, on the same disk to the same sink."""
    check(os.geteuid() == 0, "Postfix and its namespace need root")
    count = scaled(20_000, 2_000)
    port = 20_000 + os.getpid() % 10_000
    ours = max(count, scaled(500_000))
    with Bench(disk, delivery=FAST.replace("32", str(CONCURRENCY))) as world:
        campaign = world.campaign(content=content(SIZE))
        submit(campaign, ours)
        rate, cpu_us, _ = world.drain(campaign, ours)
        record("postfix.postring_per_s", rate)
        record("postfix.postring_cpu_us", cpu_us)
        world.daemon.stop()
        sink = next(iter(world.mxsim.hosts()))
        settings = MAIN_CF.replace("SINK", sink).replace("PORT", str(world.mxsim.smtp))
        postfix = Postfix(disk.spool() / "postfix", settings.replace("CONCURRENCY", str(CONCURRENCY)),
                          FILL_CF.format(port=port))
        # Its users must reach its folder.
        for folder in postfix.folder.parents:
            if folder.is_relative_to(disk.folder):
                folder.chmod(0o755)
        try:
            postfix.start(wrapper=("taskset", "-c", f"0-{(os.cpu_count() or 1) - 1}"))
            wait_until(lambda: postfix.listens(port), lambda: "Postfix to listen: " + postfix.logs())
            fill(postfix, port, count)
            postfix.close()
            postfix.write_services(DRAIN_CF)
            theirs, their_cpu_us = drain(world, postfix, count)
        finally:
            postfix.close()
            shutil.rmtree(postfix.folder, ignore_errors=True)
    record("postfix.per_s", theirs)
    record("postfix.cpu_us", their_cpu_us)
    record("postfix.ratio", rate / theirs)
