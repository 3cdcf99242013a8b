// Process: everything of a daemon but its threads, made, wired and ended step by step, as
// engine/daemon.cc does it: what changes there changes here.
//
//   Process process(config, config_file, log);
//   process.prepare(workers);     // first; the spool is locked, the listeners are open
//   process.make(i);              // each worker
//   process.begin();              // the control worker, when it was made
//   process.recover(i);           // each worker, when begin() has ended
//   process.start_control();      // when all were recovered
//   process.start(i);             // the others, when the control worker was started
//   process.worker(i).run_until_finished();
//   process.end(i);               // each, when all have; also when a step failed
//
// An error is a sentence for the operator; then only end() may follow.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/config.h"
#include "engine/content_sweep.h"
#include "engine/control.h"
#include "engine/operator_routes.h"
#include "engine/shared.h"
#include "engine/spool_layout.h"
#include "engine/stop.h"
#include "engine/worker.h"
#include "io/signals.h"
#include "reporting/log.h"

namespace postring::sim {

using engine::Config;
using engine::ContentSweep;
using engine::Control;
using engine::OperatorRoutes;
using engine::Recovered;
using engine::Shared;
using engine::SpoolLayout;
using engine::Stop;
using engine::Worker;

class Process {
 public:
  Process(Config config, std::string config_file, reporting::Log& log);
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  Result<void> prepare(size_t workers);
  uint32_t workers() const { return static_cast<uint32_t>(workers_.size()); }
  Worker& worker(uint32_t index) { return *workers_[index]; }

  Result<void> make(uint32_t index);
  Result<void> begin();
  Result<void> recover(uint32_t index);
  void start_control();
  void start(uint32_t index);
  void end(uint32_t index);

  // A write to the spool failed: it stops by itself.
  bool spool_failed() const { return spool_failed_; }

 private:
  // What the control worker runs beside the Control.
  struct Directing {
    Directing(Worker& worker, Control& control, reporting::Log& log);
    Stop stop;
    OperatorRoutes routes;
    ContentSweep sweep;
    SignalWatch signals;
  };

  Result<void> open_listeners();

  Config config_;
  std::string config_file_;
  reporting::Log& log_;
  std::optional<SpoolLayout> layout_;
  std::unique_ptr<Shared> shared_;
  std::vector<std::vector<int>> listeners_;  // by worker
  int control_listener_ = -1;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::unique_ptr<Control> control_;
  std::unique_ptr<Directing> directing_;
  // What the registry says before the homes are read.
  std::vector<queue::CampaignInfo> campaigns_;
  std::map<SliceNumber, spool::Position> exported_;
  std::vector<Recovered> recovered_;  // by worker
  bool spool_failed_ = false;
};

}  // namespace postring::sim
