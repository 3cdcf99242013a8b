#include "sim/account.h"

#include <algorithm>

#include "sim/json.h"

namespace postring::sim {
namespace {

constexpr size_t kShownBefore = 200, kShown = 500;

std::string without_deferrals(std::string json) {
  static constexpr std::string_view kName = "\"deferrals\":";
  for (size_t at = 0; (at = json.find(kName, at)) != std::string::npos;) {
    at += kName.size();
    json.erase(at, json.find_first_not_of("0123456789", at) - at);
  }
  return json;
}

}  // namespace

void Account::ask() {
  text_.clear();
  ready_ = false;
  api_.call({"GET", "/v1/campaigns?limit=100"}, [this](const ApiClient::Reply& reply) {
    if (reply.status != 200) return ledger_.broke("api: campaigns: " + reply.body);
    text_ = deferrals_ ? reply.body : without_deferrals(reply.body);
    text_ += '\n';
    ask_events("");
  });
}

void Account::ask_events(const std::string& cursor) {
  std::string path = "/v1/events?limit=500" + (cursor.empty() ? "" : "&after=" + cursor);
  api_.call({"GET", path}, [this](const ApiClient::Reply& reply) {
    auto page = json_events(reply.body);
    if (reply.status != 200 || !page) return ledger_.broke("api: events: " + reply.body);
    for (const EventPage::Event& event : page->events) text_ += event.json + "\n";
    if (page->events.empty()) {
      ready_ = true;
    } else {
      ask_events(page->next);
    }
  });
}

std::string difference(const std::string& before, const std::string& after) {
  size_t same = 0;
  while (same < std::min(before.size(), after.size()) && before[same] == after[same]) ++same;
  size_t begin = same - std::min(same, kShownBefore);
  return "was ..." + before.substr(begin, kShown) + "... and is ..." +
         after.substr(begin, kShown) + "...";
}

}  // namespace postring::sim
