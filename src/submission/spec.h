// Spec: what clients write in JSON to create a campaign or send a message, checked and compiled.
//
// Everything that can be wrong is said with the field's path: {"content.html", "byte 120: ..."}.
// These functions are pure and may take long for large bodies (GMime, base64): beyond
// kInlineBodyMax they belong onto a helper thread.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "submission/backend.h"

namespace postring::submission {

constexpr uint64_t kCampaignBodyMax = 48u << 20;
constexpr uint64_t kMessageBodyMax = 40u << 20;  // attachments of 25 MB in base64, and text
constexpr size_t kAttachmentBytesMax = 25u << 20;
constexpr size_t kInlineBodyMax = 16 * 1'024;
constexpr size_t kNameMax = 256;
constexpr size_t kSourcesMax = 256;
constexpr size_t kRetryStepsMax = 32;
constexpr Duration kMaxAgeMax = Duration::days(30);

struct FieldFault {
  std::string field;  // empty: the body as a whole
  std::string reason;
};

template <typename T>
using Spec = Result<T, FieldFault>;

// `now` judges what is in the past.
Spec<NewCampaign> parse_campaign(std::string_view json, WallTime now);

// A message before its recipients' values are encoded: for a stored content that needs the content.
struct MessageSpec {
  using Data = std::vector<std::pair<std::string, std::string>>;
  NewMessage message;      // `to` without values
  std::vector<Data> data;  // of each of `to`
};

Spec<MessageSpec> parse_message(std::string_view json, WallTime now);

// Encodes the values of every recipient. `content` is the stored one, or the one just compiled.
Spec<NewMessage> finish_message(MessageSpec spec, const mail::Content& content);

}  // namespace postring::submission
