// DNS answers: any bytes parse within the limits or are refused; what comes out is usable.
#include <cstddef>
#include <cstdint>

#include "base/check.h"
#include "dns/message.h"

using namespace postring::dns;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  auto message = parse_message(std::string_view(reinterpret_cast<const char*>(data), size));
  if (!message) return 0;
  CHECK(message->answers.size() <= kRecordsMax);
  for (const Record& record : message->answers) {
    // A byte of a name becomes at most "\ddd".
    CHECK(record.name.size() <= 4 * kNameBytesMax);
    for (char c : record.name) CHECK(c > 0x20 && c < 0x7f);
    for (RecordType type : {RecordType::mx, RecordType::a, RecordType::aaaa, RecordType::txt}) {
      auto set = record_set_of(*message, record.name, type);
      if (!set) continue;
      CHECK((set->kind == RecordSet::Kind::records) == !set->records.empty());
      for (const Record& each : set->records) CHECK(each.type == type);
    }
  }
  return 0;
}
