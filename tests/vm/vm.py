"""A virtual machine with Debian's own kernel: the oldest one we promise, and one whose power can be cut.

QEMU emulates it without hardware help, so it shows what is right and never what is fast. Nothing is installed
but QEMU itself: kernel and busybox are unpacked into a cache. The guest sees the host's loopback as 10.0.2.2.
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "e2e"))
from harness import DEADLINE_S, Process, check, wait_until  # noqa: E402

CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME", "/var/tmp")) / "postring-test-vm"

# What the guest needs beside what is built into its kernel; what these need is found in the modules.
MODULES = ["virtio_pci", "virtio_net", "crc32c-intel", "xfs"]

INIT = """#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/shm /tmp /run /spool
mount -t tmpfs tmp /tmp
mount -t tmpfs run /run
for module in {modules}; do insmod /modules/$module.ko; done
ip link set lo up
ip link set eth0 up
ip addr add 10.0.2.15/24 dev eth0
ip route add default via 10.0.2.2
ulimit -n 65536
mount -t {filesystem} /dev/nvme0n1 /spool || echo MOUNT FAILED
{script}
echo END OF SCRIPT
sync
reboot -f
"""


def available():
    """Why there can be no virtual machine; empty when there can."""
    if shutil.which("qemu-system-x86_64") is None:
        return "qemu-system-x86_64 is not installed"
    for tool in ("mkfs.ext4", "mkfs.xfs", "strip"):
        if shutil.which(tool) is None:
            return f"{tool} is not installed"
    return ""


def unpacked():
    """The folder with kernel and busybox; fetched when it is not there."""
    root = CACHE / "root"
    if list(root.glob("boot/vmlinuz-*")):
        return root
    shutil.rmtree(CACHE, ignore_errors=True)
    download = CACHE / "download"
    download.mkdir(parents=True)
    depends = subprocess.run(["apt-cache", "depends", "linux-image-cloud-amd64"],
                             capture_output=True, text=True, check=True).stdout
    kernel = re.search(r"Depends: (linux-image-\S+)", depends).group(1)
    subprocess.run(["apt-get", "-q", "-o", "Acquire::Retries=3", "download", kernel,
                    "busybox-static"], cwd=download, check=True, timeout=DEADLINE_S * 2,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    partial = CACHE / "partial"
    for package in sorted(download.glob("*.deb")):
        subprocess.run(["dpkg-deb", "-x", package, partial], check=True)
    partial.rename(root)
    return root


def libraries(program):
    """What `ldd` says the program loads."""
    listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    return re.findall(r"(?:=> )?(/\S+) \(0x", listed)


def modules_in_order(root, more):
    """[(name, path)] of MODULES, `more` and what they depend on, each behind what it needs."""
    paths = {path.stem.replace("-", "_"): path for path in root.glob("lib/modules/*/kernel/**/*.ko")}
    order = []

    def add(name):
        name = name.replace("-", "_")
        if name in dict(order):
            return
        needs = re.search(rb"depends=([^\0]*)\0", paths[name].read_bytes()).group(1).decode()
        for need in filter(None, needs.split(",")):
            add(need)
        order.append((name, paths[name]))

    for name in (*MODULES, *more):
        add(name)
    return order


def make_initramfs(folder, script, filesystem, programs, files, modules=()):
    """programs: {name in /bin: host path}; files: {guest path: text}; modules: more than MODULES.

    Returns the image."""
    root, tree = unpacked(), pathlib.Path(folder) / "initramfs"
    shutil.rmtree(tree, ignore_errors=True)
    for name in ("bin", "proc", "sys", "dev", "modules", "etc", "lib64", "sbin"):
        (tree / name).mkdir(parents=True)
    shutil.copy(root / "bin/busybox", tree / "bin/busybox")
    loaded = modules_in_order(root, modules)
    for name, path in loaded:
        shutil.copy(path, tree / "modules" / f"{name}.ko")
    for name, path in programs.items():
        subprocess.run(["strip", "-o", tree / "bin" / name, path], check=True)
        for library in libraries(path):
            target = tree / library.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            if not target.exists():
                shutil.copy(library, target)
    for name, text in files.items():
        target = tree / name.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    init = tree / "init"
    names = " ".join(name for name, _ in loaded)
    init.write_text(INIT.format(modules=names, filesystem=filesystem, script=script))
    init.chmod(0o755)
    image = pathlib.Path(folder) / "initramfs.gz"
    pack = f"{root}/bin/busybox cpio -o -H newc 2>/dev/null | gzip -1 > {image}"
    subprocess.run("find . | " + pack, shell=True, cwd=tree, check=True)
    shutil.rmtree(tree)
    return image


def make_disk(path, filesystem, size_mib):
    with open(path, "wb") as file:
        file.truncate(size_mib << 20)
    subprocess.run([f"mkfs.{filesystem}", "-q", path], check=True)


class Vm:
    """A running machine. `forwards` maps ports of the host's loopback address `host` to the guest's."""

    def __init__(self, folder, life, initramfs, disk, host, forwards):
        kernel = next(unpacked().glob("boot/vmlinuz-*"))
        forwarded = "".join(f",hostfwd=tcp:{host}:{ours}-:{theirs}"
                            for ours, theirs in forwards.items())
        self.console = pathlib.Path(folder) / f"console.{life}.log"
        self.process = Process("qemu", [
            "qemu-system-x86_64", "-M", "q35", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2",
            "-m", "2G", "-nodefaults", "-display", "none", "-monitor", "none", "-serial", "stdio",
            "-no-reboot", "-kernel", kernel, "-initrd", initramfs, "-append",
            # On a busy host the emulated timer ticks too late for the kernel's check of it.
            "console=ttyS0 quiet panic=-1 cryptomgr.notests no_timer_check",
            "-drive", f"if=none,id=d,file={disk},format=raw,cache=writeback",
            "-device", "nvme,drive=d,serial=x",
            "-netdev", "user,id=n" + forwarded, "-device", "virtio-net-pci,netdev=n"], self.console)

    def text(self):
        return self.console.read_text(errors="replace")

    def wait_for(self, pattern, deadline_s=None):
        """Waits until the console shows the pattern; returns the match.

        What is being written may be there in part: a pattern of a word says what follows it."""
        def shown():
            match = re.search(pattern, self.text())
            if not match:
                check(self.process.alive(), f"the machine ended: {self.process.tail()}")
            return match

        return wait_until(shown, lambda: f"'{pattern}' on the console: {self.process.tail()}",
                          deadline_s, 0.1)

    def cut(self):
        """The power goes: what the guest has not put on its disk is lost."""
        self.process.kill()
