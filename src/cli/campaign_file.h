// CampaignFile: campaign.toml as the JSON that POST /v1/campaigns takes.
//
//     name = "Spring"
//     unsubscribe = "https://shop.example/u/{{recipient_id}}"
//     [content]
//     from = "Shop <news@shop.example>"
//     subject = "Hello {{name}}"
//     text_file = "spring.txt"        # or text = "..."
//     html_file = "spring.html"
//
// Names go to the API as they are, which says what it does not know. Only text_file, html_file and
// message_file in [content], and file in [[content.attachments]], are ours: files relative to the
// campaign's own, put in their places. Dates become RFC 3339 texts.
#pragma once

#include <string>

#include "base/result.h"

namespace postring::cli {

constexpr uint64_t kContentFileBytesMax = 64u << 20;

Result<std::string> read_campaign_file(const std::string& path);

}  // namespace postring::cli
