// DNS answers: any bytes parse within the limits or are refused, and what comes out is usable; an
// answer that was built of the input's records is read as these, in order.

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "../dns/wire_builder.h"
#include "dns/message.h"
#include "require.h"

namespace {

using namespace postring;
using namespace postring::dns;

void read_any(std::string_view bytes) {
  auto message = parse_message(bytes);
  if (!message) return;
  REQUIRE(message->answers.size() <= kRecordsMax);
  for (const Record& record : message->answers) {
    // A byte of a name becomes at most "\ddd".
    REQUIRE(record.name.size() <= 4 * kNameBytesMax);
    for (char c : record.name) REQUIRE(c > 0x20 && c < 0x7f);
    for (RecordType type : {RecordType::mx, RecordType::a, RecordType::aaaa, RecordType::txt}) {
      auto set = record_set_of(*message, record.name, type);
      if (!set) continue;
      REQUIRE((set->kind == RecordSet::Kind::records) == !set->records.empty());
      for (const Record& each : set->records) REQUIRE(each.type == type);
    }
  }
}

class Input {
 public:
  explicit Input(std::string_view bytes) : bytes_(bytes) {}
  bool done() const { return bytes_.empty(); }
  std::string_view take(size_t size) {
    std::string_view part = bytes_.substr(0, size);
    bytes_.remove_prefix(part.size());
    return part;
  }
  uint8_t byte() {
    std::string_view one = take(1);
    return one.empty() ? uint8_t{0} : static_cast<uint8_t>(one[0]);
  }

 private:
  std::string_view bytes_;
};

struct Name {
  std::string given;  // for the builder, which cuts it at dots
  std::string read;
};

Name name_of(Input& input) {
  Name name;
  for (unsigned labels = 1 + input.byte() % 3; labels > 0; --labels) {
    std::string label(input.take(1 + input.byte() % 40));
    std::ranges::replace(label, '.', '+');
    if (label.empty()) label = "x";
    if (!name.given.empty()) name.given += '.', name.read += '.';
    name.given += label;
    for (char c : label) {
      bool upper = c >= 'A' && c <= 'Z';
      bool plain =
          upper || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
      char escaped[8];
      std::snprintf(escaped, sizeof(escaped), "\\%03u", static_cast<uint8_t>(c));
      plain ? name.read += static_cast<char>(upper ? c + 32 : c) : name.read += escaped;
    }
  }
  return name;
}

struct Built {
  std::string bytes;
  std::vector<Record> records;
  Rcode rcode = Rcode::no_error;
  uint32_t negative_ttl_seconds = 0;
};

void add_record(Input& input, const Name& question, WireBuilder& wire, Built& built) {
  static const std::string kToQuestion = "\xc0\x0c";  // a pointer behind the header
  uint8_t kind = input.byte();
  Name owner = name_of(input);
  Record record;
  record.name = owner.read;
  record.ttl_seconds = uint32_t{input.byte()} << (input.byte() % 25);
  uint32_t ttl = record.ttl_seconds;
  if (ttl > INT32_MAX) record.ttl_seconds = 0;
  std::string data;
  bool is_read = true;
  if (kind % 7 < 2) {
    bool v4 = kind % 7 == 0;
    record.type = v4 ? RecordType::a : RecordType::aaaa;
    record.ip.family = v4 ? IpAddress::Family::v4 : IpAddress::Family::v6;
    data = input.take(v4 ? 4 : 16);
    data.resize(v4 ? 4 : 16);
    std::ranges::copy(data, record.ip.bytes.begin());
  } else if (kind % 7 < 4) {
    record.type = kind % 7 == 2 ? RecordType::mx : RecordType::cname;
    if (record.type == RecordType::mx) {
      record.preference = static_cast<uint16_t>(input.byte() << 8 | input.byte());
      WireBuilder::u16(data, record.preference);
    }
    bool points = kind >= 128;
    Name target = points ? question : name_of(input);
    record.text = target.read;
    data += points ? kToQuestion : WireBuilder::name(target.given);
  } else if (kind % 7 < 6) {
    record.type = RecordType::txt;
    for (unsigned strings = input.byte() % 4; strings > 0; --strings) {
      std::string_view text = input.take(input.byte());
      record.text += text;
      data += static_cast<char>(text.size());
      data += text;
    }
  } else {
    // One of a type that nobody asked for.
    is_read = false;
    data = input.take(input.byte() % 50);
    record.type = static_cast<RecordType>(99);
  }
  wire.record(owner.given, static_cast<uint16_t>(record.type), ttl, data);
  if (is_read) built.records.push_back(std::move(record));
}

Built build(std::string_view bytes) {
  Input input(bytes);
  Built built;
  built.rcode = static_cast<Rcode>(input.byte() % 6);
  Name question = name_of(input);
  WireBuilder wire(question.given, 15, static_cast<uint8_t>(built.rcode));
  uint32_t minimum = input.byte();
  wire.soa("example.com", 100, minimum);
  built.negative_ttl_seconds = std::min(minimum, 100u);
  for (size_t count = 0; !input.done() && count < kRecordsMax; ++count) {
    add_record(input, question, wire, built);
  }
  built.bytes = wire.bytes();
  return built;
}

void build_and_read(std::string_view bytes) {
  Built built = build(bytes);
  auto message = parse_message(built.bytes);
  REQUIRE(message && message->id == 0x1234 && message->rcode == built.rcode);
  REQUIRE(!message->truncated && !message->authentic);
  REQUIRE(message->negative_ttl_seconds == built.negative_ttl_seconds);
  REQUIRE(std::ranges::equal(message->answers, built.records, [](const Record& a, const Record& b) {
    return a.name == b.name && a.type == b.type && a.ttl_seconds == b.ttl_seconds && a.ip == b.ip &&
           a.preference == b.preference && a.text == b.text;
  }));
  // No answer that was cut off passes for a whole one.
  for (size_t size : {built.bytes.size() - 1, built.bytes.size() / 2}) {
    REQUIRE(!parse_message(std::string_view(built.bytes).substr(0, size)));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  read_any(as_text(data, size));
  build_and_read(as_text(data, size));
  return 0;
}
