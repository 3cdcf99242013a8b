#include "engine/daemon.h"

#include <cerrno>
#include <cstring>
#include <cstddef>
#include <future>
#include <latch>
#include <optional>

#include "base/check.h"
#include "engine/content_sweep.h"
#include "engine/control.h"
#include "engine/operator_routes.h"
#include "engine/shared.h"
#include "engine/spool_layout.h"
#include "engine/stop.h"
#include "engine/worker.h"
#include "io/clock.h"
#include "io/interfaces.h"
#include "io/signals.h"
#include "io/socket.h"
#include "io/threads.h"
#include "reporting/log.h"

namespace postring::engine {
namespace {

// What the control worker's registry says before the homes are read.
struct Begun {
  std::vector<queue::CampaignInfo> campaigns;
  std::map<SliceNumber, spool::Position> exported;
};

struct Ready {
  Recovered recovered;
};

// The threads wait for each other at these points; each is passed once.
struct Gates {
  std::promise<Result<Begun>> begun;              // by the control worker
  std::vector<std::promise<Result<Ready>>> ready;  // by each worker
  std::promise<bool> go;                           // by the main thread: false, all go home
  std::promise<void> control_started;              // by the control worker
  // A worker that has ended may still be woken by one that has not: all go together.
  std::optional<std::latch> ended;

  std::shared_future<Result<Begun>> when_begun = begun.get_future().share();
  std::shared_future<bool> when_go = go.get_future().share();
  std::shared_future<void> when_control_started = control_started.get_future().share();
};

}  // namespace

struct Daemon::State {
  State(Config config_, std::string config_file_)
      : config(std::move(config_)),
        config_file(std::move(config_file_)),
        log(reporting::Log::to_standard_error, clock_wall, config.log_level) {}

  Result<void> prepare();
  Result<void> open_listeners();
  void run_worker(uint32_t index);
  Result<Begun> begin_control(Worker& worker);
  void run_control(Worker& worker);
  bool start_all();

