#include "engine/finished_recipients.h"

#include <simdjson.h>

#include <charconv>
#include <set>

#include "base/time_text.h"
#include "mail/class_text.h"
#include "mail/id_text.h"
#include "mail/status.h"

namespace postring::engine {
namespace {

constexpr uint64_t kSearchBytes = 4u << 20;  // of one read; the search goes on in a later turn

std::string_view text_of(const simdjson::dom::element& event, const char* name) {
  std::string_view text;
  if (event[name].get(text) != simdjson::SUCCESS) return {};
  return text;
}

uint64_t number_of(const simdjson::dom::element& event, const char* name) {
  uint64_t number = 0;
  if (event[name].get(number) != simdjson::SUCCESS) return 0;
  return number;
}

WallTime time_of(const simdjson::dom::element& event, const char* name) {
  return parse_rfc3339(text_of(event, name)).value_or(WallTime{});
}

std::optional<submission::RecipientState> state_of(std::string_view type) {
  using submission::RecipientState;
  if (type == "delivered") return RecipientState::delivered;
  if (type == "bounced") return RecipientState::bounced;
  if (type == "expired") return RecipientState::expired;
  if (type == "cancelled") return RecipientState::cancelled;
  return std::nullopt;
}

Stage stage_of(std::string_view name) {
  for (uint8_t i = 0; i <= static_cast<uint8_t>(Stage::done); ++i) {
    if (name == name_of(static_cast<Stage>(i))) return static_cast<Stage>(i);
  }
  return Stage::queue;
}

bool is_last_event(uint8_t type) {
  return type != static_cast<uint8_t>(Outcome::deferred) && type != kCampaignComplete;
}

std::optional<submission::RecipientInfo> recipient_of(const simdjson::dom::element& event) {
  auto state = state_of(text_of(event, "type"));
  auto id = mail::parse_id(text_of(event, "recipient"));
  if (!state || !id) return std::nullopt;
  submission::RecipientInfo info;
  info.id = *id;
  info.state = *state;
  info.campaign = mail::parse_id(text_of(event, "campaign")).value_or(0);
  info.batch = mail::parse_id(text_of(event, "batch")).value_or(0);
  info.address = text_of(event, "address");
  info.ref = text_of(event, "ref");
  info.meta = text_of(event, "meta");
  info.mail_class = parse_class(text_of(event, "class"));
  info.attempts = static_cast<uint32_t>(number_of(event, "attempt"));
  info.accepted_at = time_of(event, "queued");
  info.finished_at = time_of(event, "logged");
  info.stage = stage_of(text_of(event, "stage"));
  info.reply.code = static_cast<uint16_t>(number_of(event, "code"));
  if (auto enhanced = mail::parse_enhanced(text_of(event, "enhanced"))) {
    info.reply.enhanced[0] = enhanced->klass;
    info.reply.enhanced[1] = enhanced->subject;
    info.reply.enhanced[2] = enhanced->detail;
  }
  info.reply.text = text_of(event, "reply");
  info.source = text_of(event, "source");
  return info;
}

// Finds all that the log has of one address.
struct Search : std::enable_shared_from_this<Search> {
  Control* control = nullptr;
  TenantId tenant = 0;
  std::string address;
  uint32_t hash = 0;
  std::vector<submission::RecipientInfo> found;
  std::set<RecipientId> seen;  // an event may be there twice
  std::move_only_function<void(std::vector<submission::RecipientInfo>)> done;

  void read(uint64_t from) {
    control->events().find(hash, from, kSearchBytes, [self = shared_from_this()](auto page) {
      self->on_page(std::move(page));
    });
  }

  void on_page(Result<spool::EventPage, spool::EventsGone> page) {
    // What is gone meanwhile is no longer known.
    if (!page) return read(page.error().oldest);
    control->tell_damage(*page);
    for (std::string_view bytes : page->entries) {
      auto entry = decode_event_entry(bytes);
      if (!entry || entry->address_hash != hash || !is_last_event(entry->type)) continue;
      if (tenant != 0 && entry->tenant != tenant) continue;
      if (control->erasures().cover(*entry)) continue;
      auto info = recipient_of_event(entry->json);
      if (info && info->address == address && seen.insert(info->id).second) {
        found.push_back(std::move(*info));
      }
    }
    bool more =
        page->next < control->events().end() && found.size() < submission::kRecipientsPageMax;
    if (more) return read(page->next);
    done(std::move(found));
  }
};

}  // namespace

std::optional<submission::RecipientInfo> recipient_of_event(std::string_view json) {
  simdjson::dom::parser parser;
  simdjson::dom::element event;
  if (parser.parse(json.data(), json.size()).get(event) != simdjson::SUCCESS) return std::nullopt;
  return recipient_of(event);
}

void find_finished(Control& control, TenantId tenant, const std::string& address,
                   std::move_only_function<void(std::vector<submission::RecipientInfo>)> done) {
  auto search = std::make_shared<Search>();
  search->control = &control;
  search->tenant = tenant;
  search->address = address;
  search->hash = event_address_hash(address);
  search->done = std::move(done);
  search->read(0);
}

void list_finished(Control& control, const submission::RecipientQuery& query,
                   const std::string& after, submission::Answer<submission::RecipientPage> answer) {
  submission::EventQuery events;
  events.after = after;
  events.campaign = query.campaign;
  if (query.state) events.type = submission::name_of(*query.state);
  events.limit = query.limit;
  control.read_events(0, std::move(events),
                      [answer = std::move(answer)](
                          Result<submission::EventPage, submission::Refused> page) mutable {
                        if (!page) return answer(std::unexpected(std::move(page.error())));
                        submission::RecipientPage result;
                        simdjson::dom::parser parser;
                        simdjson::dom::array events_found;
                        std::string array = "[" + page->events + "]";
                        if (parser.parse(array).get(events_found) == simdjson::SUCCESS) {
                          for (simdjson::dom::element event : events_found) {
                            auto info = recipient_of(event);
                            if (info) result.recipients.push_back(std::move(*info));
                          }
                        }
                        if (page->count > 0) result.next = "done-" + page->next;
                        answer(std::move(result));
                      });
}

}  // namespace postring::engine
