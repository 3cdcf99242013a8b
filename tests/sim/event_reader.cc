#include "sim/event_reader.h"

#include "base/time_text.h"
#include "sim/json.h"

namespace postring::sim {
namespace {

constexpr Duration kBetween = Duration::seconds(20);

}  // namespace

void EventReader::read() {
  if (stopped_) return;
  reading_ = true;
  std::string path = "/v1/events?limit=500" + (cursor_.empty() ? "" : "&after=" + cursor_);
  api_.call({"GET", path}, [this, asked = schedule_.now()](const ApiClient::Reply& reply) {
    reading_ = false;
    if (reply.status != 200) return ledger_.broke("api: events: " + reply.body);
    on_page(reply.body, asked);
    schedule_.after(kBetween, [this] { read(); });
  });
}

void EventReader::on_page(const std::string& json, Instant asked) {
  auto page = json_events(json);
  if (!page) return ledger_.broke("api: no page of events: " + json);
  cursor_ = page->next;
  for (const EventPage::Event& event : page->events) {
    if (ledger_.on_note) ledger_.on_note("event " + event.json);
    auto logged = parse_rfc3339(event.logged);
    if (!logged) return ledger_.broke("api: an event's time: " + event.json);
    bool damaged = event.json.find("record of this recipient is damaged") != std::string::npos;
    Told told{event.id, event.type, event.attempt, event.possible_duplicate, *logged,
              tenant_, asked, event.erased, damaged};
    if (!event.address.empty()) {
      ledger_.told(event.address, told);
    } else {
      ledger_.told_nameless(told);
    }
  }
}

}  // namespace postring::sim