  Config config;
  std::string config_file;
  reporting::Log log;
  std::optional<SpoolLayout> layout;
  std::unique_ptr<Shared> shared;
  std::vector<std::vector<int>> listeners;  // by worker
  int control_listener = -1;
  Gates gates;
  std::unique_ptr<Control> control;
  std::vector<Recovered> recovered;
  bool spool_failed = false;
};

Result<void> Daemon::State::prepare() {
  std::vector<size_t> cpus = allowed_cpus();
  size_t workers = config.workers > 0 ? config.workers : cpus.size();
  shared = std::make_unique<Shared>(config, workers);
  shared->config_file = config_file;
  shared->hostname = config.hostname.empty() ? machine_name() : config.hostname;
  shared->spool_dir = config.spool.dir;
  shared->started_at = clock_wall();
  gates.ready.resize(workers);
  gates.ended.emplace(static_cast<std::ptrdiff_t>(workers));
  auto opened = SpoolLayout::open(config.spool.dir, workers);
  if (!opened) return std::unexpected(opened.error());
  layout.emplace(std::move(*opened));
  layout->describe(*shared);
  if (auto made = ContentStore(config.spool.dir + "/contents").open(); !made) return made;
  return open_listeners();
}

Result<void> Daemon::State::open_listeners() {
  listeners.resize(shared->workers.size());
  for (const SocketAddress& wanted : config.http.listen) {
    SocketAddress address = wanted;
    for (auto& of_worker : listeners) {
      auto fd = listen_on(address, true);
      if (!fd) {
        return fail("cannot listen on " + address.text() + ": " + std::strerror(fd.error()));
      }
      // Port 0 is chosen once, for all workers.
      address.port = local_address(*fd).port;
      of_worker.push_back(*fd);
    }
    log.info("listening", {{"http", address.text()}});
  }
  auto fd = listen_on_path(config.control.socket, config.control.mode);
  if (!fd) {
    return fail("the control socket " + config.control.socket +
                " cannot be made: " + std::strerror(fd.error()) +
                (fd.error() == ENOENT ? "; make its folder, or set [control] socket" : ""));
  }
  control_listener = *fd;
  return {};
}

Result<Begun> Daemon::State::begin_control(Worker& worker) {
  auto opened = Control::open(*shared, worker.loop());
  if (!opened) return std::unexpected(opened.error());
  control = std::move(*opened);
  shared->control = control.get();
  return Begun{control->campaigns(), control->exported()};
}

void Daemon::State::run_worker(uint32_t index) {
  auto made = Worker::create(*shared, index);
  if (index == kControlWorker) {
    if (made) {
      gates.begun.set_value(begin_control(**made));
    } else {
      gates.begun.set_value(std::unexpected(made.error()));
    }
  }
  const Result<Begun>& begun = gates.when_begun.get();
  Result<Ready> ready;
  if (!made) {
    ready = std::unexpected(made.error());
  } else if (!begun) {
    ready = std::unexpected(begun.error());
  } else if (auto recovered_ = (*made)->recover(begun->campaigns, begun->exported); !recovered_) {
    ready = std::unexpected(recovered_.error());
  } else {
    ready->recovered = (*made)->take_recovered();
  }
  gates.ready[index].set_value(std::move(ready));
  if (gates.when_go.get()) {
    Worker& worker = **made;
    if (index == kControlWorker) {
      run_control(worker);
    } else {
      gates.when_control_started.wait();
      worker.start(std::move(listeners[index]));
      worker.run_until_finished();
    }
  }
  gates.ended->arrive_and_wait();
  if (index == kControlWorker) control.reset();
  if (made) made->reset();
}

void Daemon::State::run_control(Worker& worker) {
  control->start(worker, std::move(recovered));
  worker.start(std::move(listeners[kControlWorker]));
  Stop stop(worker, *control, log);
  OperatorRoutes routes(worker, *control, log, [&] { stop.begin(); });
  routes.listen(control_listener);
  stop.serve_until_end(routes);
  ContentSweep sweep(worker);
  SignalWatch signals(worker.loop(), [&](Signal signal) {
    if (signal == Signal::stop) {
      stop.begin();
    } else {
      routes.reload([](OperatorRoutes::Reloaded) {});
    }
  });
  control->when_failed([&] {
    spool_failed = true;
    log.error("the spool cannot be written: stopping; what was accepted is safe");
    stop.begin();
  });
  control->when_disk_full([&](bool full) {
    if (full) {
      log.error("the disk is full: no mail is accepted; what was accepted goes on");
    } else {
      log.info("the disk has room again: mail is accepted");
    }
  });
  control->when_damaged([&](const std::string& problem) {
    log.once(reporting::LogLevel::error, problem, "events are left out", {{"reason", problem}});
  });
  stop.set_signals(&signals);
  gates.control_started.set_value();
  log.info("ready", {{"workers", std::to_string(shared->workers.size())},
                     {"spool", shared->spool_dir}});
  worker.run_until_finished();
}

// Collects what the workers recovered; false where one could not.
bool Daemon::State::start_all() {
  std::string problem;
  for (auto& promise : gates.ready) {
    Result<Ready> ready = promise.get_future().get();
    if (ready) {
      recovered.push_back(std::move(ready->recovered));
    } else if (problem.empty()) {
      problem = ready.error().message;
    }
  }
  if (!problem.empty()) log.error("cannot start", {{"reason", problem}});
  return problem.empty();
}

Daemon::Daemon(Config config, std::string config_file)
    : state_(std::make_unique<State>(std::move(config), std::move(config_file))) {}

Daemon::~Daemon() = default;

ExitCode Daemon::run() {
  State& s = *state_;
  block_signals();
  if (auto prepared = s.prepare(); !prepared) {
    s.log.error("cannot start", {{"reason", prepared.error().message}});
    return ExitCode::cannot_start;
  }
  std::vector<size_t> cpus = allowed_cpus();
  bool started = false;
  {
    std::vector<std::unique_ptr<PinnedThread>> threads;
    for (uint32_t i = 0; i < s.shared->workers.size(); ++i) {
      threads.push_back(std::make_unique<PinnedThread>(
          "worker-" + std::to_string(i), cpus[i % cpus.size()], [&s, i] { s.run_worker(i); }));
    }
    started = s.start_all();
    s.gates.go.set_value(started);
  }
  if (!started) return ExitCode::cannot_start;
  s.log.info("stopped");
  return s.spool_failed ? ExitCode::spool_failed : ExitCode::stopped;
}

}  // namespace postring::engine
