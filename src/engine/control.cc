#include "engine/control.h"

#include <algorithm>
#include <charconv>
#include <cstring>

#include "base/bytes.h"
#include "base/check.h"
#include "base/crc32c.h"
#include "io/file.h"

namespace postring::engine {
namespace {

constexpr uint64_t kPageBytes = 1u << 20;
constexpr uint64_t kMarksFileMax = 16u << 20;
// Campaigns, keys and answers are little beside the mail.
constexpr uint64_t kControlSegmentBytes = 4u << 20;

}  // namespace

// A reader of events, while it is read for or waits for new ones.
struct Control::EventWait {
  TenantId tenant = 0;
  submission::EventQuery query;
  std::optional<uint8_t> type;
  uint64_t from = 0;
  Instant until;
  submission::EventPage page;
  submission::Answer<submission::EventPage> answer;
};

Control::Control(Shared& shared, Loop& loop) : shared_(shared), loop_(loop) {
  marks_timer_.bind<&Control::write_marks>(this);
  waits_timer_.bind<&Control::wake_readers>(this);
  room_timer_.bind<&Control::watch_room>(this);
}

Control::~Control() = default;

Result<std::unique_ptr<Control>> Control::open(Shared& shared, Loop& loop) {
  std::unique_ptr<Control> control(new Control(shared, loop));
  RegistryOptions options;
  options.spool_id = shared.spool_id;
  options.segment_bytes = std::min(shared.config.spool.segment_size, kControlSegmentBytes);
  options.kept = shared.config.spool.campaign_age;
  auto registry = Registry::open(loop, shared.spool_dir + "/control", options);
  if (!registry) return std::unexpected(registry.error());
  control->registry_ = std::move(*registry);
  spool::EventLogOptions event_options;
  event_options.segment_bytes =
      std::min(event_options.segment_bytes, shared.config.spool.segment_size);
  event_options.keep = shared.config.events.keep;
  event_options.keep_bytes = shared.config.events.keep_bytes;
  auto events = spool::EventLog::open(loop, shared.spool_dir + "/events", event_options);
  if (!events) return std::unexpected(events.error());
  control->events_ = std::move(*events);
  auto erasures = Erasures::open(loop, shared.spool_dir + "/events/erased");
  if (!erasures) return std::unexpected(erasures.error());
  control->erasures_ = std::move(*erasures);
  if (auto read = control->read_marks(); !read) return std::unexpected(read.error());
  return control;
}

std::vector<queue::CampaignInfo> Control::campaigns() const {
  std::vector<queue::CampaignInfo> infos;
  for (const queue::CampaignInfo* info : registry_->campaigns()) infos.push_back(*info);
  return infos;
}

// ---- marks: up to where each slice's events are kept --------------------------------------------
// The file: (slice:u16 position:u64)* crc32c:u32. It may lag behind: those events are told twice.

Result<void> Control::read_marks() {
  std::string path = shared_.spool_dir + "/events/exported";
  if (!file_exists(path)) return {};
  auto bytes = read_whole_file(path, kMarksFileMax);
  if (!bytes) return fail(path + " cannot be read: " + std::strerror(bytes.error()));
  std::string_view body =
      std::string_view(*bytes).substr(0, bytes->size() - std::min<size_t>(4, bytes->size()));
  ByteReader tail(std::string_view(*bytes).substr(body.size()));
  if (tail.fixed<uint32_t>() != crc32c(body) ||
      !tail.ok()) {
    return fail(path +
                " is damaged: remove it to have all events that are still in the spool "
                "told again");
  }
  ByteReader reader(body);
  while (reader.ok() && !reader.done()) {
    auto slice = reader.fixed<SliceNumber>();
    auto packed = reader.fixed<uint64_t>();
    if (reader.ok()) marks_[slice] = spool::Position::unpack(packed);
  }
  marks_written_ = marks_;
  return {};
}

void Control::write_marks() {
  if (writing_marks_) return;
  loop_.timers().arm(marks_timer_, loop_.now() + kMarksWritten);
  if (marks_ == marks_written_) return;
  writing_marks_ = true;
  std::string bytes;
  ByteWriter writer(bytes);
  for (const auto& [slice, position] : marks_) {
    writer.fixed<SliceNumber>(slice);
    writer.fixed<uint64_t>(position.packed());
  }
  writer.fixed<uint32_t>(crc32c(bytes));
  loop_.offload().run(
      [path = shared_.spool_dir + "/events/exported", bytes = std::move(bytes)] {
        return write_whole_file(path, bytes, 0600).has_value();
      },
      [this, marks = marks_](bool ok) {
        writing_marks_ = false;
        // On a full disk the marks only lag behind.
        if (ok) marks_written_ = marks;
        loop_.timers().arm(marks_timer_, loop_.now() + kMarksWritten);
        if (marks_done_) end_marks(ok);
      });
}

// ---- start -------------------------------------------------------------------------------------

void Control::start(Worker& worker, std::vector<Recovered> recovered) {
  worker_ = &worker;
  queue::RecoverySink sink = registry_->recovery_sink();
  for (Recovered& of_worker : recovered) {
    registry_->learn(std::move(of_worker.seen));
    for (const auto& answer : of_worker.answers) sink.answer(answer->facts);
    of_worker = {};
  }
  registry_->set_publish([this](const queue::CampaignInfo& info, Job done) {
    publish_campaign(info, std::move(done));
  });
  registry_->set_remove_sink([this](CampaignId id) { remove_campaign(id); });
  registry_->set_key_sink([this](const KeyInfo& key, Job done) {
    publish_key(key, std::move(done));
  });
  registry_->set_event_sink([this](queue::EventFacts facts, Job done) {
    keep_complete(std::move(facts), std::move(done));
  });
  registry_->set_ask_idle([this](CampaignId id, std::move_only_function<void(bool)> done) {
    worker_->ask_all<bool>(
        [id](Worker& there, auto reply) {
          bool idle = true;
          for (const auto& home : there.homes()) idle = idle && home->is_idle(id);
          reply(idle);
        },
        [done = std::move(done)](std::vector<bool> idle) mutable {
          done(std::find(idle.begin(), idle.end(), false) == idle.end());
        });
  });
  for (const KeyInfo& key : registry_->keys()) publish_key(key, [] {});
  for (const TenantInfo& tenant : registry_->tenants()) {
    broadcast([tenant](Worker& there) { there.put_tenant(tenant.name, tenant.id); }, [] {});
  }
  // Before anybody may submit: an id that came to nothing in a crash is not given to another who is
  // not meant.
  erase_again();
  broadcast([](Worker& there) { there.keys_are_known(); }, [] {});
  registry_->when_failed([this] { spool_failed(); });
  registry_->start();
  loop_.timers().arm(marks_timer_, loop_.now() + kMarksWritten);
  watch_room();
}

// What the homes' outcomes to come need of the event log, and whether the disk is full.
void Control::watch_room() {
  struct Room {
    uint64_t live = 0;
    bool full = false;
    bool erasing = false;
  };
  worker_->ask_all<Room>(
      [](Worker& there, auto reply) {
        Room room;
        for (const auto& home : there.homes()) {
          queue::HomeStats stats = home->stats();
          room.live += stats.recipients;
          room.full = room.full || stats.disk_full;
          room.erasing = room.erasing || home->is_erasing();
        }
        reply(room);
      },
      [this, erasures = erasures_to_watch()](std::vector<Room> rooms) {
        if (closing_) return;
        Room all{0, events_->disk_full(), false};
        for (const Room& room : rooms) {
          all.live += room.live;
          all.full = all.full || room.full;
          all.erasing = all.erasing || room.erasing;
        }
        watch_erasures(erasures, all.erasing);
        events_->reserve(all.live * kEventReserveBytes);
        if (all.full != disk_full_ && on_disk_full_) on_disk_full_(all.full);
        disk_full_ = all.full;
        loop_.timers().arm(room_timer_, loop_.now() + kRoomLook);
      });
}

void Control::broadcast(std::function<void(Worker&)> call, Job done) {
  worker_->ask_all<bool>(
      [call = std::move(call)](Worker& there, auto reply) {
        call(there);
        reply(true);
      },
      [done = std::move(done)](std::vector<bool>) mutable { done(); });
}

void Control::publish_campaign(const queue::CampaignInfo& info, Job done) {
  broadcast([info](Worker& there) { there.campaigns().put(info); }, std::move(done));
}

void Control::remove_campaign(CampaignId id) {
  broadcast([id](Worker& there) { there.campaigns().remove(id); }, [] {});
}

void Control::publish_key(const KeyInfo& key, Job done) {
  std::optional<submission::Caller> caller;
  if (key.scopes != 0) caller = submission::Caller{key.tenant, key.tenant_name, key.scopes};
  broadcast(
      [hash = key.hash, name = key.tenant_name, tenant = key.tenant, caller](Worker& there) {
        there.put_tenant(name, tenant);
        there.put_key(hash, caller);
      },
      std::move(done));
}

// ---- keeping events ----------------------------------------------------------------------------

void Control::keep(size_t from, EventBatch batch, Exporter::Kept kept) {
  for (const std::string& event : batch.events) append_event(event);
  kept_.push_back([this, from, ends = std::move(batch.ends),
                   kept = std::move(kept)](bool ok) mutable {
    if (ok) {
      for (const auto& [slice, end] : ends) marks_[slice] = end;
    }
    shared_.mesh.post(kControlWorker, from, [ok, kept = std::move(kept)]() mutable { kept(ok); });
  });
  sync_events();
}

void Control::keep_complete(queue::EventFacts facts, Job done) {
  // A campaign may be found complete while the logs close: the next start tells it.
  if (closing_) return;
  append_event(encode_event_entry(facts));
  kept_.push_back([done = std::move(done)](bool ok) mutable {
    if (ok) done();
  });
  sync_events();
}

void Control::sync_events() {
  if (sync_asked_) return;
  sync_asked_ = true;
  // One sync for what a turn brought from all workers.
  loop_.defer([this] {
    sync_asked_ = false;
    events_->sync_soon([this, kept = std::exchange(kept_, {})](bool ok) mutable {
      for (Exporter::Kept& job : kept) job(ok);
      if (ok) return wake_readers();
      if (!events_->gave_up()) spool_failed();
    });
  });
}

void Control::spool_failed() {
  if (on_failure_) std::exchange(on_failure_, nullptr)();
}

// ---- reading events ----------------------------------------------------------------------------

void Control::read_events(TenantId tenant, submission::EventQuery query,
                          submission::Answer<submission::EventPage> answer) {
  auto wait = std::make_unique<EventWait>();
  auto refuse = [&answer](std::string detail) {
    submission::Refused why;
    why.why = submission::Refusal::invalid;
    why.detail = std::move(detail);
    answer(std::unexpected(std::move(why)));
  };
  const std::string& after = query.after;
  auto [end, error] = std::from_chars(after.data(), after.data() + after.size(), wait->from);
  if (!after.empty() && (error != std::errc{} || end != after.data() + after.size())) {
    return refuse("\"after\" is no cursor");
  }
  if (!query.type.empty()) {
    wait->type = event_type_number(query.type);
    if (!wait->type) return refuse("there are no events of type '" + query.type + "'");
  }
  // A cursor that is ahead of everything was given by another spool.
  if (wait->from > events_->end()) return refuse("\"after\" is a cursor of another spool");
  wait->tenant = tenant;
  wait->until = loop_.now() + query.wait;
  wait->query = std::move(query);
  wait->answer = std::move(answer);
  read_for(std::move(wait));
}

void Control::read_for(std::unique_ptr<EventWait> wait) {
  uint64_t from = wait->from;
  events_->read(from, kPageBytes, [this, wait = std::move(wait)](auto page) mutable {
    on_page(std::move(wait), std::move(page));
  });
}

void Control::on_page(std::unique_ptr<EventWait> wait,
                      Result<spool::EventPage, spool::EventsGone> page) {
  if (!page) {
    submission::Refused why;
    why.why = submission::Refusal::cursor_gone;
    why.detail = "events before the oldest cursor are no longer kept";
    why.oldest_cursor = std::to_string(page.error().oldest);
    why.events_missed = page.error().missed;
    return wait->answer(std::unexpected(std::move(why)));
  }
  tell_damage(*page);
  uint64_t number = page->first;
  for (std::string_view bytes : page->entries) {
    if (wait->page.count == wait->query.limit) break;
    ++number;
    auto entry = decode_event_entry(bytes);
    if (!entry || (wait->tenant != 0 && entry->tenant != wait->tenant)) continue;
    if (wait->query.campaign != 0 && entry->campaign != wait->query.campaign) continue;
    if (wait->type && entry->type != *wait->type) continue;
    if (wait->page.count++ > 0) wait->page.events += ',';
    if (erasures_->cover(*entry)) {
      wait->page.events += erased_event(entry->json);
    } else {
      wait->page.events += entry->json;
    }
  }
  bool whole = wait->page.count < wait->query.limit;
  wait->from = whole ? page->next : number;
  bool more = whole && wait->from < events_->end();
  // A full page's worth of bytes is enough for one answer, whatever the limit.
  if (more && wait->page.events.size() < kPageBytes) return read_for(std::move(wait));
  if (wait->page.count > 0 || more || loop_.now() >= wait->until) {
    wait->page.next = std::to_string(std::max<uint64_t>(wait->from, 1));
    return wait->answer(std::move(wait->page));
  }
  loop_.timers().arm(waits_timer_,
                     waits_.empty() ? wait->until : std::min(wait->until, waits_timer_.when()));
  waits_.push_back(std::move(wait));
}

void Control::wake_readers() {
  std::vector<std::unique_ptr<EventWait>> waits = std::exchange(waits_, {});
  loop_.timers().disarm(waits_timer_);
  for (auto& wait : waits) read_for(std::move(wait));
}

void Control::close(Job done) {
  closing_ = true;
  loop_.timers().disarm(room_timer_);
  for (auto& wait : waits_) wait->until = loop_.now();
  wake_readers();
  registry_->close([this, done = std::move(done)](bool) mutable {
    events_->close([this, done = std::move(done)](bool) mutable {
      marks_done_ = std::move(done);
      if (!writing_marks_) end_marks(true);
    });
  });
}

// The last marks are written once more where the write under way began before them.
void Control::end_marks(bool ok) {
  if (ok && marks_ != marks_written_) return write_marks();
  loop_.timers().disarm(marks_timer_);
  std::exchange(marks_done_, nullptr)();
}

}  // namespace postring::engine
