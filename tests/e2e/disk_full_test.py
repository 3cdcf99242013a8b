"""A disk that fills stops submission first; delivery goes on, and nothing is sent twice."""
import os
import pathlib
import subprocess
import sys

from harness import ApiError, World, addresses_of, case, check, equal, main, people, \
    to_ndjson, wait_until

CLOSED = """
[[domain]]
pattern = "d{0..9}.example"
rcpt_4xx = 1.0
"""
DISK_MIB = 160


def own_namespace():
    """Runs this file again with a mount table of its own, so that what it mounts goes with it."""
    if os.environ.get("POSTRING_TEST_NAMESPACE"):
        return
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    os.environ["POSTRING_TEST_NAMESPACE"] = "1"
    os.execvp("unshare", ["unshare", *user, "--mount", sys.executable, *sys.argv])


class SmallDisk:
    """ext4 on a loop device where that can be had, else tmpfs: both are full when they are full."""

    def __init__(self, folder):
        self.path = pathlib.Path(folder) / "small-disk"
        self.path.mkdir()
        image = pathlib.Path(folder) / "small-disk.img"
        with open(image, "wb") as file:
            file.truncate(DISK_MIB << 20)
        made = subprocess.run(["mkfs.ext4", "-q", image], capture_output=True).returncode == 0
        mounted = made and subprocess.run(["mount", "-o", "loop", image, self.path],
                                          capture_output=True).returncode == 0
        if not mounted:
            subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m", "none", self.path],
                           check=True)
        (self.path / "spool").mkdir()

    def close(self):
        subprocess.run(["umount", "-l", self.path], capture_output=True)


@case
def a_full_disk_stops_submission_and_nothing_else():
    # Time enough between two attempts to fill the disk: deferrals are not what is tested.
    with World(CLOSED, start=False, retry="3s") as world:
        disk = SmallDisk(world.folder)
        try:
            world.reconfigure(spool=disk.path / "spool")
            world.daemon.start()
            fill_and_drain(world)
        finally:
            world.daemon.kill()
            disk.close()


def fill_and_drain(world):
    campaign = world.campaign()
    campaign.start()
    accepted, number, refused = [], 0, 0
    # Each recipient brings a long value, so that the disk is soon full.
    while refused < 3:
        batch = [{**r, "data": {**r["data"], "name": r["ref"] + "x" * 1500}}
                 for r in people(2000, prefix=f"b{number}-")]
        status, headers, answer = world.api().raw(
            "POST", campaign.path + "/recipients", to_ndjson(batch),
            {"Content-Type": "application/x-ndjson", "Idempotency-Key": f"b{number}"})
        check(status in (200, 201, 507), f"batch {number} was answered {status} {answer}")
        if status == 507:
            check("Retry-After" in headers, f"no Retry-After in {headers}")
            refused += 1
        else:
            equal(answer["accepted"], 2000, f"accepted of batch {number}")
            accepted += addresses_of(batch)
        number += 1
        check(number < 200, "the disk does not fill")
    check(accepted, "nothing was accepted before the disk was full")
    print(f"accepted until the disk was full: {len(accepted)}")
    equal(campaign.counts()["accepted"], len(accepted), "accepted")
    world.restart("kill")
    equal(campaign.counts()["accepted"], len(accepted), "accepted after kill -9 on the full disk")
    world.mxsim.set("d{0..9}.example", "rcpt_4xx", 0)
    campaign.close()
    campaign.wait_complete(300)
    world.check_ledger(accepted, duplicates_allowed=True)
    equal(world.mxsim.stats()["duplicated"], 0, "duplicates")

    def accepts_again():
        try:
            return world.campaign()
        except ApiError as error:
            check(error.status in (503, 507), f"why no campaign can be made: {error}")
            return None

    wait_until(accepts_again, "the daemon to accept mail again")


own_namespace()
main()
