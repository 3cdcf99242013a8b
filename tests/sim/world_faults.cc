// What happens to a run: the faults of a plan, the ends of the process and its starts.
#include <algorithm>

#include "base/check.h"
#include "sim/world.h"

namespace postring::sim {
namespace {

const std::string kContents = "/spool/contents/";
const std::string kControlLog = "/spool/control/";

}  // namespace

// ---- what happens to it ------------------------------------------------------------------------

void World::plan_faults() {
  const Options& o = faults_.options;
  auto some_time = [this, &o] {
    return Duration::microseconds(random_.between(1, o.faults_for_s * 1'000'000));
  };
  for (int64_t i = 0; i < o.crashes; ++i) {
    bool power_cut = random_.chance(static_cast<uint64_t>(o.crash_power), 1'000);
    bool in_file = random_.chance(static_cast<uint64_t>(o.crash_in_file), 1'000);
    schedule_.after(some_time(), [this, power_cut, in_file, steps = random_.between(1, 60)] {
      if (!in_file) return kill_node(power_cut);
      machine_.end_in_operations = static_cast<uint64_t>(steps);
      machine_.end_with_power = power_cut;
    });
  }
  for (int64_t i = 0; i < o.stops; ++i) schedule_.after(some_time(), [this] { stop_node(); });
  for (int64_t i = 0; i < o.disk_full; ++i) {
    schedule_.after(some_time(), [this, lasts = some_time()] {
      if (healed_) return;
      say("world: the disk fills");
      faults_.count(Fault::disk_filled);
      machine_.disk->set_capacity(0);
      ledger_.disk_full(true);
      schedule_.after(lasts, [this] {
        machine_.disk->set_capacity(static_cast<uint64_t>(faults_.options.disk_bytes));
        ledger_.disk_full(false);
      });
    });
  }
  schedule_.after(Duration::seconds(o.faults_for_s), [this] { heal(); });
}

void World::plan_second_faults(Random& random) {
  const Options& o = faults_.options;
  auto some_time = [&random, &o] {
    return Duration::microseconds(random.between(1, o.faults_for_s * 1'000'000));
  };
  for (int64_t i = 0; i < o.clock_jumps; ++i) {
    schedule_.after(some_time(), [this, seed = random.next()] {
      Random drawn(seed);
      jump_clock(drawn);
    });
  }
  for (int64_t i = 0; i < o.bit_flips; ++i) {
    schedule_.after(some_time(), [this, seed = random.next()] {
      Random drawn(seed);
      flip_bit(drawn);
    });
  }
}

void World::jump_clock(Random& random) {
  int64_t max_ms = std::max<int64_t>(faults_.options.clock_jump_s_max, 1) * 1'000;
  Duration by = Duration::milliseconds(random.between(-max_ms, max_ms));
  if (by == Duration{}) return;
  faults_.count(by > Duration{} ? Fault::clock_forward : Fault::clock_back);
  say("world: the wall clock jumps by " + std::to_string(by.whole_ms()) + " ms");
  wall_.jump(schedule_.now(), by);
}

// Of a segment that nothing is appended to any more: what is behind it is durable, and says so. In
// the last one a bad tail is taken for torn, for nobody can tell.
void World::flip_bit(Random& random) {
  bool anywhere = faults_.options.flips_anywhere > 0;
  std::vector<std::pair<std::string, InodePtr>> sealed;
  std::string followed;  // the folder of a later one that has records
  const auto& files = machine_.disk->files();
  for (auto at = files.rbegin(); at != files.rend(); ++at) {
    const auto& [path, inode] = *at;
    bool content = path.starts_with(kContents) && !path.ends_with(".new");
    if (anywhere && content && inode->dirty_pages() == 0) sealed.emplace_back(path, inode);
    bool log = path.starts_with("/spool/slice-") || (anywhere && path.starts_with(kControlLog));
    if (!log || !path.ends_with(".seg")) continue;
    std::string folder = path.substr(0, path.rfind('/'));
    if (followed == folder && inode->dirty_pages() == 0) sealed.emplace_back(path, inode);
    if (inode->content_bytes() > kPageBytes && inode->is_clean(0)) followed = folder;
  }
  if (sealed.empty()) return;
  const auto& [path, inode] = sealed[random.below(sealed.size())];
  uint64_t at = random.below(inode->content_bytes());
  while (inode->bytes()[at] == std::byte{}) ++at;  // no checksum is over what fills up
  flips_.push_back({path, at, inode->bytes()[at]});
  inode->flip(at, static_cast<uint8_t>(1u << random.below(8)));
  faults_.count(Fault::bit_flipped);
  ledger_.bit_flipped();
  if (messenger_ != nullptr) messenger_->expect_damage();
  say("world: a bit of " + path + ", byte " + std::to_string(at) + ", is flipped");
}

// Of a flip that lies where it was.
bool World::still_lies(const Flip& flip) const {
  InodePtr inode = machine_.disk->find(flip.path);
  return inode != nullptr && flip.at < inode->content_bytes() &&
         inode->bytes()[flip.at] != flip.before;
}

// A start reads all of the logs, and names the file that was harmed: that is all that can be asked
// for. A content is read when it is wanted: until it is mended its mail waits.
std::vector<std::string> World::damaged_logs() const {
  std::vector<std::string> paths;
  for (const Flip& flip : flips_) {
    if (!flip.path.starts_with(kContents) && still_lies(flip)) paths.push_back(flip.path);
  }
  return paths;
}

void World::mend_contents() {
  for (const Flip& flip : flips_) {
    if (!flip.path.starts_with(kContents) || !still_lies(flip)) continue;
    InodePtr inode = machine_.disk->find(flip.path);
    inode->flip(flip.at, static_cast<uint8_t>(inode->bytes()[flip.at] ^ flip.before));
  }
}

void World::heal() {
  say("world: heals");
  healed_ = true;
  faults_.on = false;
  mend_contents();
  machine_.end_in_operations = machine_.end_in_busy = 0;
  machine_.disk->set_capacity(static_cast<uint64_t>(faults_.options.disk_bytes));
  ledger_.disk_full(false);
}

void World::start_node() {
  if (node_ != nullptr) former_.push_back(std::move(node_));
  stopping_ = false;
  const Options& o = faults_.options;
  auto workers = static_cast<size_t>(starts_.size() % 2 == 0 ? o.workers : o.workers_later);
  if (!starts_.empty() && o.workers != o.workers_later) faults_.count(Fault::other_workers);
  node_ = std::make_unique<Node>(machine_, config(), workers, [this](std::string_view line) {
    if (say_) say_(std::string(line.substr(0, line.size() - 1)));
  });
  node_->on_ended = [this] { on_node_ended(); };
  starts_.push_back(schedule_.now());
  ledger_.process_started();
  arm_crash();
  std::vector<std::string> damaged = damaged_logs();
  uint64_t operations = machine_.operations;
  bool started = node_->start();
  start_operations_ = machine_.operations - operations;
  if (machine_.frozen != nullptr) return end_in_start(started);
  if (started) {
    left_unsafe_since_ = Instant::never();
    if (!damaged.empty()) ledger_.broke("damage: it starts over a flipped bit in " + damaged[0]);
    return;
  }
  const std::string& problem = node_->problem();
  say("world: it does not start: " + problem);
  damage_named_ = std::ranges::any_of(damaged, [&problem](const std::string& path) {
    return problem.find(path) != std::string::npos;
  });
  if (damage_named_) return machine_.end_process(false);
  bool no_space = problem.find("No space") != std::string::npos;
  if (!no_space) ledger_.broke("start: " + problem);
  machine_.end_process(false);
  restart_after(Duration::seconds(10));
}

void World::restart_after(Duration wait) {
  if (rests_) return;
  schedule_.after(wait, [this] {
    if (node_ == nullptr || !node_->runs()) start_node();
  });
}

void World::arm_crash() {
  if (healed_) return;
  const Options& o = faults_.options;
  // As often few as many: the first ones of a start or of a campaign are the rare ones.
  auto some = [this](int64_t power_max) {
    return crash_random_.below(uint64_t{2} << crash_random_.between(0, power_max)) + 1;
  };
  bool with_power = crash_random_.chance(static_cast<uint64_t>(o.crash_power), 1'000);
  if (starts_.size() > 1 && faults_.met(crash_random_, o.crash_in_start)) {
    machine_.end_in_operations = some(5);
    machine_.end_with_power = with_power;
  } else if (busy_crashes_left_ > 0) {
    --busy_crashes_left_;
    machine_.end_with_power = with_power;
    switch (crash_random_.below(3)) {
      case 0:
        machine_.end_in_operations = some(9);
        break;
      case 1:
        machine_.end_of = Busy::write;
        machine_.end_in_busy = some(10);
        break;
      default:
        machine_.end_of = Busy::completion;
        machine_.end_in_busy = some(13);
    }
  }
}

void World::end_in_start(bool started) {
  faults_.count(Fault::in_recovery);
  if (started) return kill_node(machine_.end_with_power);
  bool power_cut = machine_.end_with_power;
  say(power_cut ? "world: the power goes, in its start" : "world: it is killed, in its start");
  faults_.count(power_cut ? Fault::power_cut : Fault::killed);
  // A killed life leaves to the disk what the loss of power then takes.
  if (power_cut && left_unsafe_since_ != Instant::never()) {
    ledger_.process_ended(left_unsafe_since_);
  }
  machine_.end_process(power_cut);
  if (power_cut) left_unsafe_since_ = Instant::never();
  restart_after(Duration::seconds(1));
}

// What was not written, or not synced, at this moment (README.md of this folder).
Instant World::unsafe_since(bool power_cut) const {
  const Options& o = faults_.options;
  Duration window =
      Duration::milliseconds(50) +
      Duration::microseconds(2 * o.longest_stall_us() + 2 * o.io_us_max);
  if (power_cut) window = window + Duration::microseconds(3 * o.sync_us_max);
  Instant since = schedule_.now() - window;
  // Nothing is written any more since then.
  if (machine_.sync_failed_at != Instant::never()) {
    since = std::min(since, machine_.sync_failed_at - window);
  }
  return power_cut ? std::min(since, left_unsafe_since_) : since;
}

void World::kill_node(bool power_cut) {
  if (node_ == nullptr || !node_->runs()) return;
  say(power_cut ? "world: the power goes" : "world: the process is killed");
  faults_.count(power_cut ? Fault::power_cut : Fault::killed);
  ledger_.process_ended(unsafe_since(power_cut));
  left_unsafe_since_ = power_cut ? Instant::never() : unsafe_since(true);
  node_->kill(power_cut);
  restart_after(
      Duration::milliseconds(random_.between(10, faults_.options.restart_ms_max)));
}

void World::stop_node() {
  if (node_ == nullptr || !node_->runs() || stopping_) return;
  say("world: SIGTERM");
  if (!rests_) faults_.count(Fault::stopped);
  stopping_ = true;
  node_->ask_to_stop();
}

void World::on_node_ended() {
  say("world: it has ended");
  if (node_->spool_failed()) {
    left_unsafe_since_ = unsafe_since(true);
    ledger_.process_ended(left_unsafe_since_);
  } else if (machine_.open_count() > 0 || !machine_.rings.empty()) {
    ledger_.broke("left over: " + std::to_string(machine_.open_count()) + " descriptors");
  }
  machine_.end_process(false);
  restart_after(
      Duration::milliseconds(random_.between(10, faults_.options.restart_ms_max)));
}

}  // namespace postring::sim
