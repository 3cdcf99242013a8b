#include "cli/check_system.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/io_uring.h>
#include <linux/magic.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>

#include "base/json_writer.h"
#include "cli/table.h"
#include "io/file.h"
#include "io/socket.h"

namespace postring::cli {

namespace {

using State = Finding::State;

constexpr int kKernelMajor = 6, kKernelMinor = 1;
constexpr uint64_t kLockedMemoryMin = 64u << 10;
constexpr uint64_t kXfs = 0x58465342, kBtrfs = 0x9123683e, kZfs = 0x2fc12fc1, kNfs = 0x6969;
constexpr uint64_t kFuse = 0x65735546, kCifs = 0xff534d42;
// Listeners, logs, segments, rings and their like.
constexpr uint64_t kFilesBeside = 1'024;

int probe_io_uring() {
  io_uring_params params{};
  long ring = ::syscall(SYS_io_uring_setup, 8, &params);
  if (ring < 0) return errno;
  ::close(static_cast<int>(ring));
  return 0;
}

int io_uring_disabled() {
  auto text = read_whole_file("/proc/sys/kernel/io_uring_disabled", 64);
  int value = -1;
  if (text) std::from_chars(text->data(), text->data() + text->size(), value);
  return value;
}

unsigned usable_cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  return static_cast<unsigned>(CPU_COUNT(&set));
}

std::string existing_parent(std::string path) {
  while (path.size() > 1 && !std::filesystem::exists(path))
    path = std::filesystem::path(path).parent_path();
  return path;
}

Finding judge_writable(const std::string& dir, const std::string& there) {
  if (::access(there.c_str(), W_OK | X_OK) == 0)
    return {State::good, "spool folder", fmt::format("{} can be written", there), ""};
  return {State::wrong, "spool folder",
          fmt::format("{} cannot be written by user {}", there, ::geteuid()),
          fmt::format("install -d -o USER -m 0700 {}", dir)};
}

void check_spool(const engine::Config& config, std::vector<Finding>& out) {
  std::string there = existing_parent(config.spool.dir);
  out.push_back(judge_writable(config.spool.dir, there));
  struct statfs system {};
  if (::statfs(there.c_str(), &system) != 0) {
    out.push_back({State::wrong, "spool filesystem",
                   fmt::format("{}: {}", there, std::strerror(errno)), "make the folder"});
    return;
  }
  out.push_back(judge_filesystem(there, static_cast<uint64_t>(system.f_type)));
  uint64_t free_bytes =
      static_cast<uint64_t>(system.f_bavail) * static_cast<uint64_t>(system.f_bsize);
  uint64_t workers = config.workers == 0 ? usable_cpus() : config.workers;
  uint64_t segments = workers * (config.spool.reserve_segments + 2);
  out.push_back(judge_free_space(there, free_bytes,
                                 config.spool.free_min + segments * config.spool.segment_size));
}

void check_sources(const engine::Config& config, std::vector<Finding>& out) {
  for (const traffic::Source& source : config.sources) {
    if (source.address.family == IpAddress::Family::none) continue;
    std::string name = fmt::format("source {}", source.name);
    auto bound = listen_on({source.address, 0}, false);
    if (bound) {
      close_descriptor(*bound);
      out.push_back({State::good, name, source.address.text() + " is ours", ""});
    } else {
      out.push_back({State::warning, name,
                     fmt::format("{}: {}; this source will stand still", source.address.text(),
                                 std::strerror(bound.error())),
                     fmt::format("ip address add {} dev INTERFACE", source.address.text())});
    }
  }
}

// Both may be taken by a postring that runs already.
void check_listeners(const engine::Config& config, std::vector<Finding>& out) {
  std::string folder = std::filesystem::path(config.control.socket).parent_path();
  if (!std::filesystem::is_directory(folder)) {
    out.push_back({State::wrong, "control socket", folder + " is not there",
                   fmt::format("install -d -o USER -m 0755 {} (RuntimeDirectory= in the service's "
                               "unit), or another [control] socket",
                               folder)});
  } else if (::access(folder.c_str(), W_OK | X_OK) != 0) {
    out.push_back({State::wrong, "control socket",
                   fmt::format("{} cannot be written by user {}", folder, ::geteuid()),
                   fmt::format("chown USER {}, or another [control] socket", folder)});
  } else {
    out.push_back({State::good, "control socket", folder + " can be written", ""});
  }
  for (const SocketAddress& address : config.http.listen) {
    std::string name = fmt::format("API on {}", address.text());
    if (auto bound = listen_on(address, false)) {
      close_descriptor(*bound);
      out.push_back({State::good, name, "is free", ""});
    } else if (bound.error() == EADDRINUSE) {
      out.push_back({State::warning, name, "is in use; does a postring run already?",
                     "stop what listens there, or another [http] listen"});
    } else {
      out.push_back({State::wrong, name, std::strerror(bound.error()),
                     "an address of this machine and a port above 1023 in [http] listen"});
    }
  }
}

}  // namespace

