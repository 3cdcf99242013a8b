// FakeBackend: the engine's part of the API in memory, answering at once or, where `later` is set,
// when the test says so.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "mail/content_source.h"
#include "submission/backend.h"
#include "submission/keys.h"

namespace postring::submission {

// What append() was given, owned.
struct Taken {
  uint32_t line = 0;
  std::string address, values, ref, meta, source, time_zone;
  WallTime not_before, expires_at;
  std::optional<MailClass> mail_class;
  auto operator<=>(const Taken&) const = default;
};

inline Taken take(const NewRecipient& recipient) {
  return {recipient.line,
          std::string(recipient.address),
          std::string(recipient.values),
          std::string(recipient.ref),
          std::string(recipient.meta),
          std::string(recipient.source),
          std::string(recipient.time_zone),
          recipient.not_before,
          recipient.expires_at,
          recipient.mail_class};
}

// A content with the fields name, code and site.
inline std::string compile_sample(bool rejects_missing) {
  mail::ContentSource source;
  source.subject = "Hello {{name}}";
  source.from = "Shop <shop@example.org>";
  source.text = "Dear {{name}}, your code is {{code}}. {{site}}\n";
  source.defaults = {{"site", "example.org"}};
  if (rejects_missing) source.missing_field = mail::MissingField::reject;
  return mail::compile_content(source).value();
}
inline const std::string& sample_content(bool rejects_missing = false) {
  static const std::string contents[] = {compile_sample(false), compile_sample(true)};
  return contents[rejects_missing ? 1 : 0];
}

// Collects what it gets; wants no more after every `pause_every` recipients.
class CollectingWriter : public BatchWriter {
 public:
  explicit CollectingWriter(std::string content = sample_content())
      : bytes_(std::move(content)), content_(mail::Content::load(bytes_).value()) {}

  const mail::Content& content() const override { return content_; }
  bool knows_source(std::string_view name) const override { return name == "a" || name == "b"; }
  void append(const NewRecipient& recipient) override {
    taken.push_back(take(recipient));
    if (pause_every > 0 && taken.size() % pause_every == 0) full = true;
  }
  bool wants_more() const override { return !full; }
  void when_ready(std::function<void()> call) override { ready = std::move(call); }
  void commit(const Sha256&, uint64_t, std::string, Answer<BatchAnswer> answer) override {
    answer(std::unexpected(Refused{}));
  }

  std::vector<Taken> taken;
  size_t pause_every = 0;
  bool full = false;
  std::function<void()> ready;

 private:
  std::string bytes_;
  mail::Content content_;
};

class FakeBackend : public Backend {
 public:
  struct Campaign {
    CampaignInfo info;
    std::string content;
    std::set<std::string> seen;
    std::vector<Taken> recipients;
  };
  struct Kept {
    Sha256 digest{};
    BatchAnswer batch;
    CampaignCreated campaign;
    MessageAccepted message;
  };

  // The text of a key for the tenant.
  std::string add_key(TenantId tenant, uint8_t scopes) {
    std::string key = make_key();
    keys[hash_key(key).value()] = {tenant, tenant == 1 ? "one" : "two", scopes};
    return key;
  }

  std::optional<Caller> authenticate(const Sha256& hash) const override {
    auto found = keys.find(hash);
    if (found == keys.end()) return std::nullopt;
    return found->second;
  }
  std::optional<TenantId> find_tenant(std::string_view name) const override {
    if (name == "one") return 1;
    if (name == "two") return 2;
    return std::nullopt;
  }
  Health health() const override { return state; }
  void metrics(Answer<std::string> answer) override { answer("postring_up 1\n"); }

