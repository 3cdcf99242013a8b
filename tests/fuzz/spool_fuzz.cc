// The spool: payloads that decode can be encoded again to the same bytes, and a segment of any
// bytes is read to its end.

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "require.h"
#include "spool/record.h"
#include "spool/records.h"
#include "spool/segment.h"

namespace {

using namespace postring::spool;

template <typename Record>
void read_payload(std::string_view payload) {
  Record record;
  REQUIRE(decode(payload, record) == is_decodable(Record::kType, payload));
  if (!decode(payload, record)) return;
  std::string again;
  encode(record, again);
  REQUIRE(again == payload);
}

void read_as(RecordType type, std::string_view payload) {
  switch (type) {
    case RecordType::recipient: return read_payload<Recipient>(payload);
    case RecordType::batch_commit: return read_payload<BatchCommit>(payload);
    case RecordType::batch_discard: return read_payload<BatchDiscard>(payload);
    case RecordType::outcome: return read_payload<OutcomeRecord>(payload);
    case RecordType::folded: return read_payload<Folded>(payload);
    case RecordType::sums: return read_payload<Sums>(payload);
    case RecordType::seen: return read_payload<Seen>(payload);
    case RecordType::entry: return read_payload<Entry>(payload);
    case RecordType::entry_erased: return read_payload<EntryErased>(payload);
    default: break;
  }
  (void)decode_follow(payload);
  (void)decode_seal(payload);
  (void)decode_skip(payload);
  (void)decode_header(payload);
}

// Good records of the input's pieces, with the input's own bytes as damage between them: all that
// is good and reachable is found, and no more. Where damage is itself a record, which takes whoever
// knows the segment's seed, it may hide what follows: nothing is judged then.
void read_segment(std::string_view bytes) {
  constexpr uint32_t kSeed = 77;
  std::string segment(kSegmentHeaderSize, '\0');
  std::set<uint32_t> written;
  for (bool good = true; !bytes.empty(); good = !good) {
    size_t size = std::min<size_t>(bytes.size(), 1 + static_cast<uint8_t>(bytes[0]) % 64);
    std::string_view piece = bytes.substr(0, size);
    bytes.remove_prefix(size);
    auto offset = static_cast<uint32_t>(segment.size());
    if (good) {
      segment.resize(offset + record_size(size));
      write_record(segment.data() + offset, kSeed, offset, RecordType::entry, piece);
      written.insert(offset);
    } else {
      segment.append(piece);
      segment.resize((segment.size() + 7) / 8 * 8);
    }
  }
  size_t found = 0;
  uint32_t at = kSegmentHeaderSize;
  for (;;) {
    std::string_view rest = std::string_view(segment).substr(at);
    RecordView view;
    if (check_record(rest, kSeed, at, view) == RecordCheck::good) {
      if (!written.contains(at)) return;
      ++found;
      at += static_cast<uint32_t>(record_size(view.payload.size()));
      continue;
    }
    auto next = find_record(rest, kSeed, at, at);
    if (!next) break;
    REQUIRE(*next >= at);
    at = *next;
  }
  REQUIRE(found == written.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  // A copy of its own, so that reading past it is seen.
  std::vector<char> copy(data + 1, data + size);
  std::string_view payload(copy.data(), copy.size());
  read_as(static_cast<RecordType>(data[0] % 16), payload);
  read_segment(payload);
  return 0;
}
