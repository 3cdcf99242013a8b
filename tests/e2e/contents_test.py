"""Stored contents stay as long as something needs them, and no longer."""
import base64

from harness import CONTENT, World, case, check, equal, main, wait_until

CLOSED = """
[[domain]]
pattern = "d{0..9}.example"
rcpt_4xx = 1.0
"""


def large_message(to):
    attachment = base64.b64encode(bytes(range(256)) * 400).decode()
    return {"to": to, "content": {
        "subject": "Large", "from": "shop@sender.example", "text": "See the attachment",
        "attachments": [{"filename": "a.bin", "content_type": "application/octet-stream",
                         "content": attachment}]}}


@case
def what_nothing_refers_to_is_removed_at_the_start():
    with World(CLOSED) as world:
        world.campaign(content=CONTENT)
        world.api().call("POST", "/v1/messages", large_message("a@d1.example"))
        contents = world.spool / "contents"
        needed = {file.name for file in contents.iterdir()}
        equal(len(needed), 2, f"contents: {needed}")
        world.daemon.stop()
        orphan = contents / ("ab" * 32)
        orphan.write_bytes(b"left by a crash")
        world.daemon.start()
        wait_until(lambda: not orphan.exists(), "the orphan to be removed")
        equal({file.name for file in contents.iterdir()}, needed, "contents that are needed")
        world.mxsim.set("d{0..9}.example", "rcpt_4xx", 0)
        wait_until(lambda: world.mxsim.stats()["reached"] == 1, "the large message to arrive")
        world.check_ledger(["a@d1.example"])
        check(world.campaign(content=CONTENT).id, "a campaign of the same content")


main()
