#include "engine/backend.h"

#include "base/check.h"
#include "engine/control.h"
#include "io/file.h"

namespace postring::engine {

using submission::Refusal;
using submission::Refused;

TenantId tenant_filter(const submission::Caller& caller) {
  return caller.tenant == submission::kEveryTenant ? 0 : caller.tenant;
}

Refused refused(Refusal why, std::string detail) {
  Refused result;
  result.why = why;
  result.detail = std::move(detail);
  if (why == Refusal::busy || why == Refusal::stopping) result.retry_after = Duration::seconds(1);
  if (why == Refusal::no_space) result.retry_after = Duration::seconds(60);
  return result;
}

Refused refused(RegistryError error, std::string_view what) {
  std::string name(what);
  switch (error) {
    case RegistryError::not_found:
      return refused(Refusal::not_found, "there is no such " + name);
    case RegistryError::wrong_state:
      return refused(Refusal::wrong_state, "the " + name + "'s state does not allow this");
    case RegistryError::key_busy:
      return refused(Refusal::key_busy,
                     "the first request with this Idempotency-Key is still at work");
    case RegistryError::key_reused:
      return refused(Refusal::key_reused, "this Idempotency-Key came with another request before");
    case RegistryError::busy:
      return refused(Refusal::busy, "a table is full: try again later");
    case RegistryError::failed:
      break;
  }
  return refused(Refusal::failed, "the spool cannot be written");
}

Refused refused(queue::SubmitError error) {
  using queue::SubmitError;
  switch (error) {
    case SubmitError::disk_full:
      return refused(Refusal::no_space, "the spool's disk is filling: delivery has what is left");
    case SubmitError::busy:
    case SubmitError::no_mail:
      return refused(Refusal::busy, "the spool is behind: try again later");
    case SubmitError::too_large:
      return refused(Refusal::invalid, "a recipient is larger than a record may be");
    case SubmitError::failed:
      break;
  }
  return refused(Refusal::failed, "the spool cannot be written");
}

Refused content_going() {
  return refused(Refusal::busy, "this content is just being removed: try again");
}

submission::Counts to_api(const queue::Counts& counts) {
  submission::Counts result;
  result.accepted = counts.accepted;
  result.delivered = counts.delivered;
  result.bounced = counts.bounced;
  result.expired = counts.expired;
  result.cancelled = counts.cancelled;
  result.waiting = counts.waiting;
  result.in_flight = counts.in_flight;
  result.deferrals = counts.deferrals;
  result.duplicate = counts.duplicate;
  result.rejected = counts.rejected;
  return result;
}

std::optional<submission::Caller> EngineBackend::authenticate(const Sha256& key_hash) const {
  const submission::Caller* caller = worker_.find_key(key_hash);
  if (caller == nullptr) return std::nullopt;
  return *caller;
}

std::optional<TenantId> EngineBackend::find_tenant(std::string_view name) const {
  return worker_.find_tenant(name);
}

submission::Health EngineBackend::health() const {
  if (worker_.stopping()) return {false, "stopping"};
  if (worker_.config().divert) return {true, "divert is on: no mail leaves"};
  return {true, ""};
}

namespace {

reporting::Metrics metrics_of(Worker& worker) {
  using reporting::Counter;
  using reporting::Gauge;
  reporting::Metrics metrics = worker.exporter().metrics();
  delivery::Counters delivery = worker.dispatch().counters();
  metrics.add(Counter::connections_opened, delivery.connections_opened);
  metrics.add(Counter::connections_failed, delivery.connections_failed);
  metrics.set(Gauge::connections_open, delivery.connections);
  metrics.set(Gauge::lanes, delivery.lanes);
  dns::ResolverStats dns = worker.resolver().stats();
  metrics.add(Counter::dns_queries, dns.queries);
  metrics.add(Counter::dns_cache_hits, dns.cache_hits);
  metrics.add(Counter::dns_failures, dns.failures);
  uint64_t waiting = 0, in_flight = 0, bytes = 0;
  for (const auto& home : worker.homes()) {
    queue::HomeStats stats = home->stats();
    in_flight += stats.leased;
    waiting += stats.recipients - stats.leased;
    bytes += stats.bytes_on_disk;
    metrics.add(Counter::spool_bytes_written, stats.bytes_appended);
    metrics.add(Counter::spool_commits, stats.syncs);
    metrics.add(Counter::spool_segments_reclaimed, stats.segments_reclaimed);
  }
  http::ServerCounters http = worker.http_counters();
  metrics.add(Counter::http_requests, http.requests);
  metrics.add(Counter::http_errors_4xx, http.answers_4xx);
  metrics.add(Counter::http_errors_5xx, http.answers_5xx);
  metrics.set(Gauge::recipients_waiting, waiting);
  metrics.set(Gauge::recipients_in_flight, in_flight);
  metrics.set(Gauge::spool_bytes, bytes);
  if (worker.index() == kControlWorker) {
    uint64_t open = 0;
    for (const auto& [id, info] : worker.campaigns().all()) open += info->ended() ? 0 : 1;
    metrics.set(Gauge::campaigns_open, open);
    metrics.set(Gauge::spool_free_bytes, free_space(worker.shared().spool_dir).value_or(0));
  }
  return metrics;
}

}  // namespace

void EngineBackend::metrics(submission::Answer<std::string> answer) {
  worker_.ask_all<reporting::Metrics>(
      [](Worker& there, auto reply) { reply(metrics_of(there)); },
      [answer = std::move(answer)](std::vector<reporting::Metrics> all) mutable {
        for (size_t i = 1; i < all.size(); ++i) all[0].merge(all[i]);
        answer(all[0].prometheus_text());
      });
}

bool EngineBackend::knows_sources(const std::vector<std::string>& names) const {
  for (const std::string& name : names) {
    if (!worker_.sources().find(name)) return false;
  }
  return true;
}

}  // namespace postring::engine
