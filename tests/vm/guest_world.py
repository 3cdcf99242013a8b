"""The World of tests/e2e inside a virtual machine: daemon and simulated internet run on the guest's kernel.

    harness.World = GuestWorld

before a file of cases is imported makes them run there. One machine serves all worlds of a process. Its
shell is reached over a forwarded port; what a shell is told is written to its input, its output is read to
the end.
"""
import atexit
import itertools
import json
import os
import pathlib
import shlex
import shutil
import signal
import socket
import tempfile
import types

import vm
from harness import DEADLINE_S, SIMPLE_INTERNET, Daemon, Failed, Mxsim, NotRun, World, check, \
    programs, short, wait_until

BOOT_S = 300
DISK_MIB = 600
SHELL_PORT, HTTP_PORT = 7000, 8025
SCRIPT = f"""
echo "KERNEL=$(uname -r)"
nc -ll -p {SHELL_PORT} -e /bin/sh
"""


class Guest:
    """The machine and its shell."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="postring-guest-"))
        self.machine = None
        atexit.register(self.close)
        pid = os.getpid()
        self.host = f"127.80.{pid >> 8 & 255}.{(pid & 255) % 254 + 1}"
        disk = self.folder / "disk.img"
        vm.make_disk(disk, "ext4", DISK_MIB)
        image = vm.make_initramfs(self.folder, SCRIPT, "ext4", {
            "postring": programs().postring, "mxsim": programs().mxsim}, {})
        self.machine = vm.Vm(self.folder, 1, image, disk, self.host, {
            SHELL_PORT: SHELL_PORT, HTTP_PORT: HTTP_PORT})
        self.kernel = self.machine.wait_for(r"KERNEL=(\S+)\s", BOOT_S).group(1)
        wait_until(lambda: "up" in self.run("echo up"), "the guest's shell", BOOT_S)

    def close(self):
        if self.machine:
            self.machine.cut()
        shutil.rmtree(self.folder, ignore_errors=True)

    def connect(self):
        return socket.create_connection((self.host, SHELL_PORT), DEADLINE_S)

    def run(self, script):
        """What the shell prints."""
        try:
            with self.connect() as connection:
                connection.sendall(script.encode() + b"\nexit\n")
                with connection.makefile("rb") as answer:
                    return answer.read().decode(errors="replace")
        except OSError as error:
            check(self.machine.process.alive(), f"the machine ended: {self.machine.process.tail()}")
            return f"no answer: {error}"

    def relay(self, port):
        """A connection to a port that is open to the guest alone."""
        connection = self.connect()
        # The shell has read the whole line before it says the first word of it.
        connection.sendall(f"echo relay; exec nc 127.0.0.1 {port}\n".encode())
        heard = b""
        while heard != b"relay\n":
            part = connection.recv(1)
            check(part, "the guest's shell closed the connection")
            heard += part
        return connection

    def write(self, path, text):
        self.run(f"cat > {path} <<'END OF FILE'\n{text}\nEND OF FILE")


_guest = None


def guest():
    global _guest
    why_not = vm.available()
    if why_not:
        raise NotRun(why_not)
    if _guest is None:
        _guest = Guest()
    return _guest


class GuestProcess:
    """A process of the guest, as harness.Process is one of ours."""

    def __init__(self, name, command, log):
        self.name, self.log = name, log
        self.output = types.SimpleNamespace(close=lambda: None)
        self.child = types.SimpleNamespace(returncode=None, poll=self.status)
        line = " ".join(shlex.quote(str(word)) for word in command)
        self.pid = int(guest().run(
            f"( {line} > {log} 2>&1 < /dev/null & echo $! > {log}.pid; wait $!; echo $? > {log}.status )"
            f" > /dev/null 2>&1 < /dev/null &\nuntil [ -s {log}.pid ]; do sleep 0.05; done; cat {log}.pid"))

    def status(self):
        text = guest().run(f"cat {self.log}.status 2> /dev/null").strip()
        self.child.returncode = int(text) if text else None
        return self.child.returncode

    def alive(self):
        return self.status() is None

    def signal(self, number):
        guest().run(f"kill -{int(number)} {self.pid} 2> /dev/null")

    def wait(self, deadline_s=None):
        wait_until(lambda: not self.alive(), f"{self.name} to end", deadline_s)
        return self.child.returncode

    def kill(self):
        self.signal(signal.SIGKILL)
        self.wait()

    def tail(self, lines=60):
        return guest().run(f"tail -n {lines} {self.log}")


class GuestMxsim(Mxsim):
    def __init__(self, folder, config, *flags):
        self.folder = folder
        guest().write(folder / "mxsim.toml", config)
        log = folder / "mxsim.log"
        self.process = GuestProcess("mxsim", ["mxsim", "--config", folder / "mxsim.toml", *flags], log)
        line = wait_until(lambda: guest().run(f"grep ^ready {log}"), "mxsim to be ready")
        ports = dict(word.split("=") for word in line.split()[1:])
        self.dns, self.smtp, self.control = (int(ports[n]) for n in ("dns", "smtp", "control"))
        self.connection = guest().relay(self.control)
        self.file = self.connection.makefile("rwb")

    def ledger(self):
        file = self.folder / "ledger.ndjson"
        self.ask(f"dump {file}")
        entries = map(json.loads, guest().run(f"cat {file}").splitlines())
        return {entry["recipient"]: entry for entry in entries}


class GuestDaemon(Daemon):
    def configure(self, config):
        guest().write(self.config_file, config)

    def start(self, wait=True):
        self.lives += 1
        log = self.folder / f"postring.{self.lives}.log"
        self.process = GuestProcess("postring", ["postring", "serve", "--config", self.config_file], log)
        if wait:
            self.wait_ready()

    def command(self, *words, json_output=True):
        line = " ".join(shlex.quote(str(word)) for word in ("postring", *words))
        text = guest().run(f"{line}{' --json' if json_output else ''} < /dev/null 2>&1; echo; echo $?")
        text, status = text.strip().rsplit("\n", 1)
        check(status == "0", f"postring {' '.join(map(str, words))} ended with {status}: {text}")
        try:
            return json.loads(text) if json_output else text
        except json.JSONDecodeError:
            raise Failed(f"postring {' '.join(map(str, words))} gave no JSON: {short(text)}") from None


_numbers = itertools.count(1)


class GuestWorld(World):
    # pylint: disable=super-init-not-called
    def __init__(self, internet=SIMPLE_INTERNET, workers=None, delivery="", tables="", start=True, flags=(),
                 segment_size="4MiB", retry="1s"):
        self.failed, self.keys, self.mxsim, self.daemon = False, {}, None, None
        self.folder = pathlib.Path(f"/spool/world{next(_numbers)}")
        self.spool, self.divert, self.http, self.free_min = self.folder / "spool", None, "", "16MiB"
        self.host, self.port = guest().host, HTTP_PORT
        self.segment_size, self.retry = segment_size, retry
        self.workers, self.delivery, self.tables = workers or 1, delivery, tables
        try:
            guest().run(f"mkdir -p {self.spool}")
            self.mxsim = GuestMxsim(self.folder, internet, *flags)
            self.dns = self.name_servers()
            self.daemon = GuestDaemon("postring", self.folder, self.config(), self.host, self.port)
            if start:
                self.daemon.start()
        except BaseException:
            self.failed = True
            self.close()
            raise

    def config(self):
        ours = f'listen = ["{self.host}:{self.port}"]'
        return super().config().replace(ours, f'listen = ["10.0.2.15:{HTTP_PORT}"]\ninsecure_listen = true')

    def close(self):
        processes = [one.process for one in (self.daemon, self.mxsim) if one and one.process]
        if self.failed:
            for process in processes:
                print(f"---- {process.name} in the guest\n{process.tail()}")
        logs = guest().run(f"cat {self.folder}/postring.*.log")
        for process in processes:
            process.kill()
        guest().run(f"rm -rf {self.folder}")
        marks = ("ERROR: AddressSanitizer", "ERROR: LeakSanitizer", "runtime error:")
        complaint = any(mark in logs for mark in marks)
        check(self.failed or not complaint, f"a sanitiser complained:\n{logs[-6000:]}")