Finding judge_kernel(std::string_view release) {
  int major = 0, minor = 0;
  const char* end = release.data() + release.size();
  auto first = std::from_chars(release.data(), end, major);
  if (first.ptr < end && *first.ptr == '.') std::from_chars(first.ptr + 1, end, minor);
  std::string says = fmt::format("Linux {}", release);
  if (major > kKernelMajor || (major == kKernelMajor && minor >= kKernelMinor))
    return {State::good, "kernel", says, ""};
  return {State::wrong, "kernel", says + "; postring needs 6.1 or newer",
          "install Debian 12's kernel or a newer one: apt-get install linux-image-amd64"};
}

Finding judge_io_uring(int error, int disabled) {
  if (error == 0) return {State::good, "io_uring", "can be used", ""};
  if (disabled == 1 || disabled == 2) {
    return {State::wrong, "io_uring",
            fmt::format(
                "kernel.io_uring_disabled is {}: {}", disabled,
                disabled == 2 ? "nobody may use it" : "only a group and CAP_SYS_ADMIN may use it"),
            disabled == 2 ? "sysctl -w kernel.io_uring_disabled=0, and a line in /etc/sysctl.d"
                          : "sysctl -w kernel.io_uring_disabled=0, or kernel.io_uring_group=GROUP "
                            "with postring's user in it"};
  }
  if (error == ENOSYS) {
    return {State::wrong, "io_uring", "this kernel was built without it, or a sandbox hides it",
            "use a kernel with CONFIG_IO_URING=y (Debian's has it)"};
  }
  if (error == EPERM || error == EACCES) {
    return {State::wrong, "io_uring",
            "forbidden, though the kernel allows it: a seccomp profile of the container",
            "allow io_uring_setup, io_uring_enter and io_uring_register: with Docker "
            "--security-opt seccomp=PROFILE.json, with systemd SystemCallFilter=@io-event io_uring"
            "_setup io_uring_enter io_uring_register"};
  }
  return {State::wrong, "io_uring", fmt::format("does not work: {}", std::strerror(error)),
          error == ENOMEM ? "raise the memory limit of the service or container" : "see dmesg"};
}

Finding judge_open_files(uint64_t soft, uint64_t hard, uint64_t needed) {
  if (soft >= needed)
    return {State::good, "open files", fmt::format("{} allowed, {} needed", soft, needed), ""};
  if (hard >= needed) {
    return {State::good, "open files",
            fmt::format("{} allowed, {} needed; may be raised to {}", soft, needed, hard), ""};
  }
  return {State::wrong, "open files",
          fmt::format("{} allowed, at most {}; {} needed for the configured connections", soft,
                      hard, needed),
          fmt::format("LimitNOFILE={} in the service's unit (or ulimit -n {}), or a smaller "
                      "[delivery] connections_max",
                      needed, needed)};
}

Finding judge_locked_memory(uint64_t soft) {
  if (soft >= kLockedMemoryMin) return {State::good, "locked memory", "enough", ""};
  return {State::warning, "locked memory", fmt::format("only {} may be locked", bytes_text(soft)),
          "LimitMEMLOCK=8M in the service's unit (or ulimit -l 8192)"};
}

