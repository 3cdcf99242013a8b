#include "sim/machine.h"

#include "base/check.h"

namespace postring::sim {
namespace {

Machine* the_machine = nullptr;

}  // namespace

Machine& machine() {
  CHECK(the_machine != nullptr, "no machine is switched on");
  return *the_machine;
}

void set_machine(Machine* machine) { the_machine = machine; }

int Machine::open(Descriptor what) {
  for (size_t i = 0; i < descriptors.size(); ++i) {
    if (!std::holds_alternative<std::monostate>(descriptors[i])) continue;
    descriptors[i] = std::move(what);
    return static_cast<int>(i) + 3;
  }
  descriptors.push_back(std::move(what));
  return static_cast<int>(descriptors.size()) + 2;
}

void Machine::close(int descriptor) {
  size_t index = static_cast<size_t>(descriptor) - 3;
  CHECK(descriptor >= 3);
  CHECK(index < descriptors.size());
  Descriptor was = std::exchange(descriptors[index], std::monostate());
  CHECK(!std::holds_alternative<std::monostate>(was), "a descriptor is closed twice");
  if (auto* socket = std::get_if<OpenSocket>(&was)) {
    if (socket->stream != nullptr) socket->stream->close(false);
  } else if (auto* listener = std::get_if<std::shared_ptr<Listener>>(&was)) {
    net.drop_listener(listener->get());
  }
}

size_t Machine::open_count() const {
  size_t count = 0;
  for (const Descriptor& one : descriptors) {
    count += std::holds_alternative<std::monostate>(one) ? 0 : 1;
  }
  return count;
}

uint32_t Machine::connections_to(const IpAddress& ip) const {
  uint32_t count = 0;
  for (const Descriptor& one : descriptors) {
    const auto* socket = std::get_if<OpenSocket>(&one);
    count += socket != nullptr && socket->to == ip ? 1 : 0;
  }
  return count;
}

void Machine::file_operation() {
  ++operations;
  if (end_in_operations == 0 || --end_in_operations > 0) return;
  faults.count(Fault::in_file_operation);
  freeze_disk(end_with_power);
}

void Machine::freeze_disk(bool power_cut) {
  if (frozen != nullptr) return;
  frozen = disk->clone();
  if (power_cut) frozen->cut_power(random, faults);
}

void Machine::end_process(bool power_cut) {
  freeze_disk(power_cut);
  old_disks.push_back(std::exchange(disk, std::move(frozen)));
  disk->set_capacity(static_cast<uint64_t>(faults.options.disk_bytes));
  end_in_operations = 0;
  end_in_busy = 0;
  ends = false;
  sync_failed_at = Instant::never();
  for (Descriptor& one : descriptors) {
    if (auto* socket = std::get_if<OpenSocket>(&one)) {
      if (socket->stream != nullptr) socket->stream->close(true);
    }
  }
  descriptors.clear();
  net.drop_listeners();
  rings.clear();
  on_signal = nullptr;
  on_watch_ended = nullptr;
}

}  // namespace postring::sim
