// Rendering: one recipient's message as pieces to send.
//
// A pure function of content, recipient and form: every attempt gives the same bytes. The pieces
// point into the content's pool and into the scratch; both must stay untouched until the last piece
// was sent, so a message in flight has a Scratch of its own. A Scratch grows to what its messages
// need and allocates nothing after that; it gives back what an unusually large one took.
//
// The pieces of a message are whole lines: the last one ends with CRLF, and the final dot of DATA
// is not among them. There may be more of them than one send takes (IOV_MAX).
#pragma once

#include <sys/uio.h>

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/units.h"
#include "mail/content.h"
#include "mail/ids.h"
#include "mail/verp.h"

namespace postring::mail {

// A Scratch keeps this much without asking whether it is still needed.
constexpr size_t kScratchKeptBytes = 256u << 10;

enum class Form : uint8_t {
  dot_stuffed,  // for DATA: a dot at the start of a line is doubled
  plain,        // for BDAT
};

struct RenderInput {
  RecipientId recipient = 0;
  // Set: one message of several recipients, which its Message-ID names in the recipient's place.
  // For contents that are same_for_all(): every recipient gets the same bytes.
  BatchId message = 0;
  CampaignId campaign = 0;
  std::string_view address;  // canonical
  WallTime accepted_at;
  std::string_view values;             // from ValuesBuilder, mail/values.h
  std::string_view message_id_domain;  // an A-label domain
  const VerpKey* verp_key = nullptr;   // must be there where content.uses_verp()
};

struct Rendered {
  std::span<const iovec> pieces;
  uint64_t size_bytes = 0;      // of the pieces together: what BDAT announces
  bool needs_8bit = false;      // BODY=8BITMIME
  bool needs_smtputf8 = false;  // the message or its recipient does
};

// The memory of one rendering at a time.
class Scratch {
 public:
  Scratch() = default;
  Scratch(Scratch&&) = default;
  Scratch& operator=(Scratch&&) = default;

  // Memory held, to account for.
  size_t capacity_bytes() const {
    return capacity_ + pieces_.capacity() * sizeof(iovec) +
           values_.capacity() * sizeof(std::string_view) + text_.capacity();
  }

 private:
  friend class Renderer;
  std::unique_ptr<char[]> bytes_;
  size_t capacity_ = 0;
  std::vector<iovec> pieces_;
  std::vector<std::string_view> values_;
  std::string text_;  // a header's text on its way to being encoded
  std::string return_path_;
  std::string date_;  // of date_second_, the last one asked for
  int64_t date_second_ = INT64_MIN;
  char id_[16] = {};
  std::array<char, kVerpTokenMax> verp_ = {};  // the token of verp_id_ under verp_key_
  size_t verp_bytes_ = 0;                      // 0: none was made yet
  VerpKey verp_key_{0, 0};
  VerpId verp_id_;
};

Rendered render(const Content& content, const RenderInput& input, Form form, Scratch& scratch);

// The envelope's sender without brackets, "" the null one; valid as the pieces are.
std::string_view render_return_path(const Content& content, const RenderInput& input,
                                    Scratch& scratch);

}  // namespace postring::mail
