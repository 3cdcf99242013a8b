"""Debian's Postfix in a folder of its own, for tests and benchmarks.

Postfix is unpacked, not installed: in a mount namespace of its own it finds itself at the places where it
was built to be. Needs root, for the namespace and because Postfix does.

    postfix = Postfix(folder, main_cf, master_cf, {"mailboxes": text})
    postfix.start()
    wait_until(postfix.listens(port), ...)
    postfix.close()

In the texts {folder} stands for the folder. Nothing of it outlives close(), nor this process."""
import os
import pathlib
import shutil
import signal
import socket
import subprocess

from harness import DEADLINE_S, Process, check

CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME", "/var/tmp")) / "postring-test-postfix"

# Services that every Postfix needs; what listens and what delivers comes on top.
MASTER_CF = """
cleanup unix n - n - 0 cleanup
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
proxymap unix - - n - - proxymap
error unix - - n - - error
retry unix - - n - - error
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""
QUEUES = ("active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming", "private",
          "saved", "trace", "pid", "public", "maildrop")

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
    """The folder with Postfix's files and the libraries it needs; fetched when it is not there."""
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
    """One Postfix; `folder` and those above it must be open to Postfix's own users."""

    def __init__(self, folder, main_cf, master_cf, files=None):
        self.folder, self.process = pathlib.Path(folder), None
        for name in ("etc/postfix-files.d", "data", "maildirs", *(f"queue/{q}" for q in QUEUES)):
            (self.folder / name).mkdir(parents=True)
        for path in (self.folder.parent, self.folder, self.folder / "queue"):
            path.chmod(0o755)
        etc = self.folder / "etc"
        (etc / "main.cf").write_text(main_cf.format(folder=self.folder))
        self.write_services(master_cf)
        for name, text in {"postfix-files": "", "dynamicmaps.cf": "", **(files or {})}.items():
            (etc / name).write_text(text)

    def write_services(self, master_cf):
        (self.folder / "etc/master.cf").write_text(master_cf + MASTER_CF)

    def start(self, wrapper=()):
        script = ENTER.format(folder=self.folder, root=unpacked())
        self.process = Process("postfix", [*wrapper, "unshare", "--mount", "--pid", "--fork", "bash", "-c",
                                           script], self.folder / "start.log")

    def logs(self):
        log = self.folder / "postfix.log"
        own = log.read_text(errors="replace")[-3000:] if log.exists() else ""
        return self.process.tail() + own

    def listens(self, port):
        """Whether it greets at a port; for wait_until."""
        check(self.process.alive(), "Postfix ended: " + self.logs())
        try:
            with socket.create_connection(("127.0.0.1", port), 10) as connection:
                return connection.recv(3) == b"220"
        except OSError:
            return False

    def close(self):
        # The one child of unshare is the first process of its PID namespace: all below goes with it.
        if self.process is None:
            return
        pid = self.process.pid
        children = pathlib.Path(f"/proc/{pid}/task/{pid}/children")
        for child in children.read_text().split() if children.exists() else []:
            os.kill(int(child), signal.SIGKILL)
        self.process.kill()
        self.process = None
