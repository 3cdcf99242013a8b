// The queue by itself: what a home costs per recipient to accept, to lease and settle, to recover,
// and in memory. Run on a journaled filesystem: QUEUE_BENCH_FOLDER says where (default /tmp), and
// QUEUE_BENCH_RECIPIENTS how many (default 1,000,000), in 1/50 as many domains and 20 campaigns.
//
// The parts go in their order, each once: they share the slice that the first one fills.
#include <benchmark/benchmark.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "io/clock.h"
#include "io/loop.h"
#include "queue/home.h"

namespace postring::queue {
namespace {

constexpr CampaignId kCampaigns = 20;
constexpr uint32_t kBatch = 100'000;

uint64_t recipients_wanted() {
  const char* text = std::getenv("QUEUE_BENCH_RECIPIENTS");
  return text == nullptr ? 1'000'000 : std::strtoull(text, nullptr, 10);
}

uint64_t anonymous_bytes() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("RssAnon:")) return std::strtoull(line.c_str() + 8, nullptr, 10) * 1'024;
  }
  return 0;
}

struct Bed {
  Bed() {
    const char* base = std::getenv("QUEUE_BENCH_FOLDER");
    std::string pattern = std::string(base == nullptr ? "/tmp" : base) + "/queue-bench-XXXXXX";
    if (mkdtemp(pattern.data()) == nullptr) std::abort();
    folder = pattern;
    auto ring = Ring::create();
    if (!ring) std::abort();
    loop = std::make_unique<Loop>(std::move(*ring), 1);
    for (CampaignId id = 1; id <= kCampaigns; ++id) {
      CampaignInfo info;
      info.id = id;
      info.tenant = 1;
      info.state = CampaignState::running;
      campaigns.put(std::move(info));
    }
  }
  ~Bed() {
    std::error_code ignored;
    std::filesystem::remove_all(folder, ignored);
  }
  void open() {
    HomeOptions options;
    options.slice = 1;
    auto opened = Home::open(*loop, folder + "/slice", options, campaigns, policies, {});
    if (!opened) {
      std::fprintf(stderr, "%s\n", opened.error().message.c_str());
      std::abort();
    }
    home = std::move(*opened);
    home->set_offer_sink([this](const DestinationOffer& offer) { offers.push_back(offer.id); });
  }
  void close() {
    bool closed = false;
    home->close([&](bool) { closed = true; });
    while (!closed) turn();
    home.reset();
    offers.clear();
  }
  void turn() { loop->turn(clock_now() + Duration::milliseconds(5)); }

  std::string folder;
  std::unique_ptr<Loop> loop;
  CampaignStates campaigns;
  RetryPolicies policies;
  std::unique_ptr<Home> home;
  std::vector<DestinationId> offers;
};

Bed& bed() {
  static Bed the_bed;
  return the_bed;
}

void submit(benchmark::State& state) {
  Bed& at = bed();
  uint64_t wanted = recipients_wanted();
  uint64_t domains = std::max<uint64_t>(wanted / 50, 1);
  at.open();
  NewBatch first;
  first.campaign = 1;
  // The first spare segment is still being made.
  for (auto begun = at.home->begin(first);; begun = at.home->begin(first)) {
    if (begun) {
      at.home->discard(*begun);
      break;
    }
    at.turn();
  }
  for (auto _ : state) {
    for (uint64_t n = 0; n < wanted;) {
      NewBatch in;
      in.campaign = 1 + n / kBatch % kCampaigns;
      BatchHandle batch = at.home->begin(in).value();
      for (uint32_t i = 0; i < kBatch && n < wanted; ++i, ++n) {
        std::string address = "recipient" + std::to_string(n) + "@domain" +
                              std::to_string(n * 7'919 % domains) + ".example";
        NewRecipient to;
        to.address = address;
        to.values = "\x01\x06Joanna\x02\x08Somewhere";
        while (!at.home->append(batch, to)) at.turn();
        if (i % 512 == 511) at.loop->turn(Instant{});
      }
      bool done = false;
      at.home->commit(batch, {}, [&](auto&&) { done = true; });
      while (!done) at.turn();
    }
  }
  state.counters["recipients_per_s"] =
      benchmark::Counter(static_cast<double>(wanted), benchmark::Counter::kIsRate);
  state.counters["disk_bytes_each"] =
      static_cast<double>(at.home->stats().bytes_on_disk) / static_cast<double>(wanted);
}

void recover(benchmark::State& state) {
  Bed& at = bed();
  at.close();
  uint64_t before = anonymous_bytes();
  for (auto _ : state) at.open();
  auto live = static_cast<double>(at.home->stats().recipients);
  state.counters["recipients_per_s"] = benchmark::Counter(live, benchmark::Counter::kIsRate);
  state.counters["anon_bytes_each"] = static_cast<double>(anonymous_bytes() - before) / live;
  state.counters["table_bytes_each"] = static_cast<double>(at.home->stats().table_bytes) / live;
}

void pull_and_settle(benchmark::State& state) {
  Bed& at = bed();
  at.home->start();
  uint64_t settled = 0;
  for (auto _ : state) {
    while (at.home->stats().recipients > 0) {
      at.turn();
      std::vector<DestinationId> offers;
      offers.swap(at.offers);
      for (DestinationId offer : offers) {
        at.home->pull(offer, 1'000, 1 << 20, [&at, &settled, offer](Pulled pulled) {
          if (pulled.more) at.offers.push_back(offer);
          for (const Lease& lease : pulled.leases) {
            Report report;
            report.outcome = Outcome::delivered;
            report.reply.code = 250;
            report.reply.text = "2.0.0 Ok: queued as 12345";
            report.source = "source1";
            report.remote_host = "mx1.domain.example";
            report.remote_address = "192.0.2.1";
            at.home->settle(lease.id, std::move(report));
            ++settled;
          }
        });
      }
    }
  }
  state.counters["recipients_per_s"] =
      benchmark::Counter(static_cast<double>(settled), benchmark::Counter::kIsRate);
  at.close();
}

BENCHMARK(submit)->Iterations(1)->Unit(benchmark::kMillisecond);
BENCHMARK(recover)->Iterations(1)->Unit(benchmark::kMillisecond);
BENCHMARK(pull_and_settle)->Iterations(1)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace postring::queue

BENCHMARK_MAIN();
