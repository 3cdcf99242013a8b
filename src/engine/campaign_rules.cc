#include "engine/campaign_rules.h"

#include <cstring>

#include "base/bytes.h"

namespace postring::engine {
namespace {

using queue::CampaignInfo;
using queue::CampaignState;

constexpr uint8_t kCampaignVersion = 1;
constexpr uint8_t kKeyVersion = 1;
constexpr size_t kListMax = 1'024;

void write_hash(ByteWriter& writer, const Sha256& hash) {
  writer.raw({reinterpret_cast<const char*>(hash.data()), hash.size()});
}

void read_hash(ByteReader& reader, Sha256& hash) {
  std::string_view bytes = reader.raw(hash.size());
  if (bytes.size() == hash.size()) std::memcpy(hash.data(), bytes.data(), bytes.size());
}

}  // namespace

Result<CampaignInfo, RegistryError> after_command(const CampaignInfo& before,
                                                  CampaignCommand command, WallTime now) {
  CampaignInfo after = before;
  CampaignState state = before.state;
  bool ended = before.ended();
  auto refused = std::unexpected(RegistryError::wrong_state);
  switch (command) {
    case CampaignCommand::start:
      if (ended || state == CampaignState::paused) return refused;
      after.state = CampaignState::running;
      break;
    case CampaignCommand::pause:
      if (state != CampaignState::running && state != CampaignState::paused) return refused;
      after.state = CampaignState::paused;
      break;
    case CampaignCommand::resume:
      if (state != CampaignState::running && state != CampaignState::paused) return refused;
      after.state = CampaignState::running;
      break;
    case CampaignCommand::close:
      if (state == CampaignState::cancelled) return refused;
      if (!before.closed) after.closed_at = now;
      after.closed = true;
      break;
    case CampaignCommand::cancel:
      if (state == CampaignState::complete) return refused;
      if (!ended) after.ended_at = now;
      after.state = CampaignState::cancelled;
      break;
  }
  if (after.state == CampaignState::running && !after.started_at.is_set()) after.started_at = now;
  return after;
}

bool takes_recipients(const CampaignInfo& info) { return !info.closed && !info.ended(); }

CampaignInfo as_created(CampaignInfo info) {
  info.state = info.start_at.is_set() ? CampaignState::scheduled : CampaignState::loading;
  info.closed = false;
  info.started_at = info.closed_at = info.ended_at = {};
  return info;
}

std::string encode_campaign(const CampaignInfo& info) {
  std::string bytes;
  ByteWriter writer(bytes);
  writer.fixed(kCampaignVersion);
  writer.varint(info.id);
  writer.varint(info.tenant);
  writer.text(info.name);
  writer.fixed(static_cast<uint8_t>(info.state));
  writer.fixed(static_cast<uint8_t>(info.closed ? 1 : 0));
  writer.fixed(static_cast<uint8_t>(info.mail_class));
  write_hash(writer, info.content);
  writer.varint(info.sources.size());
  for (const std::string& source : info.sources) writer.text(source);
  writer.varint(info.retry.retry.size());
  for (Duration wait : info.retry.retry) writer.signed_varint(wait.us);
  writer.signed_varint(info.retry.max_age.us);
  for (WallTime time : {info.created_at, info.start_at, info.started_at, info.closed_at,
                        info.ended_at}) {
    writer.signed_varint(time.us);
  }
  return bytes;
}

bool decode_campaign(std::string_view bytes, CampaignInfo& info) {
  ByteReader reader(bytes);
  if (reader.fixed<uint8_t>() != kCampaignVersion) return false;
  info = {};
  info.id = reader.varint();
  info.tenant = static_cast<TenantId>(reader.varint());
  info.name = reader.text();
  auto state = reader.fixed<uint8_t>();
  info.closed = reader.fixed<uint8_t>() != 0;
  auto mail_class = reader.fixed<uint8_t>();
  if (state > static_cast<uint8_t>(CampaignState::complete)) return false;
  if (mail_class > static_cast<uint8_t>(MailClass::bulk)) return false;
  info.state = static_cast<CampaignState>(state);
  info.mail_class = static_cast<MailClass>(mail_class);
  read_hash(reader, info.content);
  uint64_t sources = reader.varint();
  if (sources > kListMax) return false;
  for (uint64_t i = 0; i < sources; ++i) info.sources.emplace_back(reader.text());
  uint64_t waits = reader.varint();
  if (waits > kListMax) return false;
  for (uint64_t i = 0; i < waits; ++i) info.retry.retry.push_back({reader.signed_varint()});
  info.retry.max_age = {reader.signed_varint()};
  for (WallTime* time : {&info.created_at, &info.start_at, &info.started_at, &info.closed_at,
                         &info.ended_at}) {
    time->us = reader.signed_varint();
  }
  return reader.done() && info.id != 0;
}

std::string encode_key(const KeyInfo& key) {
  std::string bytes;
  ByteWriter writer(bytes);
  writer.fixed(kKeyVersion);
  writer.varint(key.id);
  write_hash(writer, key.hash);
  writer.varint(key.tenant);
  writer.fixed(key.scopes);
  writer.text(key.hint);
  writer.signed_varint(key.created_at.us);
  return bytes;
}

bool decode_key(std::string_view bytes, KeyInfo& key) {
  ByteReader reader(bytes);
  if (reader.fixed<uint8_t>() != kKeyVersion) return false;
  key = {};
  key.id = reader.varint();
  read_hash(reader, key.hash);
  key.tenant = static_cast<TenantId>(reader.varint());
  key.scopes = reader.fixed<uint8_t>();
  key.hint = reader.text();
  key.created_at.us = reader.signed_varint();
  return reader.done() && key.id != 0;
}

}  // namespace postring::engine
