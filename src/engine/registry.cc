#include "engine/registry.h"

#include <algorithm>

#include "base/bytes.h"
#include "engine/registry_state.h"
#include "mail/id_text.h"

namespace postring::engine {
namespace {

using queue::CampaignInfo;
using queue::CampaignState;

std::string created_key(TenantId tenant, const std::string& key) {
  return "created/" + mail::id_text(tenant) + "/" + key;
}

}  // namespace

const char* name_of(RegistryError error) {
  switch (error) {
    case RegistryError::not_found: return "not found";
    case RegistryError::wrong_state: return "the campaign's state does not allow it";
    case RegistryError::key_busy: return "the idempotency key is at work";
    case RegistryError::key_reused: return "the idempotency key came with another body before";
    case RegistryError::busy: return "busy";
    case RegistryError::failed: return "the control log cannot be written";
  }
  return "?";
}

Registry::State::State(Loop& loop, RegistryOptions options) :
      loop_(loop), options_(options), self_(std::make_shared<State*>(this)) {
  timer_.bind<&State::on_timer>(this);
  schedule_timer_.bind<&State::start_scheduled>(this);
}

Result<void> Registry::State::open(std::string folder) {
  spool::LogOptions log_options;
  log_options.spool_id = options_.spool_id;
  if (options_.segment_bytes != 0) log_options.segment_bytes = options_.segment_bytes;
  std::string wrong;
  auto log = KeyedLog::open(loop_, folder, log_options,
                            [&](std::string_view key, std::string_view value) {
                              if (wrong.empty() && !load(key, value)) wrong = key;
                            });
  if (!log) return std::unexpected(log.error());
  if (!wrong.empty()) {
    return fail(folder + ": the entry '" + wrong + "' says nothing this version understands");
  }
  log_ = std::move(*log);
  for (auto& [id, info] : campaigns_) info.tenant_name = tenants_[info.tenant];
  for (auto& [id, key] : keys_) key.tenant_name = tenants_[key.tenant];
  return {};
}

bool Registry::State::load(std::string_view key, std::string_view value) {
  if (key.starts_with("campaign/")) {
    CampaignInfo info;
    if (!decode_campaign(value, info)) return false;
    next_campaign_ = std::max(next_campaign_, info.id + 1);
    campaigns_[info.id] = std::move(info);
    return true;
  }
  if (key.starts_with("key/")) {
    KeyInfo info;
    if (!decode_key(value, info)) return false;
    keys_[info.id] = std::move(info);
    return true;
  }
  ByteReader reader(value);
  if (key.starts_with("tenant/")) {
    auto id = static_cast<TenantId>(reader.varint());
    std::string name(reader.rest());
    tenants_[id] = name;
    tenant_ids_[std::move(name)] = id;
    return reader.ok();
  }
  if (key.starts_with("event/")) {
    unsent_events_.push_back(reader.varint());
    return reader.done();
  }
  if (key.starts_with("created/")) {
    HeldAnswer held;
    auto tenant = static_cast<TenantId>(reader.varint());
    std::string name(reader.text());
    held.campaign = reader.varint();
    held.at.us = reader.signed_varint();
    std::string_view digest = reader.raw(held.digest.size());
    if (!reader.done()) return false;
    std::memcpy(held.digest.data(), digest.data(), digest.size());
    // A power cut may have come between the two records: nobody was answered, the key is free. (By
    // name, campaigns are before what created them.)
    if (!campaigns_.contains(held.campaign)) return true;
    created_names_[held.campaign].emplace_back(key);
    answers_.put(tenant, name, std::move(held));
    return true;
  }
  if (key == "next") {
    next_campaign_ = std::max(next_campaign_, reader.varint());
    next_tenant_ = static_cast<TenantId>(reader.varint());
    next_key_ = reader.varint();
    return reader.done();
  }
  return false;
}

bool Registry::State::put_next() {
  std::string value;
  ByteWriter writer(value);
  writer.varint(next_campaign_);
  writer.varint(next_tenant_);
  writer.varint(next_key_);
  return log_->put("next", value);
}

void Registry::State::start() {
  CHECK(!started_);
  started_ = true;
  loop_.timers().arm(timer_, loop_.now() + kRegistryLook);
  arm_schedule();
  for (CampaignId id : unsent_events_) {
    auto known = campaigns_.find(id);
    // The event is written before the state: without that it is not complete yet.
    if (known != campaigns_.end() && known->second.ended()) send_event(known->second);
  }
  unsent_events_.clear();
  if (!unlearned_.empty()) keep_learning();
  std::vector<CampaignId> ids;
  for (const auto& [id, info] : campaigns_) ids.push_back(id);
  for (CampaignId id : ids) consider_complete(id);
}

// ---- creation and commands ---------------------------------------------------------------------

void Registry::State::create(NewCampaign in, RegistryAnswer<CampaignInfo> answer) {
  if (campaigns_.size() >= kCampaignsMax) return refuse(std::move(answer), RegistryError::busy);
  const std::string& key = in.idempotency_key;
  if (!key.empty() && !answers_.begin(in.tenant, key)) {
    const HeldAnswer* held = answers_.find(in.tenant, key);
    if (held == nullptr) return refuse(std::move(answer), RegistryError::key_busy);
    auto known = campaigns_.find(held->campaign);
    if (held->digest != in.digest || known == campaigns_.end()) {
      return refuse(std::move(answer), RegistryError::key_reused);
    }
    later([answer = std::move(answer), info = as_created(known->second)]() mutable {
      answer(std::move(info));
    });
    return;
  }
  CampaignInfo info;
  info.id = next_campaign_++;
  info.tenant = in.tenant;
  info.tenant_name = tenants_[in.tenant];
  info.name = std::move(in.name);
  info.mail_class = in.mail_class;
  info.content = in.content;
  info.sources = std::move(in.sources);
  info.retry = std::move(in.retry);
  info.created_at = loop_.wall_now();
  info.start_at = in.start_at;
  info = as_created(std::move(info));
  bool good = put_next();
  if (!key.empty()) {
    std::string name = created_key(in.tenant, key);
    std::string value;
    ByteWriter writer(value);
    writer.varint(in.tenant);
    writer.text(key);
    writer.varint(info.id);
    writer.signed_varint(info.created_at.us);
    writer.raw({reinterpret_cast<const char*>(in.digest.data()), in.digest.size()});
    good = good && log_->put(name, value);
    created_names_[info.id].push_back(std::move(name));
  }
  if (!good) {
    answers_.abandon(in.tenant, key);
    return refuse(std::move(answer), RegistryError::failed);
  }
  HeldAnswer held{in.digest, {}, false, 0, info.id, info.created_at};
  change(info, [this, info, held, tenant = in.tenant, key,
                answer = std::move(answer)](bool ok) mutable {
    if (!ok) {
      answers_.abandon(tenant, key);
      return answer(std::unexpected(RegistryError::failed));
    }
    if (!key.empty()) answers_.put(tenant, key, std::move(held));
    arm_schedule();
    answer(std::move(info));
  });
}

void Registry::State::change(CampaignInfo info, std::move_only_function<void(bool ok)> done) {
  if (!log_->put(campaign_log_name(info.id), encode_campaign(info))) {
    later([done = std::move(done)]() mutable { done(false); });
    return;
  }
  std::optional<CampaignInfo> before;
  if (auto known = campaigns_.find(info.id); known != campaigns_.end()) before = known->second;
  campaigns_[info.id] = info;
  log_->sync([this, weak = std::weak_ptr<State*>(self_), info = std::move(info),
              before = std::move(before), done = std::move(done)](bool ok) mutable {
    if (weak.expired()) return;
    if (!ok) {
      // Nobody was told of it, and the log does not say it.
      if (before) {
        campaigns_[info.id] = std::move(*before);
      } else {
        campaigns_.erase(info.id);
      }
      return done(false);
    }
    if (!publish_) return done(true);
    publish_(info, [done = std::move(done)]() mutable { done(true); });
  });
}

void Registry::State::command(TenantId tenant, CampaignId id, CampaignCommand command,
                              RegistryAnswer<CampaignInfo> answer) {
  auto known = campaigns_.find(id);
  if (known == campaigns_.end() || (tenant != 0 && known->second.tenant != tenant)) {
    return refuse(std::move(answer), RegistryError::not_found);
  }
  CampaignWork& work = work_of(id);
  if (work.commanding) {
    if (work.commands.size() >= kAdmissionsWaitingMax) {
      return refuse(std::move(answer), RegistryError::busy);
    }
    work.commands.push_back([this, id, command, answer = std::move(answer)]() mutable {
      run_command(id, command, std::move(answer));
    });
    return;
  }
  work.commanding = true;
  run_command(id, command, std::move(answer));
}

void Registry::State::run_command(CampaignId id, CampaignCommand command,
                                  RegistryAnswer<CampaignInfo> answer) {
  const CampaignInfo& before = campaigns_.at(id);
  auto after = after_command(before, command, loop_.wall_now());
  if (!after) {
    refuse(std::move(answer), after.error());
    return end_command(id);
  }
  bool same = after->state == before.state && after->closed == before.closed;
  if (same) {
    later([answer = std::move(answer), info = before]() mutable { answer(std::move(info)); });
    return end_command(id);
  }
  bool closes = after->closed || after->ended();
  change(*after, [this, id, closes, answer = std::move(answer)](bool ok) mutable {
    auto known = campaigns_.find(id);
    if (!ok || known == campaigns_.end()) {
      answer(std::unexpected(RegistryError::failed));
      return end_command(id);
    }
    answer(CampaignInfo(known->second));
    if (closes && work_of(id).admissions.empty()) work_of(id).duplicates.reset();
    end_command(id);
    consider_complete(id);
  });
}

void Registry::State::end_command(CampaignId id) {
  CampaignWork& work = work_of(id);
  if (work.commands.empty()) {
    work.commanding = false;
    return;
  }
  Job next = std::move(work.commands.front());
  work.commands.pop_front();
  later(std::move(next));
}

// ---- the outside -------------------------------------------------------------------------------

Registry::Registry(std::unique_ptr<State> state) : state_(std::move(state)) {}
Registry::~Registry() = default;

Result<std::unique_ptr<Registry>> Registry::open(Loop& loop, std::string folder,
                                                 RegistryOptions options) {
  auto state = std::make_unique<State>(loop, options);
  if (auto opened = state->open(std::move(folder)); !opened) {
    return std::unexpected(opened.error());
  }
  return std::unique_ptr<Registry>(new Registry(std::move(state)));
}

void Registry::set_publish(Publish publish) { state_->publish_ = std::move(publish); }
void Registry::set_remove_sink(std::function<void(CampaignId)> sink) {
  state_->remove_sink_ = std::move(sink);
}
void Registry::set_key_sink(std::function<void(const KeyInfo&, Job)> sink) {
  state_->key_sink_ = std::move(sink);
}
void Registry::set_ask_idle(AskIdle ask) { state_->ask_idle_ = std::move(ask); }
void Registry::set_event_sink(std::function<void(queue::EventFacts, Job)> sink) {
  state_->event_sink_ = std::move(sink);
}
queue::RecoverySink Registry::recovery_sink() { return state_->recovery_sink(); }
void Registry::learn(std::deque<std::pair<CampaignId, queue::Fingerprint>> seen) {
  auto& unlearned = state_->unlearned_;
  if (unlearned.empty()) {
    unlearned = std::move(seen);
  } else {
    unlearned.insert(unlearned.end(), seen.begin(), seen.end());
  }
}
void Registry::start() { state_->start(); }

void Registry::create(NewCampaign campaign, RegistryAnswer<CampaignInfo> answer) {
  state_->create(std::move(campaign), std::move(answer));
}
void Registry::command(TenantId tenant, CampaignId id, CampaignCommand command,
                       RegistryAnswer<CampaignInfo> answer) {
  state_->command(tenant, id, command, std::move(answer));
}
const CampaignInfo* Registry::find(CampaignId id) const {
  auto known = state_->campaigns_.find(id);
  return known == state_->campaigns_.end() ? nullptr : &known->second;
}
std::vector<const CampaignInfo*> Registry::campaigns() const {
  std::vector<const CampaignInfo*> all;
  for (const auto& [id, info] : state_->campaigns_) all.push_back(&info);
  return all;
}
std::vector<CampaignInfo> Registry::list(TenantId tenant, CampaignId after,
                                         uint32_t limit) const {
  std::vector<CampaignInfo> page;
  for (auto at = state_->campaigns_.upper_bound(after);
       at != state_->campaigns_.end() && page.size() < limit; ++at) {
    if (tenant == 0 || at->second.tenant == tenant) page.push_back(at->second);
  }
  return page;
}
void Registry::note_idle(CampaignId id) { state_->consider_complete(id); }

void Registry::begin_batch(TenantId tenant, CampaignId campaign, const std::string& key,
                           RegistryAnswer<BatchBegun> answer) {
  state_->begin_batch(tenant, campaign, key, std::move(answer));
}
void Registry::admit(CampaignId campaign, std::vector<queue::Fingerprint> fingerprints,
                     RegistryAnswer<Admitted> answer) {
  state_->admit(campaign, std::move(fingerprints), std::move(answer));
}
void Registry::finish_batch(TenantId tenant, CampaignId campaign, const std::string& key,
                            Admission admission, BatchEnd end) {
  state_->finish_batch(tenant, campaign, key, admission, std::move(end));
}

void Registry::ensure_tenant(std::string name, RegistryAnswer<TenantId> answer) {
  state_->ensure_tenant(std::move(name), std::move(answer));
}
std::optional<TenantId> Registry::find_tenant(std::string_view name) const {
  return state_->find_tenant(name);
}
std::string Registry::tenant_name(TenantId id) const {
  auto known = state_->tenants_.find(id);
  return known == state_->tenants_.end() ? std::string{} : known->second;
}
std::vector<TenantInfo> Registry::tenants() const {
  std::vector<TenantInfo> all;
  for (const auto& [id, name] : state_->tenants_) all.push_back({id, name});
  return all;
}
void Registry::create_key(TenantId tenant, uint8_t scopes, Sha256 hash, std::string hint,
                          RegistryAnswer<KeyInfo> answer) {
  state_->create_key(tenant, scopes, hash, std::move(hint), std::move(answer));
}
void Registry::revoke_key(uint64_t id, RegistryAnswer<KeyInfo> answer) {
  state_->revoke_key(id, std::move(answer));
}
std::vector<KeyInfo> Registry::keys() const {
  std::vector<KeyInfo> all;
  for (const auto& [id, key] : state_->keys_) all.push_back(key);
  return all;
}
uint64_t Registry::fingerprint_count() const {
  uint64_t count = 0;
  for (const auto& [id, work] : state_->work_) {
    if (work.duplicates) count += work.duplicates->count();
  }
  return count;
}
uint64_t Registry::fingerprint_bytes() const {
  uint64_t bytes = 0;
  for (const auto& [id, work] : state_->work_) {
    if (work.duplicates) bytes += work.duplicates->bytes();
  }
  return bytes;
}

void Registry::when_failed(Job call) { state_->log_->when_failed(std::move(call)); }

void Registry::close(std::move_only_function<void(bool ok)> callback) {
  state_->closing_ = true;
  state_->log_->close(std::move(callback));
}

}  // namespace postring::engine
