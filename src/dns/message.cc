#include "dns/message.h"

#include <algorithm>
#include <cstring>

namespace postring::dns {
namespace {

constexpr uint16_t kClassIn = 1;

// A cursor over the message that never leaves it.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : bytes_(bytes) {}

  bool ok() const { return !error_.has_value(); }
  MessageError error() const { return *error_; }
  size_t at() const { return at_; }
  size_t left() const { return bytes_.size() - at_; }

  void fail(MessageError error) {
    if (ok()) error_ = error;
  }
  uint8_t u8() {
    if (!ok() || left() < 1) {
      fail(MessageError::too_short);
      return 0;
    }
    return static_cast<uint8_t>(bytes_[at_++]);
  }
  uint16_t u16() {
    auto high = u8();
    return static_cast<uint16_t>(high << 8 | u8());
  }
  uint32_t u32() {
    uint32_t high = u16();
    return high << 16 | u16();
  }
  std::string_view raw(size_t size) {
    if (!ok() || left() < size) {
      fail(MessageError::too_short);
      return {};
    }
    std::string_view bytes = bytes_.substr(at_, size);
    at_ += size;
    return bytes;
  }
  void skip_to(size_t at) { at_ = std::min(at, bytes_.size()); }

  std::string name();

 private:
  static void append_label(std::string& out, std::string_view label);

  std::string_view bytes_;
  size_t at_ = 0;
  std::optional<MessageError> error_;
};

void Reader::append_label(std::string& out, std::string_view label) {
  for (char c : label) {
    auto byte = static_cast<uint8_t>(c);
    bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
    if (plain) {
      out += c;
    } else if (c >= 'A' && c <= 'Z') {
      out += static_cast<char>(c - 'A' + 'a');
    } else {
      out += '\\';
      out += static_cast<char>('0' + byte / 100);
      out += static_cast<char>('0' + byte / 10 % 10);
      out += static_cast<char>('0' + byte % 10);
    }
  }
}

// RFC 1035 4.1.4. Each pointer must point before the place the walk last came from: the walk ends.
std::string Reader::name() {
  std::string name;
  size_t position = at_;
  size_t lowest = at_;
  size_t wire_bytes = 0;
  bool jumped = false;
  while (ok()) {
    if (position >= bytes_.size()) {
      fail(MessageError::too_short);
      break;
    }
    auto length = static_cast<uint8_t>(bytes_[position]);
    if ((length & 0xc0) == 0xc0) {
      if (position + 1 >= bytes_.size()) {
        fail(MessageError::too_short);
        break;
      }
      size_t target =
          static_cast<size_t>(length & 0x3f) << 8 | static_cast<uint8_t>(bytes_[position + 1]);
      if (!jumped) at_ = position + 2;
      jumped = true;
      if (target >= lowest) {
        fail(MessageError::bad_name);
        break;
      }
      lowest = position = target;
      continue;
    }
    wire_bytes += length + 1u;
    if ((length & 0xc0) != 0 || wire_bytes > kNameBytesMax) {
      fail(MessageError::bad_name);
      break;
    }
    if (length == 0) {
      if (!jumped) at_ = position + 1;
      break;
    }
    if (bytes_.size() - position - 1 < length) {
      fail(MessageError::too_short);
      break;
    }
    if (!name.empty()) name += '.';
    append_label(name, bytes_.substr(position + 1, length));
    position += length + 1u;
  }
  return name;
}

struct RecordHead {
  std::string name;
  uint16_t type = 0;
  uint16_t record_class = 0;
  uint32_t ttl_seconds = 0;
  size_t data_end = 0;
};

RecordHead read_head(Reader& reader) {
  RecordHead head;
  head.name = reader.name();
  head.type = reader.u16();
  head.record_class = reader.u16();
  head.ttl_seconds = reader.u32();
  // RFC 2181 8: a TTL with the top bit set counts as zero.
  if (head.ttl_seconds > 0x7fffffffu) head.ttl_seconds = 0;
  uint16_t data_bytes = reader.u16();
  if (reader.ok() && reader.left() < data_bytes) reader.fail(MessageError::too_short);
  head.data_end = reader.at() + data_bytes;
  return head;
}

IpAddress ip_of(IpAddress::Family family, std::string_view bytes) {
  IpAddress ip;
  ip.family = family;
  std::copy(bytes.begin(), bytes.end(), ip.bytes.begin());
  return ip;
}

// Reads the data of a record whose type we know; false for one to pass over.
bool read_data(Reader& reader, const RecordHead& head, Record& record) {
  size_t data_bytes = head.data_end - reader.at();
  record.type = static_cast<RecordType>(head.type);
  switch (record.type) {
    case RecordType::a:
      if (data_bytes != 4) break;
      record.ip = ip_of(IpAddress::Family::v4, reader.raw(4));
      return true;
    case RecordType::aaaa:
      if (data_bytes != 16) break;
      record.ip = ip_of(IpAddress::Family::v6, reader.raw(16));
      return true;
    case RecordType::mx:
      record.preference = reader.u16();
      record.text = reader.name();
      if (reader.ok() && reader.at() != head.data_end) break;
      return true;
    case RecordType::cname:
      record.text = reader.name();
      if (reader.ok() && reader.at() != head.data_end) break;
      return true;
    case RecordType::txt:
      while (reader.ok() && reader.at() < head.data_end) {
        size_t string_bytes = reader.u8();
        if (string_bytes > head.data_end - reader.at()) {
          reader.fail(MessageError::bad_record);
          return false;
        }
        record.text += reader.raw(string_bytes);
      }
      return true;
    case RecordType::soa:
    default:
      return false;
  }
  reader.fail(MessageError::bad_record);
  return false;
}

void read_answers(Reader& reader, size_t count, Message& message) {
  for (size_t i = 0; i < count && reader.ok(); ++i) {
    RecordHead head = read_head(reader);
    if (!reader.ok()) return;
    Record record;
    if (head.record_class == kClassIn && read_data(reader, head, record) && reader.ok()) {
      record.name = std::move(head.name);
      record.ttl_seconds = head.ttl_seconds;
      message.answers.push_back(std::move(record));
    }
    reader.skip_to(head.data_end);
  }
}

void read_authority(Reader& reader, size_t count, Message& message) {
  for (size_t i = 0; i < count && reader.ok(); ++i) {
    RecordHead head = read_head(reader);
    if (!reader.ok()) return;
    if (head.type == static_cast<uint16_t>(RecordType::soa) && head.record_class == kClassIn) {
      reader.name();
      reader.name();
      reader.raw(16);
      uint32_t minimum = reader.u32();
      if (!reader.ok()) return;
      if (reader.at() != head.data_end) return reader.fail(MessageError::bad_record);
      message.negative_ttl_seconds = std::min(head.ttl_seconds, minimum);
    }
    reader.skip_to(head.data_end);
  }
}

}  // namespace

