#include "engine/erasures.h"

#include <simdjson.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "base/json_writer.h"
#include "io/file.h"
#include "mail/id_text.h"

namespace postring::engine {
namespace {

constexpr uint64_t kFileMax = 64u << 20;
constexpr std::string_view kFormat = "erased 2";

std::string_view text_of(const simdjson::dom::element& event, const char* name) {
  std::string_view text;
  return event[name].get(text) == simdjson::SUCCESS ? text : std::string_view();
}

}  // namespace

RecipientId Erasure::end_of(SliceNumber slice) const {
  auto end = std::find_if(ends.begin(), ends.end(),
                          [slice](RecipientId one) { return slice_of(one) == slice; });
  return end == ends.end() ? 0 : *end;
}

Erasures::Erasures(Loop& loop, std::string path) : loop_(loop), path_(std::move(path)) {}

Erasures::~Erasures() { *alive_ = false; }

Result<std::unique_ptr<Erasures>> Erasures::open(Loop& loop, std::string path) {
  std::unique_ptr<Erasures> erasures(new Erasures(loop, std::move(path)));
  if (auto done = erasures->read(); !done) return std::unexpected(done.error());
  return erasures;
}

Result<void> Erasures::read() {
  if (!file_exists(path_)) return {};
  auto bytes = read_whole_file(path_, kFileMax);
  if (!bytes) return fail(path_ + " cannot be read: " + std::strerror(bytes.error()));
  std::string_view all = *bytes;
  std::string_view body = all.substr(0, all.size() - std::min<size_t>(4, all.size()));
  ByteReader tail(all.substr(body.size()));
  ByteReader reader(body);
  bool good = tail.fixed<uint32_t>() == crc32c(body) && tail.ok();
  good = good && reader.raw(kFormat.size()) == kFormat;
  while (good && !reader.done()) {
    Erasure erasure;
    erasure.id = reader.fixed<uint64_t>();
    erasure.tenant = reader.fixed<TenantId>();
    erasure.events_end = reader.fixed<uint64_t>();
    std::string_view hash = reader.raw(erasure.address_hash.size());
    erasure.event_hash = reader.fixed<uint32_t>();
    for (auto left = reader.fixed<uint16_t>(); left > 0 && reader.ok(); --left) {
      erasure.ends.push_back(reader.fixed<RecipientId>());
    }
    erasure.address = reader.raw(reader.fixed<uint16_t>());
    good = reader.ok();
    if (!good) break;
    std::memcpy(erasure.address_hash.data(), hash.data(), hash.size());
    next_id_ = std::max(next_id_, erasure.id + 1);
    by_hash_.emplace(erasure.event_hash, std::move(erasure));
  }
  if (good) return {};
  return fail(path_ + " is damaged: it says which addresses were erased; after removing it, their "
              "events can be read until they are too old, and those to erase must be named again");
}

std::string Erasures::encode() const {
  std::string bytes;
  ByteWriter writer(bytes);
  writer.raw(kFormat);
  for (const auto& [event_hash, erasure] : by_hash_) {
    writer.fixed<uint64_t>(erasure.id);
    writer.fixed<TenantId>(erasure.tenant);
    writer.fixed<uint64_t>(erasure.events_end);
    writer.raw({reinterpret_cast<const char*>(erasure.address_hash.data()),
                erasure.address_hash.size()});
    writer.fixed<uint32_t>(event_hash);
    writer.fixed<uint16_t>(static_cast<uint16_t>(erasure.ends.size()));
    for (RecipientId end : erasure.ends) writer.fixed<RecipientId>(end);
    writer.fixed<uint16_t>(static_cast<uint16_t>(erasure.address.size()));
    writer.raw(erasure.address);
  }
  writer.fixed<uint32_t>(crc32c(bytes));
  return bytes;
}

// One write at a time; what changes meanwhile goes with the next.
void Erasures::write_soon() {
  changed_ = true;
  if (writing_) return;
  writing_ = true;
  loop_.defer([this, alive = alive_] {
    if (!*alive) return;
    changed_ = false;
    loop_.offload().run(
        [path = path_, bytes = encode()] {
          return write_whole_file(path, bytes, 0600).has_value();
        },
        [this, alive, waiting = std::exchange(waiting_, {})](bool ok) mutable {
          if (!*alive) return;
          writing_ = false;
          for (Waiting& one : waiting) {
            if (!ok) std::erase_if(by_hash_, [&](auto& e) { return e.second.id == one.id; });
            one.durable(ok);
          }
          if (changed_) write_soon();
        });
  });
}

Erasure Erasures::add(TenantId tenant, std::string address, std::vector<RecipientId> ends,
                      std::move_only_function<void(bool)> durable) {
  Erasure erasure;
  erasure.id = next_id_++;
  erasure.tenant = tenant;
  erasure.ends = std::move(ends);
  erasure.address_hash = sha256(address);
  erasure.event_hash = event_address_hash(address);
  erasure.address = std::move(address);
  by_hash_.emplace(erasure.event_hash, erasure);
  waiting_.push_back({erasure.id, std::move(durable)});
  write_soon();
  return erasure;
}

bool Erasures::cover(const EventEntry& entry) const {
  auto [at, end] = by_hash_.equal_range(entry.address_hash);
  if (at == end || entry.type == kCampaignComplete) return false;
  simdjson::dom::parser parser;
  simdjson::dom::element event;
  if (parser.parse(entry.json.data(), entry.json.size()).get(event) != simdjson::SUCCESS) {
    return false;
  }
  Sha256 address = sha256(text_of(event, "address"));
  RecipientId id = mail::parse_id(text_of(event, "recipient")).value_or(0);
  return std::any_of(at, end, [&](const auto& known) {
    const Erasure& erasure = known.second;
    return (erasure.tenant == 0 || erasure.tenant == entry.tenant) &&
           erasure.address_hash == address && id < erasure.end_of(slice_of(id));
  });
}

std::vector<Erasure> Erasures::unfinished() const {
  std::vector<Erasure> list;
  for (const auto& [hash, erasure] : by_hash_) {
    if (!erasure.address.empty()) list.push_back(erasure);
  }
  return list;
}

Erasure* Erasures::find(uint64_t id) {
  for (auto& [hash, erasure] : by_hash_) {
    if (erasure.id == id) return &erasure;
  }
  return nullptr;
}

void Erasures::set_asked(uint64_t id) {
  if (Erasure* erasure = find(id)) erasure->asked = true;
}

void Erasures::set_clean(const std::vector<uint64_t>& ids, uint64_t events_end) {
  for (uint64_t id : ids) {
    Erasure* erasure = find(id);
    if (erasure == nullptr || erasure->address.empty()) continue;
    erasure->address.clear();
    erasure->events_end = events_end;
    write_soon();
  }
}

void Erasures::forget(uint64_t events_oldest) {
  size_t gone = std::erase_if(by_hash_, [&](const auto& known) {
    return known.second.address.empty() && known.second.events_end <= events_oldest;
  });
  if (gone > 0) write_soon();
}

std::string erased_event(std::string_view json) {
  simdjson::dom::parser parser;
  simdjson::dom::object event;
  JsonWriter out;
  out.object();
  if (parser.parse(json.data(), json.size()).get(event) == simdjson::SUCCESS) {
    for (const auto& [name, value] : event) {
      if (name == "ref" || name == "meta" || name == "reply") continue;
      if (name == "address") {
        out.field("erased", true);
        continue;
      }
      out.key(name).raw(simdjson::minify(value));
    }
  }
  return out.end().take();
}

}  // namespace postring::engine
