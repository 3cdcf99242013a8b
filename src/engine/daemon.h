// Daemon: the whole of `postring serve`: workers, control, signals, from start to stop.
//
//   Daemon daemon(config, config_file);
//   return daemon.run();  // when it has stopped
//
// Start: the spool is locked and its slices are dealt to the workers; the control worker opens the
// registry and the event log; every worker recovers its homes on its own thread, at the same time;
// then all are wired and listen. What goes wrong on the way is said in words and ends the process.
//
// Stop (SIGTERM, SIGINT, POST /operator/stop): nothing new is taken; delivery ends its
// transactions, waits for replies to sent contents no longer than [delivery] stop_wait and gives
// the rest back; homes, event log and registry are synced and closed. A second signal changes
// nothing.
//
// Reload (SIGHUP, POST /operator/reload): the whole file is judged first; all of it applies or
// none.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/config.h"

namespace postring::engine {

enum class ExitCode : int {
  stopped = 0,       // as asked
  cannot_start = 1,  // said why
  spool_failed = 2,  // a write to the spool failed: what was accepted is safe
};

class Daemon {
 public:
  Daemon(Config config, std::string config_file);
  ~Daemon();
  Daemon(const Daemon&) = delete;
  Daemon& operator=(const Daemon&) = delete;

  // Blocks signals for the calling thread and all it starts; returns when everything has ended.
  ExitCode run();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace postring::engine
