#include "base/bytes.h"
#include "engine/registry_state.h"
#include "mail/id_text.h"

namespace postring::engine {
namespace {

std::string tenant_key(TenantId id) { return "tenant/" + mail::id_text(id); }
std::string key_key(uint64_t id) { return "key/" + mail::id_text(id); }

}  // namespace

std::optional<TenantId> Registry::State::find_tenant(std::string_view name) const {
  auto known = tenant_ids_.find(name);
  if (known == tenant_ids_.end()) return std::nullopt;
  return known->second;
}

void Registry::State::ensure_tenant(std::string name, RegistryAnswer<TenantId> answer) {
  CHECK(!name.empty());
  auto known = tenant_ids_.find(name);
  TenantId id = 0;
  if (known != tenant_ids_.end()) {
    // Perhaps made a moment ago: the sync below makes sure of it.
    id = known->second;
  } else {
    if (tenants_.size() >= kTenantsMax) return refuse(std::move(answer), RegistryError::busy);
    id = next_tenant_++;
    std::string value;
    ByteWriter(value).varint(id);
    value += name;
    if (!put_next() || !log_->put(tenant_key(id), value)) {
      return refuse(std::move(answer), RegistryError::failed);
    }
    tenants_[id] = name;
    tenant_ids_[std::move(name)] = id;
  }
  log_->sync([answer = std::move(answer), id](bool ok) mutable {
    if (!ok) return answer(std::unexpected(RegistryError::failed));
    answer(TenantId{id});
  });
}

void Registry::State::create_key(TenantId tenant, uint8_t scopes, Sha256 hash, std::string hint,
                                 RegistryAnswer<KeyInfo> answer) {
  auto owner = tenants_.find(tenant);
  if (owner == tenants_.end()) return refuse(std::move(answer), RegistryError::not_found);
  if (keys_.size() >= kKeysMax) return refuse(std::move(answer), RegistryError::busy);
  KeyInfo key{next_key_++, hash, tenant, owner->second, scopes, std::move(hint),
              loop_.wall_now()};
  if (!put_next() || !log_->put(key_key(key.id), encode_key(key))) {
    return refuse(std::move(answer), RegistryError::failed);
  }
  keys_[key.id] = key;
  log_->sync([this, weak = std::weak_ptr<State*>(self_), key = std::move(key),
              answer = std::move(answer)](bool ok) mutable {
    if (weak.expired()) return;
    if (!ok) return answer(std::unexpected(RegistryError::failed));
    tell_key(std::move(key), std::move(answer));
  });
}

// Answered when every worker knows it: from then on the key holds, or holds no longer, everywhere.
void Registry::State::tell_key(KeyInfo key, RegistryAnswer<KeyInfo> answer) {
  if (!key_sink_) return answer(std::move(key));
  key_sink_(key, [key, answer = std::move(answer)]() mutable { answer(std::move(key)); });
}

void Registry::State::revoke_key(uint64_t id, RegistryAnswer<KeyInfo> answer) {
  auto known = keys_.find(id);
  if (known == keys_.end()) return refuse(std::move(answer), RegistryError::not_found);
  if (!log_->erase(key_key(id))) return refuse(std::move(answer), RegistryError::failed);
  KeyInfo key = std::move(known->second);
  keys_.erase(known);
  key.scopes = 0;
  log_->sync([this, weak = std::weak_ptr<State*>(self_), key = std::move(key),
              answer = std::move(answer)](bool ok) mutable {
    if (weak.expired()) return;
    if (!ok) return answer(std::unexpected(RegistryError::failed));
    tell_key(std::move(key), std::move(answer));
  });
}

}  // namespace postring::engine
