#include <algorithm>

#include "base/mark.h"
#include "engine/registry_state.h"

namespace postring::engine {

queue::RecoverySink Registry::State::recovery_sink() {
  queue::RecoverySink sink;
  sink.seen = [this](CampaignId id, const queue::Fingerprint& fingerprint) {
    unlearned_.emplace_back(id, fingerprint);
  };
  sink.answer = [this](const queue::KeptAnswer& kept) {
    bool known = kept.campaign != 0 && campaigns_.contains(kept.campaign);
    if (!known && loop_.wall_now() - kept.at > options_.kept) return;
    answers_.put(kept.tenant, kept.key,
                 {kept.digest, std::string(kept.answer), false, kept.batch, kept.campaign,
                  kept.at});
  };
  return sink;
}

// Puts a bounded piece of what the homes told into the campaigns' duplicates.
void Registry::State::learn() {
  // A campaign's recipients come one after the other mostly.
  CampaignId last = 0;
  Duplicates* duplicates = nullptr;
  for (uint32_t n = 0; n < kAdmittedPerTurn && !unlearned_.empty(); ++n) {
    const auto& [id, fingerprint] = unlearned_.front();
    if (id != last) {
      last = id;
      duplicates = nullptr;
      auto known = campaigns_.find(id);
      if (known != campaigns_.end()) {
        CampaignWork& work = work_of(id);
        if (work.duplicates == nullptr && takes_recipients(known->second)) {
          work.duplicates = std::make_unique<Duplicates>();
        }
        // Also of one that was closed meanwhile: a batch may be waiting to be looked up in it.
        duplicates = work.duplicates.get();
      }
    }
    if (duplicates != nullptr) duplicates->insert(fingerprint);
    unlearned_.pop_front();
  }
}

void Registry::State::keep_learning() {
  later([this] {
    learn();
    if (!unlearned_.empty()) keep_learning();
  });
}

void Registry::State::begin_batch(TenantId tenant, CampaignId campaign, const std::string& key,
                                  RegistryAnswer<BatchBegun> answer) {
  auto known = campaigns_.find(campaign);
  if (campaign != 0 && (known == campaigns_.end() || known->second.tenant != tenant)) {
    return refuse(std::move(answer), RegistryError::not_found);
  }
  BatchBegun begun;
  if (!key.empty()) {
    // Before the state: a repeat is answered as the first was, also when it is closed by now.
    if (const HeldAnswer* held = answers_.find(tenant, key)) {
      mark(Mark::repeat_answered);
      begun = {true, held->digest, held->answer, held->is_long, held->batch};
      // Under the key of something else: no digest of a batch equals that of another thing.
      if (held->campaign != campaign || held->batch == 0) {
        return refuse(std::move(answer), RegistryError::key_reused);
      }
      later([answer = std::move(answer), begun = std::move(begun)]() mutable {
        answer(std::move(begun));
      });
      return;
    }
    if (answers_.is_busy(tenant, key)) return refuse(std::move(answer), RegistryError::key_busy);
  }
  if (campaign != 0 && !takes_recipients(known->second)) {
    return refuse(std::move(answer), RegistryError::wrong_state);
  }
  if (answers_.count() >= kAnswersMax) return refuse(std::move(answer), RegistryError::busy);
  if (!key.empty()) CHECK(answers_.begin(tenant, key));
  later([answer = std::move(answer)]() mutable { answer(BatchBegun{}); });
}

void Registry::State::admit(CampaignId campaign, std::vector<queue::Fingerprint> fingerprints,
                            RegistryAnswer<Admitted> answer) {
  auto known = campaigns_.find(campaign);
  if (known == campaigns_.end()) return refuse(std::move(answer), RegistryError::not_found);
  if (!takes_recipients(known->second)) {
    return refuse(std::move(answer), RegistryError::wrong_state);
  }
  if (admissions_waiting_ >= kAdmissionsWaitingMax) {
    return refuse(std::move(answer), RegistryError::busy);
  }
  ++admissions_waiting_;
  auto admission = std::make_unique<AdmissionWork>();
  admission->number = next_admission_++;
  admission->campaign = campaign;
  admission->fingerprints = std::move(fingerprints);
  admission->answer = std::move(answer);
  CampaignWork& work = work_of(campaign);
  work.admissions.push_back(std::move(admission));
  if (work.admissions.size() == 1) begin_admission(campaign);
}

void Registry::State::begin_admission(CampaignId campaign) {
  CampaignWork& work = work_of(campaign);
  CHECK(!work.looking);
  while (!work.admissions.empty()) {
    if (takes_recipients(campaigns_.at(campaign))) {
      if (work.duplicates == nullptr) work.duplicates = std::make_unique<Duplicates>();
      work.looking = true;
      later([this, campaign] { look_up(campaign); });
      return;
    }
    // It was closed or cancelled while this one waited.
    --admissions_waiting_;
    refuse(std::move(work.admissions.front()->answer), RegistryError::wrong_state);
    work.admissions.pop_front();
  }
  if (!takes_recipients(campaigns_.at(campaign))) work.duplicates.reset();
  consider_complete(campaign);
}

// A bounded piece of a batch's fingerprints each turn.
void Registry::State::look_up(CampaignId campaign) {
  // Not before everything of earlier lives is known.
  if (!unlearned_.empty()) {
    learn();
    later([this, campaign] { look_up(campaign); });
    return;
  }
  CampaignWork& work = work_of(campaign);
  AdmissionWork& admission = *work.admissions.front();
  size_t end = std::min(admission.fingerprints.size(),
                        admission.looked_at + size_t{kAdmittedPerTurn});
  for (; admission.looked_at < end; ++admission.looked_at) {
    const queue::Fingerprint& fingerprint = admission.fingerprints[admission.looked_at];
    if (work.duplicates->insert(fingerprint)) {
      admission.tentative.push_back(fingerprint);
    } else {
      admission.admitted.duplicates.push_back(static_cast<uint32_t>(admission.looked_at));
    }
  }
  if (end < admission.fingerprints.size()) {
    later([this, campaign] { look_up(campaign); });
    return;
  }
  work.looking = false;
  admission.fingerprints = {};
  admission.admitted.admission = admission.number;
  RegistryAnswer<Admitted> answer = std::move(admission.answer);
  answer(std::move(admission.admitted));
}

void Registry::State::finish_batch(TenantId tenant, CampaignId campaign, const std::string& key,
                                   Admission admission, BatchEnd end) {
  if (!key.empty()) {
    if (end.committed) {
      answers_.put(tenant, key,
                   {end.digest, std::move(end.answer), false, end.batch, campaign,
                    loop_.wall_now()});
    } else {
      answers_.abandon(tenant, key);
    }
  }
  if (admission == 0) return;
  CampaignWork& work = work_of(campaign);
  CHECK(!work.admissions.empty());
  AdmissionWork& first = *work.admissions.front();
  CHECK(first.number == admission, "an admission ends once, and in its turn");
  CHECK(!work.looking);
  if (!end.committed) {
    for (const queue::Fingerprint& fingerprint : first.tentative) {
      work.duplicates->erase(fingerprint);
    }
  }
  work.admissions.pop_front();
  --admissions_waiting_;
  begin_admission(campaign);
}

}  // namespace postring::engine