Finding judge_filesystem(const std::string& path, uint64_t type) {
  const char* name = "spool filesystem";
  auto wrong = [&](std::string_view what) -> Finding {
    return {State::wrong, name, fmt::format("{} lies on {}", path, what),
            "set [spool] dir to a folder on a local ext4, xfs or btrfs"};
  };
  switch (type) {
    case EXT4_SUPER_MAGIC:
      return {State::good, name, path + " lies on ext4", ""};
    case kXfs:
      return {State::good, name, path + " lies on xfs", ""};
    case kBtrfs:
      return {State::good, name, path + " lies on btrfs", ""};
    case kZfs:
      return {State::good, name, path + " lies on zfs", ""};
    case TMPFS_MAGIC:
    case RAMFS_MAGIC:
      return wrong("a memory filesystem: accepted mail is lost with the machine's power");
    case OVERLAYFS_SUPER_MAGIC:
      return {State::warning, name,
              path + " lies on a container's overlay: mail is lost with the container",
              "mount a volume and set [spool] dir to it"};
    case kNfs:
    case kCifs:
      return wrong("a network filesystem, whose syncs cannot be trusted");
    case kFuse:
      return wrong("a FUSE filesystem, whose syncs cannot be trusted");
    default:
      return {
          State::warning, name,
          fmt::format("{} lies on a filesystem of type {:#x}, which was never tried", path, type),
          "ext4, xfs and btrfs are known to work"};
  }
}

Finding judge_free_space(const std::string& path, uint64_t free_bytes, uint64_t needed_bytes) {
  std::string says = fmt::format("{} free at {}, {} needed to begin", bytes_text(free_bytes), path,
                                 bytes_text(needed_bytes));
  if (free_bytes >= needed_bytes) return {State::good, "spool room", says, ""};
  return {State::wrong, "spool room", says,
          "make room, or set a smaller [spool] segment_size or free_min"};
}

Finding judge_cpus(unsigned cpus, unsigned workers) {
  if (workers <= cpus) {
    return {State::good, "CPUs",
            fmt::format("{} usable, {} workers", cpus, workers == 0 ? cpus : workers), ""};
  }
  return {State::warning, "CPUs", fmt::format("{} usable for {} workers", cpus, workers),
          fmt::format("workers = {} (or 0: one for each)", cpus)};
}

uint64_t open_files_needed(const engine::Config& config) {
  uint64_t workers = config.workers == 0 ? usable_cpus() : config.workers;
  return config.delivery.connections_max + workers * config.http.connections + kFilesBeside;
}

std::vector<Finding> check_system(const engine::Config& config, bool has_config) {
  std::vector<Finding> found;
  utsname name{};
  ::uname(&name);
  found.push_back(judge_kernel(name.release));
  found.push_back(judge_io_uring(probe_io_uring(), io_uring_disabled()));
  rlimit files{}, locked{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  ::getrlimit(RLIMIT_MEMLOCK, &locked);
  found.push_back(judge_open_files(files.rlim_cur, files.rlim_max, open_files_needed(config)));
  found.push_back(judge_locked_memory(locked.rlim_cur));
  found.push_back(judge_cpus(usable_cpus(), config.workers));
  if (has_config) {
    check_spool(config, found);
    check_listeners(config, found);
    check_sources(config, found);
  }
  return found;
}

int show_findings(const std::vector<Finding>& findings, bool json) {
  constexpr const char* kNames[] = {"ok", "warning", "wrong"};
  bool wrong =
      std::ranges::any_of(findings, [](const Finding& f) { return f.state == State::wrong; });
  if (json) {
    JsonWriter out;
    out.object().field("good", !wrong).key("findings").array();
    for (const Finding& one : findings) {
      out.object().field("state", kNames[static_cast<size_t>(one.state)]);
      out.field("name", one.name).field("says", one.says).field_unless_empty("fix", one.fix).end();
    }
    fmt::print("{}\n", out.end().end().take());
    return wrong ? 1 : 0;
  }
  for (const Finding& one : findings) {
    fmt::print("{:<8} {}: {}\n", kNames[static_cast<size_t>(one.state)], one.name, one.says);
    if (!one.fix.empty()) fmt::print("         fix: {}\n", one.fix);
  }
  return wrong ? 1 : 0;
}

}  // namespace postring::cli