Result<Message, MessageError> parse_message(std::string_view bytes) {
  Reader reader(bytes);
  Message message;
  message.id = reader.u16();
  uint16_t flags = reader.u16();
  size_t questions = reader.u16();
  size_t answers = reader.u16();
  size_t authority = reader.u16();
  reader.u16();
  if (!reader.ok()) return std::unexpected(reader.error());
  if ((flags & 0x8000) == 0) return std::unexpected(MessageError::not_a_reply);
  message.rcode = static_cast<Rcode>(flags & 0xf);
  message.truncated = (flags & 0x0200) != 0;
  message.authentic = (flags & 0x0020) != 0;
  for (size_t i = 0; i < questions && reader.ok(); ++i) {
    reader.name();
    reader.u32();
  }
  bool all = answers <= kRecordsMax;
  read_answers(reader, std::min(answers, kRecordsMax), message);
  if (all) read_authority(reader, std::min(authority, kRecordsMax), message);
  if (!reader.ok()) return std::unexpected(reader.error());
  return message;
}

std::optional<RecordSet> record_set_of(const Message& message, std::string_view name,
                                       RecordType type) {
  if (message.truncated) return std::nullopt;
  if (message.rcode != Rcode::no_error && message.rcode != Rcode::name_error) return std::nullopt;
  RecordSet set;
  std::string current(name);
  uint32_t ttl_seconds = UINT32_MAX;
  for (size_t followed = 0; followed <= kCnamesMax; ++followed) {
    const Record* cname = nullptr;
    for (const Record& record : message.answers) {
      if (record.name != current) continue;
      if (record.type == type) {
        set.records.push_back(record);
        ttl_seconds = std::min(ttl_seconds, record.ttl_seconds);
      } else if (record.type == RecordType::cname) {
        cname = &record;
      }
    }
    if (!set.records.empty()) {
      set.kind = RecordSet::Kind::records;
      set.ttl_seconds = ttl_seconds;
      return set;
    }
    if (cname == nullptr) {
      if (message.rcode == Rcode::name_error) {
        set.kind = RecordSet::Kind::no_name;
        set.ttl_seconds = message.negative_ttl_seconds;
      } else if (followed > 0 && !message.negative_ttl_seconds) {
        set.kind = RecordSet::Kind::alias;
        set.alias = current;
        set.ttl_seconds = ttl_seconds;
      } else {
        set.kind = RecordSet::Kind::no_data;
        set.ttl_seconds = message.negative_ttl_seconds;
      }
      return set;
    }
    ttl_seconds = std::min(ttl_seconds, cname->ttl_seconds);
    current = cname->text;
  }
  return std::nullopt;
}

bool is_host_name(std::string_view name) {
  if (name.empty() || name.size() > 253) return false;
  size_t label = 0;
  for (char c : name) {
    if (c == '.') {
      if (label == 0) return false;
      label = 0;
      continue;
    }
    bool good = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
    if (!good || ++label > 63) return false;
  }
  return label > 0;
}

}  // namespace postring::dns
