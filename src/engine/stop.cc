#include "engine/stop.h"

#include <algorithm>

namespace postring::engine {

void Stop::begin() {
  if (begun_) return;
  begun_ = true;
  log_.info("stopping");
  control_.stopping();
  Duration patience = worker_.config().delivery.stop_wait;
  worker_.ask_all<bool>(
      [patience](Worker& there, auto reply) {
        there.stop_delivery(patience, [reply = std::move(reply)]() mutable { reply(true); });
      },
      [this](std::vector<bool>) { bring_outcomes_home(); });
}

// What a worker sent to another before it was asked this has arrived when the other answers it:
// outcomes still under way between them would come to a closed home.
void Stop::bring_outcomes_home() {
  worker_.ask_all<bool>(
      [](Worker& there, auto reply) {
        there.ask_all<bool>([](Worker&, auto answer) { answer(true); },
                            [reply = std::move(reply)](std::vector<bool>) mutable { reply(true); });
      },
      [this](std::vector<bool>) { close_homes(); });
}

void Stop::close_homes() {
  worker_.ask_all<bool>([](Worker& there, auto reply) { there.close_homes(std::move(reply)); },
                        [this](std::vector<bool> ok) {
                          if (std::ranges::count(ok, false) > 0) {
                            log_.error("outcomes could not be written: after the next start their "
                                       "recipients are tried again");
                            control_.spool_failed();
                          }
                          close_control();
                        });
}

void Stop::close_control() {
  worker_.ask_all<bool>(
      [](Worker& there, auto reply) {
        there.when_exported([reply = std::move(reply)]() mutable { reply(true); });
      },
      [this](std::vector<bool>) { control_.close([this] { stop_serving(); }); });
}

void Stop::stop_serving() {
  routes_->stop([this] {
    worker_.ask_all<bool>(
        [](Worker& there, auto reply) {
          there.stop_serving([reply = std::move(reply)]() mutable { reply(true); });
        },
        [this](std::vector<bool>) { finish(); });
  });
}

void Stop::finish() {
  signals_->stop();
  worker_.loop().add_step([this, posted = false]() mutable {
    if (posted || !signals_->ended()) return false;
    posted = true;
    for (size_t to = 0; to < worker_.workers(); ++to) {
      worker_.shared().mesh.post(
          worker_.index(), to, [&shared = worker_.shared(), to] { shared.workers[to]->finish(); });
    }
    return false;
  });
}

}  // namespace postring::engine
