"""mxsim as its clients meet it: over real sockets, with Python's own SMTP client on the other side."""
import pathlib
import smtplib
import socket
import struct
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent.parent / "tests" / "e2e"))
from harness import Mxsim, case, check, equal, main, programs, wait_until  # noqa: E402

CONFIG = """
[listen]
keep_bodies = true
[[domain]]
pattern = "d{0..9}.example"
mx_hosts = 2
[[domain]]
pattern = "slow.example"
write_bytes = 1
write_gap_ms = 1
latency_ms = 20
rcpt_delay_ms = 50
[[domain]]
pattern = "few.example"
max_connections = 1
close_after_messages = 1
[[domain]]
pattern = "grey.example"
greylist_ms = 200
[[domain]]
pattern = "lost.example"
drop_at = "body"
drop_times = 1
drop_accepts = true
drop_resets = true
[[domain]]
pattern = "silent.example"
hang_at = "mail"
[[domain]]
pattern = "tcp.example"
dns_truncate = true
"""
FIRST = 0x7F010000
MESSAGE = "From: a@b.example\r\nSubject: x\r\n\r\n.dot\r\nend\r\n"


class Net:
    """mxsim with its own folder; `host` counts the hosts from 0 in the order of the file."""

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="mxsim-test-")
        self.mxsim = Mxsim(programs().mxsim, self.folder.name, CONFIG)
        return self

    def __exit__(self, *_):
        self.mxsim.close()
        self.folder.cleanup()

    def connect(self, host):
        address = socket.inet_ntoa(struct.pack("!I", FIRST + host))
        client = smtplib.SMTP(address, self.mxsim.smtp, "me.example", 60)
        client.ehlo("me.example")
        return client

    def resolve(self, name, kind, tcp=False):
        """(flags, number of answers) for one question."""
        question = struct.pack("!6H", 7, 0x0100, 1, 0, 0, 0)
        question += b"".join(bytes([len(p)]) + p.encode() for p in name.split(".")) + b"\0"
        question += struct.pack("!2H", kind, 1)
        if tcp:
            with socket.create_connection(("127.0.0.1", self.mxsim.dns), 60) as connection:
                connection.sendall(struct.pack("!H", len(question)) + question)
                with connection.makefile("rb") as file:
                    answer = file.read(struct.unpack("!H", file.read(2))[0])
        else:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as connection:
                connection.settimeout(60)
                connection.sendto(question, ("127.0.0.1", self.mxsim.dns))
                answer = connection.recv(4096)
        _, flags, _, answers, _, _ = struct.unpack("!6H", answer[:12])
        return flags, answers


D, SLOW, FEW, GREY, LOST, SILENT = 0, 20, 21, 22, 23, 24


@case
def mail_is_taken_and_remembered():
    with Net() as net:
        for host, name in ((D, "ann@d0.example"), (SLOW, "bob@slow.example")):
            client = net.connect(host)
            client.sendmail("s@x.example", [name], MESSAGE)
            client.quit()
            entry = net.mxsim.recipient(name)
            equal((entry["accepted"], entry["attempts"]), (1, 1), f"the entry of {name}")
            equal(net.mxsim.body(name), MESSAGE, f"the message of {name}")
        stats = net.mxsim.stats()
        equal((stats["violations"], stats["unexplained"]), ({}, 0), "complaints")
        equal(set(net.mxsim.ledger()), {"ann@d0.example", "bob@slow.example"}, "the ledger")


@case
def limits_and_greylists_hold():
    with Net() as net:
        first = net.connect(FEW)
        try:
            net.connect(FEW)
        except smtplib.SMTPConnectError as error:
            equal(error.smtp_code, 421, "the code of a second connection")
        else:
            check(False, "a second connection was taken")
        first.sendmail("s@x.example", ["a@few.example"], MESSAGE)
        equal(first.mail("s@x.example")[0], 421, "the code behind the last message")
        client = net.connect(GREY)

        def taken():
            try:
                return not client.sendmail("s@x.example", ["a@grey.example"], MESSAGE)
            except smtplib.SMTPRecipientsRefused as error:
                equal(error.recipients["a@grey.example"][0], 451, "the greylist's code")
                return False

        check(not taken(), "the first try was taken")
        wait_until(taken, "the greylist to let it through")


@case
def replies_get_lost_and_hosts_fall_silent():
    with Net() as net:
        client = net.connect(LOST)
        try:
            client.sendmail("s@x.example", ["a@lost.example"], MESSAGE)
        except (smtplib.SMTPServerDisconnected, ConnectionError):
            pass
        else:
            check(False, "the reply was not lost")
        net.connect(LOST).sendmail("s@x.example", ["a@lost.example"], MESSAGE)
        entry = net.mxsim.recipient("a@lost.example")
        equal((entry["accepted"], entry["reply_lost"]), (2, 1), "acceptances and lost replies")
        equal(net.mxsim.stats()["unexplained"], 0, "unexplained duplicates")
        silent = net.connect(SILENT)
        silent.sock.settimeout(1)
        try:
            silent.mail("s@x.example")
        except (TimeoutError, smtplib.SMTPServerDisconnected):
            pass
        else:
            check(False, "a silent host spoke")


@case
def behaviour_changes_at_run_time():
    with Net() as net:
        client = net.connect(D)
        net.mxsim.set("d{0..9}.example", "rcpt_5xx", 1.0)
        client.mail("s@x.example")
        equal(client.rcpt("a@d0.example")[0], 550, "the code after the change")
        net.mxsim.reset()
        equal(net.mxsim.recipient("a@d0.example")["attempts"], 0, "attempts after a reset")


@case
def breaches_are_named():
    with Net() as net:
        with socket.create_connection(("127.1.0.0", net.mxsim.smtp), 60) as raw:
            raw.sendall(b"EHLO me.example\nMAIL FROM: <a@b.example>\r\nNONSENSE\r\nQUIT\r\n")
            while raw.recv(4096):
                pass
        wanted = {"command_bare_lf", "mail_syntax", "unknown_command"}
        got = set(net.mxsim.stats()["violations"])
        check(wanted <= got, f"violations: {got}")


@case
def names_are_resolved():
    with Net() as net:
        for tcp in (False, True):
            equal(net.resolve("d3.example", 15, tcp)[1], 2, "MX records")
            equal(net.resolve("mx2.d3.example", 1, tcp)[1], 1, "addresses")
            equal(net.resolve("unknown.example", 15, tcp)[0] & 15, 3, "the code of an unknown name")
        check(net.resolve("tcp.example", 15)[0] & 0x0200, "the answer over UDP is not cut")
        equal(net.resolve("tcp.example", 15, tcp=True)[1], 1, "MX records over TCP")


@case
def it_ends_when_told():
    with Net() as net:
        net.connect(D)
        began = time.monotonic()
        net.mxsim.process.signal(15)
        equal(net.mxsim.process.wait(), 0, f"the status after {time.monotonic() - began:.1f} s")


main()
