// mxsim: a simulated internet on loopback. See README.md beside this file.

#include <sys/resource.h>
#include <unistd.h>

#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "config.h"
#include "control.h"
#include "dns_server.h"
#include "ledger.h"
#include "loop.h"
#include "smtp_server.h"
#include "sockets.h"
#include "world.h"

namespace {

constexpr const char* kUsage =
    "usage: mxsim --config FILE [--ledger FILE] [--workers N] [--count]\n"
    "\n"
    "A simulated internet: DNS and mail hosts on loopback, as FILE (TOML) describes them. Prints\n"
    "\"ready dns=PORT smtp=PORT control=PORT\" once it serves and ends on SIGTERM or SIGINT.\n"
    "\n"
    "  --config FILE   what the domains and their hosts do\n"
    "  --ledger FILE   where to write what arrived, at the end, one JSON object a line\n"
    "  --workers N     threads that serve mail, default 1\n"
    "  --count         only count: no ledger, no checks, the least work a message can cost\n";

struct Options {
  std::string config;
  std::string ledger;
  unsigned workers = 1;
  bool count_only = false;
};

bool parse_options(int argc, char** argv, Options& options) {
  for (int i = 1; i < argc; ++i) {
    std::string_view word = argv[i];
    if (word == "--count") {
      options.count_only = true;
      continue;
    }
    if (i + 1 >= argc) return false;
    std::string_view value = argv[++i];
    if (word == "--config") {
      options.config = value;
    } else if (word == "--ledger") {
      options.ledger = value;
    } else if (word == "--workers") {
      auto end = std::from_chars(value.data(), value.data() + value.size(), options.workers);
      if (end.ec != std::errc() || options.workers < 1 || options.workers > 256) return false;
    } else {
      return false;
    }
  }
  return !options.config.empty();
}

// The loop that signals end. A signal handler reaches nothing else.
mxsim::Loop* main_loop = nullptr;

void on_signal(int) {
  if (main_loop != nullptr) main_loop->stop();
}

[[noreturn]] void die(const std::string& text) {
  std::fprintf(stderr, "mxsim: %s: %s\n", text.c_str(), std::strerror(errno));
  std::exit(1);
}

struct DnsSockets {
  int udp = -1;
  int tcp = -1;
};

// UDP and TCP at one port; with port 0 it takes a few tries until both are free.
DnsSockets open_dns(uint16_t port) {
  for (int attempt = 0; attempt < 50; ++attempt) {
    DnsSockets sockets;
    sockets.udp = mxsim::open_socket(mxsim::Transport::kUdp, "127.0.0.1", port, false);
    if (sockets.udp < 0) break;
    uint16_t chosen = mxsim::port_of(sockets.udp);
    sockets.tcp = mxsim::open_socket(mxsim::Transport::kTcp, "127.0.0.1", chosen, false);
    if (sockets.tcp >= 0) return sockets;
    close(sockets.udp);
    if (port != 0) break;
  }
  die("no DNS port " + std::to_string(port));
}

void raise_file_limit() {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

int serve(const Options& options, const mxsim::Config& config) {
  mxsim::World world(config);
  mxsim::Ledger ledger;
  std::vector<mxsim::Counters> counters(options.workers);
  mxsim::Loop loop;
  main_loop = &loop;

  DnsSockets dns_sockets = open_dns(config.dns_port);
  uint16_t dns_port = mxsim::port_of(dns_sockets.udp);
  int control_socket =
      mxsim::open_socket(mxsim::Transport::kTcp, "127.0.0.1", config.control_port, false);
  if (control_socket < 0) die("no control port " + std::to_string(config.control_port));
  uint16_t control_port = mxsim::port_of(control_socket);

  uint16_t smtp_port = config.smtp_port;
  std::vector<std::unique_ptr<mxsim::SmtpServer>> servers;
  for (unsigned i = 0; i < options.workers; ++i) {
    int v4 = mxsim::open_socket(mxsim::Transport::kTcp, "0.0.0.0", smtp_port, true);
    if (v4 < 0) die("no SMTP port " + std::to_string(smtp_port));
    smtp_port = mxsim::port_of(v4);
    int v6 = mxsim::open_socket(mxsim::Transport::kTcp, "::1", smtp_port, true);
    servers.push_back(std::make_unique<mxsim::SmtpServer>(
        world, options.count_only ? nullptr : &ledger, counters[i], config.keep_bodies, v4, v6));
  }

  {
    mxsim::DnsServer dns(world, loop, dns_sockets.udp, dns_sockets.tcp);
    mxsim::Control control(world, ledger, counters, dns, loop, control_socket);
    std::vector<std::thread> threads;
    for (auto& server : servers) threads.emplace_back([&server] { server->run(); });
    std::printf("ready dns=%u smtp=%u control=%u\n", dns_port, smtp_port, control_port);
    std::fflush(stdout);
    loop.run();
    for (auto& server : servers) server->stop();
    for (std::thread& thread : threads) thread.join();
  }
  main_loop = nullptr;
  if (!options.ledger.empty() && !ledger.dump(options.ledger)) die(options.ledger);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  if (!parse_options(argc, argv, options)) {
    std::fputs(kUsage, stderr);
    return 2;
  }
  auto config = mxsim::load_config(options.config);
  if (!config) {
    std::fprintf(stderr, "mxsim: %s\n", config.error().c_str());
    return 1;
  }
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGTERM, on_signal);
  std::signal(SIGINT, on_signal);
  raise_file_limit();
  return serve(options, *config);
}
