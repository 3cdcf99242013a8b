#include "sim/messenger.h"

#include "sim/json.h"

namespace postring::sim {
namespace {

constexpr size_t kFewMax = 3;  // recipients with values of their own

// What a host looks for, as in a campaign's content (submitter.cc).
std::string content_of(const std::string& greeted, const std::string& mark) {
  return R"("content":{"subject":"Hello","from":"Shop <news@sender.example>",)"
         R"("to":"people@sender.example",)"
         R"("text":"Dear )" + greeted + R"(,\n\n.a line that begins with a dot\nmark:)" + mark +
         R"(:end\n","html":"<p>Dear )" + greeted + R"(,</p>\n"})";
}

}  // namespace

Messenger::Messenger(Schedule& schedule, ApiClient& api, ApiClient& stranger, Ledger& ledger,
                     Plan plan, uint64_t seed)
    : schedule_(schedule),
      api_(api),
      stranger_(stranger),
      ledger_(ledger),
      plan_(std::move(plan)),
      random_(seed) {}

std::string Messenger::where() const {
  return "messages " + std::to_string(taken_) + " of " + std::to_string(plan_.messages) +
         " taken, " + std::to_string(open_) + " steps open";
}

void Messenger::begin() {
  for (int64_t i = 0; i < plan_.messages; ++i) {
    ++open_;
    Duration wait = Duration::microseconds(random_.between(1, plan_.sent_within.us));
    schedule_.after(wait, [this, message = draw(i)] { send(message); });
  }
}

Messenger::Message Messenger::draw(int64_t number) {
  Message message;
  message.name = "m" + std::to_string(number);
  message.shared = plan_.recipients_max > 1 && random_.chance(1, 3);
  size_t most = message.shared ? static_cast<size_t>(plan_.recipients_max) : kFewMax;
  size_t count = 1 + random_.below(most);
  uint64_t domain = random_.below(static_cast<uint64_t>(plan_.domains));
  for (size_t i = 0; i < count; ++i) {
    bool elsewhere = random_.chance(1, 8);
    uint64_t at = elsewhere ? random_.below(static_cast<uint64_t>(plan_.domains)) : domain;
    message.addresses.push_back("r" + std::to_string(i) + "." + message.name + "@d" +
                                std::to_string(at) + ".example");
    Person& person = ledger_.add(message.addresses.back(), "");
    person.tenant = plan_.tenant;
    person.name = message.shared ? "all" : "Name " + std::to_string(i);
    if (message.shared) person.shared = message.name;
  }
  return message;
}

std::string Messenger::json_of(const Message& message) const {
  std::string to;
  for (size_t i = 0; i < message.addresses.size(); ++i) {
    const std::string& address = message.addresses[i];
    if (i > 0) to += ",";
    to += R"({"address":")" + address + R"(","ref":")" + address + "\"";
    if (!message.shared) {
      to += R"(,"data":{"name":"Name )" + std::to_string(i) + R"(","ref":")" + address + "\"}";
    }
    to += "}";
  }
  std::string content = message.shared ? content_of("all", message.name)
                                       : content_of("{{name}}", "{{ref}}");
  return R"({"to":[)" + to + "]," + content + R"(,"return_path":"bounce@sender.example"})";
}

void Messenger::send(const Message& message) {
  for (const std::string& address : message.addresses) ledger_.submitted(address, plan_.max_age);
  api_.call({"POST", "/v1/messages", json_of(message), "application/json", message.name},
            [this, message](const ApiClient::Reply& reply) { on_accepted(message, reply); });
}

void Messenger::on_accepted(const Message& message, const ApiClient::Reply& reply) {
  --open_;
  if (reply.status >= 300) return ledger_.broke("api: a message was refused: " + reply.body);
  std::string last = "/recipients/" + std::to_string(message.addresses.size() - 1);
  bool whole = json_text(reply.body, last) &&
               !json_text(reply.body, "/recipients/" + std::to_string(message.addresses.size()));
  if (!whole) ledger_.broke("idempotent: a message was answered " + reply.body);
  ++taken_;
  for (const std::string& address : message.addresses) {
    ledger_.acknowledged(address);
  }
  open_ += 2;
  const std::string& first = message.addresses.front();
  schedule_.after(soon(), [this, first] { look_up(first); });
  schedule_.after(soon(), [this, first] { look_up_as_stranger(first); });
  if (!random_.chance(static_cast<uint64_t>(plan_.erasures), 1'000)) return;
  ++open_;
  schedule_.after(soon(), [this, first] { erase(first); });
}

void Messenger::look_up(const std::string& address) {
  Instant asked = schedule_.now();
  api_.call({"GET", "/v1/recipients/" + address},
            [this, address, asked](const ApiClient::Reply& reply) {
              --open_;
              if (reply.status != 200) return ledger_.broke("api: a look-up: " + reply.body);
              bool found = json_text(reply.body, "/recipients/0/id").has_value();
              if (found && json_text(reply.body, "/recipients/1/id")) {
                ledger_.broke("found: " + address + " twice: " + reply.body);
              }
              const Person* person = ledger_.find(address);
              if (found && person->is_erased_before(asked)) {
                ledger_.broke("erased: " + address + " is found: " + reply.body);
              }
              // Who has just ended is known by an event, which a full disk does not take.
              bool untold = ledger_.disk_was_full_since(asked);
              if (!found && !person->erasure_began && !damaged_ && !untold) {
                ledger_.broke("found: " + address + " is not: " + reply.body);
              }
            });
}

void Messenger::look_up_as_stranger(const std::string& address) {
  stranger_.call({"GET", "/v1/recipients/" + address},
                 [this, address](const ApiClient::Reply& reply) {
                   --open_;
                   if (reply.status != 200) return ledger_.broke("api: a look-up: " + reply.body);
                   if (!json_text(reply.body, "/recipients/0/id")) return;
                   ledger_.broke("own tenant: " + address + " is shown to another: " + reply.body);
                 });
}

void Messenger::erase(const std::string& address) {
  ledger_.erasure_asked(address);
  api_.call({"DELETE", "/v1/recipients/" + address},
            [this, address](const ApiClient::Reply& reply) {
              if (reply.status != 200) return ledger_.broke("api: an erasure: " + reply.body);
              ledger_.erased(address, json_number(reply.body, "/in_flight") == 0u);
              schedule_.after(soon(), [this, address] { look_up(address); });
            });
}

}  // namespace postring::sim
