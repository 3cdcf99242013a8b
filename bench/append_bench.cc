// The log by itself: what appending a record costs, with a sync whenever the last one has ended.
// Run on a journaled filesystem: APPEND_BENCH_FOLDER says where (default /tmp).
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>

#include "io/clock.h"
#include "io/loop.h"
#include "spool/log.h"

namespace postring::spool {
namespace {

class Bed {
 public:
  Bed() {
    const char* base = std::getenv("APPEND_BENCH_FOLDER");
    std::string pattern = std::string(base == nullptr ? "/tmp" : base) + "/append-bench-XXXXXX";
    if (mkdtemp(pattern.data()) == nullptr) std::abort();
    folder_ = pattern;
    auto ring = Ring::create();
    if (!ring) std::abort();
    loop_ = std::make_unique<Loop>(std::move(*ring), 1);
    LogOptions options;
    options.slice = 1;
    options.spool_id = 1;
    auto opened = Log::open(*loop_, folder_ + "/slice", options, [](const RecordView&) {});
    if (!opened) std::abort();
    log_ = std::move(*opened);
  }
  ~Bed() {
    bool closed = false;
    log_->close([&](bool) { closed = true; });
    while (!closed) turn();
    log_.reset();
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  Bed(const Bed&) = delete;
  Bed& operator=(const Bed&) = delete;

  void append(std::string_view payload) {
    while (!log_->append(RecordType::recipient, payload, Room::submission)) turn();
    ++unsynced_;
    if (unsynced_ % 512 == 0) loop_->turn(Instant{});
    if (!syncing_ && unsynced_ >= 1'024) sync();
  }
  void finish() {
    while (syncing_) turn();
  }
  uint64_t syncs() const { return syncs_; }

 private:
  void sync() {
    syncing_ = true;
    unsynced_ = 0;
    ++syncs_;
    log_->sync_soon([this](bool) { syncing_ = false; });
  }
  void turn() { loop_->turn(clock_now() + Duration::milliseconds(5)); }

  std::string folder_;
  std::unique_ptr<Loop> loop_;
  std::unique_ptr<Log> log_;
  uint64_t unsynced_ = 0;
  uint64_t syncs_ = 0;
  bool syncing_ = false;
};

void append(benchmark::State& state) {
  Bed bed;
  std::string payload(static_cast<size_t>(state.range(0)), 'x');
  for (auto _ : state) bed.append(payload);
  bed.finish();
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations()) * state.range(0));
  state.counters["syncs"] = static_cast<double>(bed.syncs());
}

BENCHMARK(append)->Arg(100)->Arg(1'000)->Iterations(1'000'000);

}  // namespace
}  // namespace postring::spool

BENCHMARK_MAIN();
