#include "traffic/sources.h"

#include <utility>

#include "base/check.h"

namespace postring::traffic {

SourceList::SourceList(std::vector<Source> sources) : sources_(std::move(sources)) {
  CHECK(!sources_.empty(), "there must be a source to send from");
  CHECK(sources_.size() <= throttle::kSourcesMax);
}

const Source& SourceList::operator[](throttle::SourceNumber number) const {
  CHECK(number < sources_.size(), "no such source");
  return sources_[number];
}

std::optional<throttle::SourceNumber> SourceList::find(std::string_view name) const {
  for (size_t i = 0; i < sources_.size(); ++i)
    if (sources_[i].name == name) return static_cast<throttle::SourceNumber>(i);
  return std::nullopt;
}

void SourceStates::stop(throttle::SourceNumber source, std::string reason, Instant until) {
  CHECK(source < states_.size());
  states_[source] = {std::move(reason), until, true};
}

void SourceStates::resume(throttle::SourceNumber source) {
  CHECK(source < states_.size());
  states_[source] = {};
}

bool SourceStates::usable(throttle::SourceNumber source, Instant now) const {
  CHECK(source < states_.size());
  return !states_[source].stopped || now >= states_[source].until;
}

Instant SourceStates::usable_at(throttle::SourceNumber source, Instant now) const {
  return usable(source, now) ? now : states_[source].until;
}

std::string_view SourceStates::reason(throttle::SourceNumber source, Instant now) const {
  return usable(source, now) ? std::string_view{} : std::string_view(states_[source].reason);
}

}  // namespace postring::traffic