  void create_campaign(const Caller& caller, const IdempotencyKey& key, NewCampaign campaign,
                       Answer<CampaignCreated> answer) override {
    if (refusal) return answer(std::unexpected(*refusal));
    if (!key.key.empty()) {
      auto found = kept.find({caller.tenant, key.key});
      if (found != kept.end() && found->second.digest != key.digest) {
        return answer(std::unexpected(Refused{.why = Refusal::key_reused}));
      }
      if (found != kept.end()) return answer(found->second.campaign);
    }
    CampaignId id = next_id++;
    Campaign& made = campaigns[id];
    made.info.id = id;
    made.info.tenant = caller.tenant;
    made.info.tenant_name = caller.tenant_name;
    made.info.name = campaign.name;
    made.info.content = mail::content_name(campaign.content);
    made.info.mail_class = campaign.mail_class;
    made.info.sources = campaign.sources;
    made.info.created_at = WallTime::from_seconds(1'000);
    made.content = std::move(campaign.content);
    CampaignCreated created{id, made.info.created_at, CampaignState::loading};
    if (!key.key.empty()) kept[{caller.tenant, key.key}] = {key.digest, {}, created, {}};
    answer(created);
  }
  void command_campaign(const Caller& caller, CampaignId id, CampaignCommand command,
                        Answer<CommandResult> answer) override {
    Campaign* campaign = find(caller, id);
    if (campaign == nullptr) return answer(std::unexpected(Refused{.why = Refusal::not_found}));
    CampaignInfo& info = campaign->info;
    switch (command) {
      case CampaignCommand::start:
      case CampaignCommand::resume:
        info.state = CampaignState::running;
        break;
      case CampaignCommand::close:
        info.closed = true;
        break;
      case CampaignCommand::pause:
        if (info.state != CampaignState::running) {
          return answer(
              std::unexpected(Refused{.why = Refusal::wrong_state, .detail = "it is not running"}));
        }
        info.state = CampaignState::paused;
        break;
      case CampaignCommand::cancel:
        info.state = CampaignState::cancelled;
        break;
    }
    answer(CommandResult{info.state, info.closed, info.counts});
  }
  void get_campaign(const Caller& caller, CampaignId id, Answer<CampaignInfo> answer) override {
    Campaign* campaign = find(caller, id);
    if (campaign == nullptr) return answer(std::unexpected(Refused{.why = Refusal::not_found}));
    answer(campaign->info);
  }
  void list_campaigns(const Caller& caller, CampaignId after, uint32_t limit,
                      Answer<CampaignPage> answer) override {
    CampaignPage page;
    for (auto& [id, campaign] : campaigns) {
      if (id <= after || find(caller, id) == nullptr) continue;
      if (page.campaigns.size() == limit) {
        page.next = page.campaigns.back().id;
        break;
      }
      page.campaigns.push_back(campaign.info);
    }
    answer(std::move(page));
  }

  void begin_batch(const Caller& caller, CampaignId id, const std::string& key,
                   Answer<BatchBegun> answer) override {
    if (refusal) return answer(std::unexpected(*refusal));
    Campaign* campaign = find(caller, id);
    if (campaign == nullptr) return answer(std::unexpected(Refused{.why = Refusal::not_found}));
    if (campaign->info.closed) {
      return answer(std::unexpected(Refused{.why = Refusal::wrong_state}));
    }
    BatchBegun begun;
    if (auto found = kept.find({caller.tenant, key}); !key.empty() && found != kept.end()) {
      begun.earlier = found->second.batch;
      begun.earlier_digest = found->second.digest;
    } else {
      begun.writer = std::make_unique<Writer>(*this, *campaign, caller.tenant, key);
    }
    answer(std::move(begun));
  }
  void get_batch(const Caller& caller, BatchId id, Answer<BatchInfo> answer) override {
    auto found = batches.find(id);
    if (found == batches.end() || find(caller, found->second.campaign) == nullptr) {
      return answer(std::unexpected(Refused{.why = Refusal::not_found}));
    }
    answer(found->second);
  }
  void find_content(const Caller&, const std::string& name,
                    Answer<std::shared_ptr<const mail::Content>> answer) override {
    for (auto& [id, campaign] : campaigns) {
      if (campaign.info.content != name) continue;
      return answer(
          std::make_shared<const mail::Content>(mail::Content::load(campaign.content).value()));
    }
    answer(std::unexpected(Refused{.why = Refusal::not_found}));
  }
  void submit_message(const Caller&, const IdempotencyKey&, NewMessage message,
                      Answer<MessageAccepted> answer) override {
    if (refusal) return answer(std::unexpected(*refusal));
    MessageAccepted accepted{.batch = next_id++, .recipients = {}, .accepted_at = {}};
    for (size_t i = 0; i < message.to.size(); ++i) accepted.recipients.push_back(next_id++);
    messages.push_back(std::move(message));
    answer(std::move(accepted));
  }
  void list_recipients(const Caller& caller, const RecipientQuery& query,
                       Answer<RecipientPage> answer) override {
    Campaign* campaign = find(caller, query.campaign);
    if (campaign == nullptr) return answer(std::unexpected(Refused{.why = Refusal::not_found}));
    RecipientPage page;
    if (query.state.value_or(RecipientState::waiting) != RecipientState::waiting) {
      return answer(std::move(page));
    }
    for (size_t i = query.after.empty() ? 0 : std::stoul(query.after);
         i < campaign->recipients.size(); ++i) {
      if (page.recipients.size() == query.limit) {
        page.next = std::to_string(i);
        break;
      }
      page.recipients.push_back(info_of(query.campaign, campaign->recipients[i]));
    }
    answer(std::move(page));
  }
  void find_recipients(const Caller& caller, const std::string& address,
                       Answer<std::vector<RecipientInfo>> answer) override {
    std::vector<RecipientInfo> found;
    for (auto& [id, campaign] : campaigns) {
      if (find(caller, id) == nullptr) continue;
      for (const Taken& taken : campaign.recipients) {
        if (taken.address == address) found.push_back(info_of(id, taken));
      }
    }
    answer(std::move(found));
  }
  void erase_recipients(const Caller& caller, const std::string& address,
                        Answer<EraseResult> answer) override {
    EraseResult result;
    for (auto& [id, campaign] : campaigns) {
      if (find(caller, id) == nullptr) continue;
      result.cancelled += std::erase_if(campaign.recipients, [&](const Taken& taken) {
        return taken.address == address;
      });
    }
    answer(result);
  }
  void read_events(const Caller&, EventQuery query, Answer<EventPage> answer) override {
    queries.push_back(query);
    if (query.after == "old") {
      return answer(std::unexpected(
          Refused{.why = Refusal::cursor_gone, .oldest_cursor = "c7", .events_missed = 12}));
    }
    waiting_events.push_back(std::move(answer));
    if (query.wait == Duration{}) give_events();
  }
  void give_events() {
    for (auto& answer : waiting_events) answer(EventPage{R"({"id":"e1"},{"id":"e2"})", 2, "c2"});
    waiting_events.clear();
  }

  std::map<Sha256, Caller> keys;
  std::map<CampaignId, Campaign> campaigns;
  std::map<BatchId, BatchInfo> batches;
  std::map<std::pair<TenantId, std::string>, Kept> kept;
  std::vector<NewMessage> messages;
  std::vector<EventQuery> queries;
  std::vector<Answer<EventPage>> waiting_events;
  std::optional<Refused> refusal;
  Health state{true, {}};
  uint64_t next_id = 1;
  size_t pause_every = 0;
  std::vector<std::function<void()>> paused;  // writers that wait
  int writers = 0;                            // alive

 private:
  class Writer final : public CollectingWriter {
   public:
    Writer(FakeBackend& backend, Campaign& campaign, TenantId tenant, std::string key)
        : CollectingWriter(campaign.content),
          backend_(backend),
          campaign_(campaign),
          tenant_(tenant),
          key_(std::move(key)) {
      pause_every = backend.pause_every;
      ++backend_.writers;
    }
    ~Writer() override { --backend_.writers; }

    void when_ready(std::function<void()> call) override {
      backend_.paused.push_back([this, call = std::move(call)] {
        full = false;
        call();
      });
    }
    void commit(const Sha256& digest, uint64_t rejected, std::string rejections,
                Answer<BatchAnswer> answer) override {
      BatchAnswer result;
      result.batch = backend_.next_id++;
      result.rejected = rejected;
      result.rejections = std::move(rejections);
      for (Taken& recipient : taken) {
        const std::string& name = recipient.ref.empty() ? recipient.address : recipient.ref;
        if (campaign_.seen.insert(name).second) {
          ++result.accepted;
          campaign_.recipients.push_back(std::move(recipient));
        } else {
          ++result.duplicate;
        }
      }
      BatchInfo info{result.batch, campaign_.info.id, WallTime::from_seconds(2'000), {}};
      info.counts.accepted = info.counts.waiting = result.accepted;
      backend_.batches[result.batch] = info;
      if (!key_.empty()) backend_.kept[{tenant_, key_}] = {digest, result, {}, {}};
      answer(std::move(result));
    }

   private:
    FakeBackend& backend_;
    Campaign& campaign_;
    TenantId tenant_;
    std::string key_;
  };

  Campaign* find(const Caller& caller, CampaignId id) {
    auto found = campaigns.find(id);
    if (found == campaigns.end()) return nullptr;
    bool seen = caller.tenant == kEveryTenant || caller.tenant == found->second.info.tenant;
    return seen ? &found->second : nullptr;
  }
  static RecipientInfo info_of(CampaignId campaign, const Taken& taken) {
    RecipientInfo info;
    info.id = taken.line;
    info.campaign = campaign;
    info.address = taken.address;
    info.ref = taken.ref;
    return info;
  }
};

}  // namespace postring::submission
