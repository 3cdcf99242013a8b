// The dns_wire seam: questions to the DnsWorld, which takes its time, fails, or keeps silent.
#include <memory>
#include <utility>
#include <vector>

#include "base/check.h"
#include "io/dns_wire.h"
#include "io/loop.h"
#include "sim/dns_world.h"
#include "sim/machine.h"
#include "sim/sim_ring.h"

namespace postring::sim {
namespace {

class SimDnsWire final : public DnsWire {
 public:
  SimDnsWire(Loop& loop, DnsWireOptions options) : loop_(loop), options_(std::move(options)) {}
  ~SimDnsWire() override {
    for (const auto& question : std::exchange(open_, {})) {
      question->wire = nullptr;
      question->done(std::unexpected(DnsWireError::cancelled), loop_.now());
    }
  }

  void query(const std::string& name, uint16_t type, Done done) override {
    auto question = std::make_shared<Question>();
    question->wire = this;
    question->done = std::move(done);
    open_.push_back(question);
    Machine& m = machine();
    const Options& o = m.faults.options;
    bool fails = m.fault(o.dns_failure);
    bool silent = fails && m.random.chance(1, 2);
    if (fails) m.faults.count(silent ? Fault::dns_timeout : Fault::dns_server_failure);
    Duration wait = silent ? options_.timeout * options_.tries : m.up_to(o.dns_us_max);
    m.schedule.after(wait, [this, question, name, type, fails, silent] {
      if (question->wire == nullptr) return;
      auto& ring = static_cast<SimRing&>(loop_.ring());
      if (ring.abandoned()) return;
      ring.post([question, name, type, fails, silent] {
        if (question->wire != nullptr) question->wire->answer(*question, name, type, fails, silent);
      });
    });
  }

 private:
  struct Question {
    SimDnsWire* wire = nullptr;
    Done done;
  };

  void answer(Question& question, const std::string& name, uint16_t type, bool fails,
              bool silent) {
    Done done = std::move(question.done);
    question.wire = nullptr;
    std::erase_if(open_, [](const auto& one) { return one->wire == nullptr; });
    Machine& m = machine();
    if (!fails) {
      std::string bytes = m.dns.answer(name, type);
      if (m.met(m.faults.options.dns_malformed, Fault::dns_malformed)) {
        bytes.resize(m.random.below(bytes.size()));
      }
      return done(std::move(bytes), loop_.now());
    }
    done(std::unexpected(silent ? DnsWireError::timeout : DnsWireError::server_failure),
         loop_.now());
  }

  Loop& loop_;
  DnsWireOptions options_;
  std::vector<std::shared_ptr<Question>> open_;
};

}  // namespace
}  // namespace postring::sim

namespace postring {

Result<std::unique_ptr<DnsWire>> DnsWire::create(Loop& loop, DnsWireOptions options) {
  return std::make_unique<sim::SimDnsWire>(loop, std::move(options));
}

}  // namespace postring
