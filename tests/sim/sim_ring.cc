#include "sim/sim_ring.h"

#include <algorithm>
#include <cerrno>

namespace postring {

Result<std::unique_ptr<Ring>> Ring::create() {
  sim::Machine& machine = sim::machine();
  auto ring = std::make_unique<sim::SimRing>(machine);
  machine.rings.push_back(ring.get());
  return ring;
}

}  // namespace postring

namespace postring::sim {

SimRing::~SimRing() {
  CHECK(operations_.empty(), "a ring goes with operations in flight");
  abandoned_ = true;
  std::erase(machine_.rings, this);
}

// ---- asking ------------------------------------------------------------------------------------

void SimRing::start(Completion& completion, std::function<void(OperationPtr)> begin) {
  completion.start();
  auto operation = std::make_shared<Operation>();
  operation->completion = &completion;
  operations_[&completion] = operation;
  queued_.push_back([operation, begin = std::move(begin)] {
    if (!operation->ended) begin(operation);
  });
  CHECK(operations_.size() <= kRingOperationsMax);
  if (machine_.fault(machine_.faults.options.early_submit, Fault::submission_full)) hand_over();
}

void SimRing::hand_over() {
  // What begins may end at once, but never asks for more: that is the callbacks' part.
  for (auto& begin : std::exchange(queued_, {})) begin();
}

void SimRing::end(const OperationPtr& operation, int32_t result) {
  if (operation->ended || abandoned_) return;
  operation->ended = true;
  if (operation->let_go) std::exchange(operation->let_go, nullptr)();
  machine_.did(Busy::completion);
  post([this, completion = operation->completion, result] {
    operations_.erase(completion);
    completion->finish(result);
  });
}

void SimRing::end_after(Duration wait, const OperationPtr& operation,
                        std::function<int32_t()> work) {
  machine_.schedule.after(wait, [this, operation, work = std::move(work)] {
    if (!operation->ended && !abandoned_) end(operation, work());
  });
}

void SimRing::post(Job job) {
  ready_.push_back(std::move(job));
  if (on_ready) on_ready();
}

size_t SimRing::shortened(size_t size, int64_t chance, Fault fault) {
  if (size < 2 || !machine_.fault(chance, fault)) return size;
  return 1 + machine_.random.below(size - 1);
}

// ---- sockets -----------------------------------------------------------------------------------

void SimRing::accept(Completion& completion, int listener) {
  start(completion,
        [this, listener](const OperationPtr& operation) { begin_accept(operation, listener); });
}

void SimRing::begin_accept(const OperationPtr& operation, int number) {
  auto* found = machine_.find<std::shared_ptr<Listener>>(number);
  if (found == nullptr) return end(operation, -EBADF);
  std::shared_ptr<Listener> listener = *found;
  auto take = [this, operation, listener] {
    if (operation->ended || listener->waiting.empty()) return;
    StreamPtr stream = listener->waiting.front();
    listener->waiting.pop_front();
    end(operation, machine_.open(OpenSocket{stream}));
  };
  if (!listener->waiting.empty()) return take();
  CHECK(!listener->on_waiting, "two accepts on one listener");
  listener->on_waiting = take;
  operation->let_go = [listener] { listener->on_waiting = nullptr; };
}

void SimRing::connect(Completion& completion, int socket, const SocketAddress& address) {
  start(completion, [this, socket, address](const OperationPtr& operation) {
    auto* asking = machine_.find<OpenSocket>(socket);
    if (asking == nullptr) return end(operation, -EBADF);
    asking->to = address.ip;
    if (machine_.on_connect) machine_.on_connect(address.ip);
    machine_.net.connect(address, [this, operation, socket](Net::Opened opened) {
      if (operation->ended || abandoned_) {
        if (opened.stream != nullptr) opened.stream->close(true);
        return;
      }
      if (opened.stream == nullptr) return end(operation, -opened.error);
      auto* open = machine_.find<OpenSocket>(socket);
      CHECK(open != nullptr, "a socket was closed while it was connecting");
      open->stream = opened.stream;
      opened.stream->open_for_process();
      end(operation, 0);
    });
  });
}

void SimRing::receive(Completion& completion, int socket, std::span<std::byte> buffer) {
  start(completion, [this, socket, buffer](const OperationPtr& operation) {
    begin_receive(operation, socket, buffer);
  });
}

void SimRing::begin_receive(const OperationPtr& operation, int socket,
                            std::span<std::byte> buffer) {
  auto* open = machine_.find<OpenSocket>(socket);
  if (open == nullptr) return end(operation, -EBADF);
  if (open->stream == nullptr) return end(operation, -ENOTCONN);
  StreamPtr stream = open->stream;
  auto take = [this, operation, stream, buffer] {
    if (operation->ended || !stream->readable()) return;
    if (stream->reset()) return end(operation, -ECONNRESET);
    size_t count = stream->take(buffer.first(
        shortened(buffer.size(), machine_.faults.options.short_send, Fault::short_receive)));
    end(operation, static_cast<int32_t>(count));
  };
  if (stream->readable()) return take();
  CHECK(!stream->on_readable, "two receives on one socket");
  stream->on_readable = take;
  operation->let_go = [stream] { stream->on_readable = nullptr; };
}

void SimRing::send(Completion& completion, int socket, std::span<const iovec> pieces) {
  CHECK(pieces.size() <= kVectorsMax);
  std::vector<iovec> copy(pieces.begin(), pieces.end());
  start(completion, [this, socket, copy = std::move(copy)](const OperationPtr& operation) {
    begin_send(operation, socket, copy);
  });
}

void SimRing::begin_send(const OperationPtr& operation, int socket,
                         const std::vector<iovec>& pieces) {
  auto* open = machine_.find<OpenSocket>(socket);
  if (open == nullptr) return end(operation, -EBADF);
  if (open->stream == nullptr) return end(operation, -ENOTCONN);
  StreamPtr stream = open->stream;
  auto give = [this, operation, stream, pieces] {
    if (operation->ended) return;
    if (stream->reset()) return end(operation, -EPIPE);
    size_t room = stream->room();
    if (room == 0) return;
    std::string bytes;
    for (const iovec& piece : pieces) {
      bytes.append(static_cast<const char*>(piece.iov_base), piece.iov_len);
    }
    bytes.resize(shortened(std::min(room, bytes.size()), machine_.faults.options.short_send,
                           Fault::short_send));
    if (machine_.faults.options.plant == kFlippedByte && machine_.random.chance(1, 100)) {
      bytes[machine_.random.below(bytes.size())] ^= 1;
      machine_.faults.count(Fault::bit_flipped);
    }
    int32_t count = static_cast<int32_t>(bytes.size());
    stream->send(std::move(bytes));
    end(operation, count);
  };
  if (stream->room() > 0 || stream->reset()) return give();
  CHECK(!stream->on_writable, "two sends on one socket");
  stream->on_writable = give;
  operation->let_go = [stream] { stream->on_writable = nullptr; };
}

void SimRing::poll(Completion&, int, uint32_t) {
  CHECK(false, "nothing simulated is polled");
}

// ---- files -------------------------------------------------------------------------------------

void SimRing::read(Completion& completion, int file, std::span<std::byte> buffer,
                   uint64_t offset) {
  start(completion, [this, file, buffer, offset](const OperationPtr& operation) {
    auto* open = machine_.find<OpenFile>(file);
    if (open == nullptr) return end(operation, -EBADF);
    const Options& o = machine_.faults.options;
    auto part = buffer.first(shortened(buffer.size(), o.short_io, Fault::short_io));
    if (machine_.met(o.read_errors, Fault::read_failed)) {
      static constexpr int32_t kErrors[] = {-EIO, -EAGAIN, -ENOMEM};
      int32_t error = kErrors[machine_.random.below(3)];
      return end_after(machine_.up_to(o.io_us_max), operation, [error] { return error; });
    }
    end_after(machine_.up_to(o.io_us_max), operation, [inode = open->inode, part, offset] {
      return static_cast<int32_t>(inode->read(part, offset));
    });
  });
}

void SimRing::write(Completion& completion, int file, std::span<const std::byte> bytes,
                    uint64_t offset) {
  start(completion, [this, file, bytes, offset](const OperationPtr& operation) {
    begin_write(operation, file, bytes, offset, [](bool) {});
  });
}

void SimRing::begin_write(const OperationPtr& operation, int file,
                          std::span<const std::byte> bytes, uint64_t offset,
                          std::function<void(bool)> done) {
  auto fail = [&](int32_t error) {
    done(false);
    end(operation, error);
  };
  auto* open = machine_.find<OpenFile>(file);
  if (open == nullptr) return fail(-EBADF);
  const Options& o = machine_.faults.options;
  auto part = bytes.first(shortened(bytes.size(), o.short_io, Fault::short_io));
  InodePtr inode = open->inode;
  if (!machine_.disk->allocate(*inode, offset + part.size())) {
    machine_.faults.count(Fault::no_space);
    return fail(-ENOSPC);
  }
  bool lost = o.plant == kLostWrite && machine_.random.chance(1, 50);
  operation->effect = [inode, part, offset, lost] {
    if (!lost) inode->write(part, offset);
  };
  std::erase_if(writes_, [](const OperationPtr& one) { return one->ended; });
  writes_.push_back(operation);
  machine_.did(Busy::write);
  bool whole = part.size() == bytes.size();
  end_after(machine_.up_to(o.io_us_max), operation,
            [this, operation, part, whole, done = std::move(done)] {
              machine_.file_operation();
              operation->effect();
              done(whole);
              return static_cast<int32_t>(part.size());
            });
}

void SimRing::sync(Completion& completion, int file, uint64_t offset, uint64_t length) {
  start(completion, [this, file, offset, length](const OperationPtr& operation) {
    begin_sync(operation, file, offset, length);
  });
}

void SimRing::write_then_sync(Completion& written, int file, std::span<const std::byte> bytes,
                              uint64_t offset, Completion& synced, SyncRange range) {
  // In one submission, whatever `early_submit` does between.
  auto later = std::make_shared<OperationPtr>();
  auto then = [this, file, range, later](bool whole) {
    if (!whole) return end(*later, -ECANCELED);
    begin_sync(*later, file, range.offset, range.length);
  };
  start(synced, [later](const OperationPtr& operation) { *later = operation; });
  *later = operations_.at(&synced);
  start(written, [this, file, bytes, offset, then](const OperationPtr& operation) {
    begin_write(operation, file, bytes, offset, then);
  });
}

void SimRing::begin_sync(const OperationPtr& operation, int file, uint64_t offset,
                         uint64_t length) {
  auto* open = machine_.find<OpenFile>(file);
  if (open == nullptr) return end(operation, -EBADF);
  auto sync = std::make_shared<Inode::Sync>(open->inode->begin_sync(offset, length));
  Duration wait = machine_.up_to(machine_.faults.options.sync_us_max);
  end_after(wait, operation, [this, inode = open->inode, sync] {
    machine_.file_operation();
    bool fails = machine_.faults.on && machine_.sync_failures_left > 0 &&
                 machine_.random.chance(1, 50);
    if (fails) {
      machine_.faults.count(Fault::sync_failed);
      --machine_.sync_failures_left;
      machine_.sync_failed_at = std::min(machine_.sync_failed_at, machine_.schedule.now());
    }
    if (machine_.faults.options.plant != kLyingSync) inode->end_sync(std::move(*sync), !fails);
    return fails ? -EIO : 0;
  });
}

void SimRing::cancel(Completion& completion) {
  auto found = operations_.find(&completion);
  if (found == operations_.end()) return;
  queued_.push_back([this, operation = found->second] {
    // What is under way at the disk cannot be called back.
    if (operation->effect) return machine_.faults.count(Fault::cancelled_too_late);
    Duration wait = Duration::microseconds(machine_.random.between(0, 50));
    // An operation that has ended may be all that is left of its ring.
    machine_.schedule.after(wait, [this, operation, faults = &machine_.faults] {
      if (operation->ended) return faults->count(Fault::cancelled_too_late);
      if (abandoned_) return;
      faults->count(Fault::cancelled);
      end(operation, -ECANCELED);
    });
  });
}

// ---- the worker's turn -------------------------------------------------------------------------

void SimRing::wait(Instant until) {
  hand_over();
  sleeps_until_ = until;
  bool sleeps = ready_.empty() && until > machine_.schedule.now();
  CHECK(!ends_ || !sleeps, "a worker sleeps though it was to have finished");
}

size_t SimRing::run() {
  // What a callback brings about is for the next turn, and so is what the completion queue had no
  // room for: the kernel keeps it until there is.
  std::vector<Job> ready = std::exchange(ready_, {});
  auto most = static_cast<size_t>(machine_.faults.options.completions_max);
  if (machine_.faults.on && most > 0 && ready.size() > most) {
    machine_.faults.count(Fault::completions_overflowed);
    auto rest = ready.begin() + static_cast<ptrdiff_t>(most);
    ready_.assign(std::make_move_iterator(rest), std::make_move_iterator(ready.end()));
    ready.erase(rest, ready.end());
  }
  ran_ = ready.size();
  for (Job& job : ready) job();
  return ran_;
}

void SimRing::wake() {
  machine_.schedule.after(machine_.up_to(20), [this, lives = std::weak_ptr<bool>(lives_)] {
    if (!lives.expired() && !abandoned_) post([] {});
  });
}

void SimRing::abandon() {
  if (machine_.frozen == nullptr) {
    for (const OperationPtr& operation : writes_) {
      if (operation->ended) continue;
      bool kept = machine_.random.chance(1, 2);
      machine_.faults.count(kept ? Fault::write_kept : Fault::write_lost);
      if (kept) operation->effect();
    }
  }
  abandoned_ = true;
  on_ready = nullptr;
}

}  // namespace postring::sim
