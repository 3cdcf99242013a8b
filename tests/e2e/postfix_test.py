"""A mail server that nobody here wrote: Debian's Postfix takes our mail into maildirs.

Postfix is unpacked, not installed: in a mount namespace of its own it finds itself at the places where it
was built to be. Needs root, for the namespace and because Postfix does."""
import email
import email.policy
import os
import pathlib
import shutil
import signal
import socket
import subprocess

from harness import DEADLINE_S, Process, World, addresses_of, case, check, equal, main, people, \
    wait_until

CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME", "/var/tmp")) / "postring-test-postfix"

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
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
proxymap unix - - n - - proxymap
error unix - - n - - error
retry unix - - n - - error
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""

# What is seen inside the namespace: Postfix at its places, its users, and our configuration.
ENTER = """
set -e
mount --make-rprivate /
mount -t proc proc /proc
mount -t overlay overlay -o lowerdir={root}/usr:/usr /usr
cat /etc/passwd > {folder}/passwd
cat /etc/group > {folder}/group
grep -q ^postfix: {folder}/passwd || echo 'postfix:x:64090:64090::/:/usr/sbin/nologin' >> {folder}/passwd
grep -q ^postfix: {folder}/group || echo 'postfix:x:64090:' >> {folder}/group
grep -q ^postdrop: {folder}/group || echo 'postdrop:x:64091:' >> {folder}/group
mount --bind {folder}/passwd /etc/passwd
mount --bind {folder}/group /etc/group
chown -R 64090:64090 {folder}/data {folder}/queue
chown 0:0 {folder}/queue {folder}/queue/pid
chgrp 64091 {folder}/queue/public {folder}/queue/maildrop
chmod 700 {folder}/queue/[a-o]* {folder}/queue/private
chmod 730 {folder}/queue/maildrop
chmod 710 {folder}/queue/public
chown 65534:65534 {folder}/maildirs
exec /usr/sbin/postfix -c {folder}/etc start-fg
"""


def unpacked():
    """The folder with Postfix's files and the libraries it needs."""
    root = CACHE / "root"
    if (root / "usr/sbin/postfix").exists():
        return root
    shutil.rmtree(CACHE, ignore_errors=True)
    download = CACHE / "download"
    download.mkdir(parents=True)
    subprocess.run(["apt-get", "-q", "-o", "Acquire::Retries=3", "download", "postfix", "libdb5.3",
                    "libicu72", "libnsl2", "libsasl2-2", "libtirpc3"], cwd=download, check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=DEADLINE_S)
    partial = CACHE / "partial"
    for package in sorted(download.glob("*.deb")):
        subprocess.run(["dpkg-deb", "-x", package, partial], check=True)
    partial.rename(root)
    return root


class Postfix:
    def __init__(self, folder, port, addresses):
        self.folder, self.port = folder / "postfix", port
        queues = ("active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming",
                  "private", "saved", "trace", "pid", "public", "maildrop")
        for name in ("etc", "data", "maildirs", *(f"queue/{queue}" for queue in queues)):
            (self.folder / name).mkdir(parents=True)
        # Postfix's own users must be able to get here.
        for path in (folder, self.folder, self.folder / "queue"):
            path.chmod(0o755)
        etc = self.folder / "etc"
        (etc / "main.cf").write_text(MAIN_CF.format(folder=self.folder))
        (etc / "master.cf").write_text(MASTER_CF.format(port=port))
        (etc / "mailboxes").write_text("".join(f"{a} {a.split('@')[0]}/\n" for a in addresses))
        (etc / "postfix-files").write_text("")
        (etc / "postfix-files.d").mkdir()
        (etc / "dynamicmaps.cf").write_text("")
        script = ENTER.format(folder=self.folder, root=unpacked())
        self.process = Process("postfix", ["unshare", "--mount", "--pid", "--fork", "bash", "-c",
                                           script], self.folder / "start.log")
        wait_until(self.listens, lambda: "Postfix to listen: " + self.logs())

    def logs(self):
        log = self.folder / "postfix.log"
        own = log.read_text(errors="replace")[-3000:] if log.exists() else ""
        return self.process.tail() + own

    def listens(self):
        check(self.process.alive(), "Postfix ended: " + self.logs())
        try:
            with socket.create_connection(("127.0.0.1", self.port), 10) as connection:
                return connection.recv(3) == b"220"
        except OSError:
            return False

    def mailboxes(self):
        """{local part: [message]} of what was delivered."""
        found = {}
        for path in (self.folder / "maildirs").glob("*/new/*"):
            found.setdefault(path.parent.parent.name, []).append(path.read_bytes())
        return found

    def count(self):
        return sum(1 for _ in (self.folder / "maildirs").glob("*/new/*"))

    def close(self):
        # The one child of unshare is the first process of its PID namespace: all below goes with it.
        pid = self.process.pid
        children = pathlib.Path(f"/proc/{pid}/task/{pid}/children")
        for child in children.read_text().split() if children.exists() else []:
            os.kill(int(child), signal.SIGKILL)
        self.process.kill()


RAW = ("From: a@sender.example\r\nTo: you@peer.example\r\nSubject: as sent\r\n"
       "Date: Mon, 01 Jan 2024 00:00:00 +0000\r\nMessage-ID: <fixed@sender.example>\r\n\r\n"
       ".one\r\n..two\r\n.\r\n\r\n" + "long " * 180 + "\r\nFrom here\r\nend\r\n")


def sent_part(message):
    """The message without what Postfix put in front: from our own first header on."""
    return message[message.index(b"\nFrom: ") + 1:]


@case
def postfix_gets_every_message_once_as_it_was_sent():
    if os.geteuid() != 0:
        print("not run: Postfix and its namespace need root")
        return
    port = 20_000 + os.getpid() % 10_000
    modes = ("across", "off")
    recipients = {mode: people(200, "peer.example", prefix=f"{mode}-") for mode in modes}
    merged_addresses = sum((addresses_of(recipients[mode]) for mode in modes), [])
    raw_addresses = [f"raw-{a}" for a in merged_addresses]
    with World(start=False) as world:
        postfix = Postfix(world.folder, port, merged_addresses + raw_addresses)
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
