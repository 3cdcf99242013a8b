// Stop: the end of the daemon, step by step, directed by the control worker.
//
//   1  every worker: no new mail is taken, delivery ends its transactions and gives the rest back,
//      and all of it has come to its home
//   2  every worker: homes write and sync what they have, events go to the event log
//   3  the registry and the event log are closed
//   4  every worker: the last answers go out, then its loop ends
#pragma once

#include <functional>

#include "engine/control.h"
#include "engine/operator_routes.h"
#include "engine/worker.h"
#include "io/signals.h"
#include "reporting/log.h"

namespace postring::engine {

class Stop {
 public:
  Stop(Worker& worker, Control& control, reporting::Log& log)
      : worker_(worker), control_(control), log_(log) {}

  // What ends with the last step.
  void serve_until_end(OperatorRoutes& routes) { routes_ = &routes; }
  void set_signals(SignalWatch* signals) { signals_ = signals; }

  // Again: nothing.
  void begin();

 private:
  void bring_outcomes_home();
  void close_homes();
  void close_control();
  void stop_serving();
  void finish();

  Worker& worker_;
  Control& control_;
  reporting::Log& log_;
  OperatorRoutes* routes_ = nullptr;
  SignalWatch* signals_ = nullptr;
  bool begun_ = false;
};

}  // namespace postring::engine
