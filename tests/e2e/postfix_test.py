"""A mail server that nobody here wrote: Debian's Postfix takes our mail into maildirs. Needs root."""
import email
import email.policy
import os

from harness import NotRun, World, addresses_of, case, check, equal, main, people, wait_until
from postfix_server import Postfix

MAIN_CF = """
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
meta_directory = {folder}/etc
maillog_file = {folder}/postfix.log
maillog_file_prefixes = {folder}
myhostname = mx.peer.example
mydestination =
mynetworks = 127.0.0.0/8
inet_protocols = ipv4
virtual_mailbox_domains = peer.example
virtual_mailbox_base = {folder}/maildirs
virtual_mailbox_maps = texthash:{folder}/etc/mailboxes
alias_maps =
alias_database =
virtual_uid_maps = static:65534
virtual_gid_maps = static:65534
local_header_rewrite_clients =
smtpd_client_connection_count_limit = 0
smtpd_client_connection_rate_limit = 0
smtpd_recipient_restrictions = permit_mynetworks, reject
default_process_limit = 20
"""

MASTER_CF = """
127.0.0.1:{port} inet n - n - - smtpd
qmgr unix n - n 300 1 qmgr
virtual unix - n n - - virtual
"""


class Maildirs(Postfix):
    """A Postfix that puts what comes for `addresses` into maildirs."""

    def __init__(self, folder, port, addresses):
        super().__init__(folder / "postfix", MAIN_CF, MASTER_CF.format(port=port), {
            "mailboxes": "".join(f"{a} {a.split('@')[0]}/\n" for a in addresses)})
        self.start()
        try:
            wait_until(lambda: self.listens(port), lambda: "Postfix to listen: " + self.logs())
        except BaseException:
            self.close()
            raise

    def mailboxes(self):
        """{local part: [message]} of what was delivered."""
        found = {}
        for path in (self.folder / "maildirs").glob("*/new/*"):
            found.setdefault(path.parent.parent.name, []).append(path.read_bytes())
        return found

    def count(self):
        return sum(1 for _ in (self.folder / "maildirs").glob("*/new/*"))


RAW = ("From: a@sender.example\r\nTo: you@peer.example\r\nSubject: as sent\r\n"
       "Date: Mon, 01 Jan 2024 00:00:00 +0000\r\nMessage-ID: <fixed@sender.example>\r\n\r\n"
       ".one\r\n..two\r\n.\r\n\r\n" + "long " * 180 + "\r\nFrom here\r\nend\r\n")


def sent_part(message):
    """The message without what Postfix put in front: from our own first header on."""
    return message[message.index(b"\nFrom: ") + 1:]


@case
def postfix_gets_every_message_once_as_it_was_sent():
    if os.geteuid() != 0:
        raise NotRun("Postfix and its namespace need root")
    port = 20_000 + os.getpid() % 10_000
    modes = ("across", "off")
    recipients = {mode: people(200, "peer.example", prefix=f"{mode}-") for mode in modes}
    merged_addresses = sum((addresses_of(recipients[mode]) for mode in modes), [])
    raw_addresses = [f"raw-{a}" for a in merged_addresses]
    with World(start=False) as world:
        postfix = Maildirs(world.folder, port, merged_addresses + raw_addresses)
        try:
            route = f'[[route]]\ndomain = "peer.example"\nhosts = ["127.0.0.1:{port}"]\n'
            for mode in modes:
                world.reconfigure(tables=route, delivery=f'pipelining = "{mode}"')
                if mode == "across":
                    world.daemon.start()
                else:
                    world.restart()
                raw = world.campaign(content={"message": RAW, "unsubscribe": "none"})
                merged = world.campaign()
                for campaign in (raw, merged):
                    campaign.start()
                raw.submit([a for a in raw_addresses if a.startswith(f"raw-{mode}-")])
                merged.submit(recipients[mode])
                for campaign in (raw, merged):
                    campaign.close()
                    state = campaign.wait_complete()
                    equal(state["counts"]["delivered"], 200, f"delivered of {state['counts']}")
            wait_until(lambda: postfix.count() >= 800, lambda: f"800 files, there are "
                       f"{postfix.count()}: {postfix.logs()}", 240)
            boxes = postfix.mailboxes()
            equal(len(boxes), 800, "mailboxes")
            for box, messages in boxes.items():
                equal(len(messages), 1, f"messages for {box}")
                if box.startswith("raw-"):
                    equal(sent_part(messages[0]), RAW.replace("\r\n", "\n").encode(), box)
                else:
                    name = box.rsplit("-", 1)[1]
                    message = email.message_from_bytes(messages[0], policy=email.policy.default)
                    text = message.get_body(("plain",)).get_content()
                    check(text.startswith(f"Dear Name {name},\n\n.a line"), f"{box}: {text!r}")
        finally:
            postfix.close()


main()
