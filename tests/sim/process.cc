#include "sim/process.h"

#include <cstring>

#include "base/check.h"
#include "io/clock.h"
#include "io/interfaces.h"
#include "io/socket.h"

namespace postring::sim {

using engine::ContentStore;
using engine::kControlWorker;

Process::Process(Config config, std::string config_file, reporting::Log& log)
    : config_(std::move(config)), config_file_(std::move(config_file)), log_(log) {}

Process::~Process() = default;

Result<void> Process::prepare(size_t workers) {
  shared_ = std::make_unique<Shared>(config_, workers);
  shared_->config_file = config_file_;
  shared_->hostname = config_.hostname.empty() ? machine_name() : config_.hostname;
  shared_->spool_dir = config_.spool.dir;
  shared_->started_at = clock_wall();
  workers_.resize(workers);
  recovered_.resize(workers);
  auto opened = SpoolLayout::open(config_.spool.dir, workers);
  if (!opened) return std::unexpected(opened.error());
  layout_.emplace(std::move(*opened));
  layout_->describe(*shared_);
  if (auto made = ContentStore(config_.spool.dir + "/contents").open(); !made) return made;
  return open_listeners();
}

Result<void> Process::open_listeners() {
  listeners_.resize(workers_.size());
  for (const SocketAddress& wanted : config_.http.listen) {
    SocketAddress address = wanted;
    for (auto& of_worker : listeners_) {
      auto fd = listen_on(address, true);
      if (!fd) {
        return fail("cannot listen on " + address.text() + ": " + std::strerror(fd.error()));
      }
      // Port 0 is chosen once, for all workers.
      address.port = local_address(*fd).port;
      of_worker.push_back(*fd);
    }
    log_.info("listening", {{"http", address.text()}});
  }
  auto fd = listen_on_path(config_.control.socket, config_.control.mode);
  if (!fd) {
    return fail("the control socket " + config_.control.socket +
                " cannot be made: " + std::strerror(fd.error()));
  }
  control_listener_ = *fd;
  return {};
}

Result<void> Process::make(uint32_t index) {
  auto made = Worker::create(*shared_, index);
  if (!made) return std::unexpected(made.error());
  workers_[index] = std::move(*made);
  return {};
}

Result<void> Process::begin() {
  auto opened = Control::open(*shared_, workers_[kControlWorker]->loop());
  if (!opened) return std::unexpected(opened.error());
  control_ = std::move(*opened);
  shared_->control = control_.get();
  campaigns_ = control_->campaigns();
  exported_ = control_->exported();
  return {};
}

Result<void> Process::recover(uint32_t index) {
  if (auto done = workers_[index]->recover(campaigns_, exported_); !done) return done;
  recovered_[index] = workers_[index]->take_recovered();
  return {};
}

Process::Directing::Directing(Worker& worker, Control& control, reporting::Log& log)
    : stop(worker, control, log),
      routes(worker, control, log, [this] { stop.begin(); }),
      sweep(worker),
      signals(worker.loop(), [this](Signal signal) {
        if (signal == Signal::stop) {
          stop.begin();
        } else {
          routes.reload([](OperatorRoutes::Reloaded) {});
        }
      }) {
  stop.serve_until_end(routes);
  stop.set_signals(&signals);
}

void Process::start_control() {
  Worker& worker = *workers_[kControlWorker];
  control_->start(worker, std::move(recovered_));
  start(kControlWorker);
  directing_ = std::make_unique<Directing>(worker, *control_, log_);
  directing_->routes.listen(control_listener_);
  control_->when_failed([this] {
    spool_failed_ = true;
    log_.error("the spool cannot be written: stopping; what was accepted is safe");
    directing_->stop.begin();
  });
  control_->when_disk_full([this](bool full) {
    if (full) {
      log_.error("the disk is full: no mail is accepted; what was accepted goes on");
    } else {
      log_.info("the disk has room again: mail is accepted");
    }
  });
  control_->when_damaged([this](const std::string& problem) {
    log_.once(reporting::LogLevel::error, problem, "events are left out", {{"reason", problem}});
  });
  log_.info("ready", {{"workers", std::to_string(workers_.size())}, {"spool", shared_->spool_dir}});
}

void Process::start(uint32_t index) { workers_[index]->start(std::move(listeners_[index])); }

void Process::end(uint32_t index) {
  if (index == kControlWorker) {
    directing_.reset();
    control_.reset();
  }
  workers_[index].reset();
}

}  // namespace postring::sim
