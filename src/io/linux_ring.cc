#include <liburing.h>
#include <netinet/in.h>
#include <sys/eventfd.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "io/clock.h"
#include "io/ring.h"

namespace postring {
namespace {

constexpr unsigned kSubmissionEntries = 1'024;
constexpr unsigned kCompletionEntries = 2 * kRingOperationsMax;
// fsync always runs on kernel helper threads; more than these at once help no disk.
constexpr unsigned kHelperThreadsMax = 4;

// user_data is the completion's address (it cannot go while the operation runs, io/completion.h),
// or one of these, which no address can be, or the address of the ring that was to be woken with
// kBellMark in it.
enum Tag : uint64_t { kIgnored = 0, kWoken = 1, kBellRead = 2 };
constexpr uint64_t kBellMark = 1;
static_assert(alignof(Completion) > kBellMark);

class LinuxRing final : public Ring {
 public:
  explicit LinuxRing(io_uring ring, int bell) : ring_(ring), bell_(bell) {
    scratch_.resize(ring_.sq.ring_entries);
    read_bell();
  }
  ~LinuxRing() override {
    io_uring_queue_exit(&ring_);
    close(bell_);
  }

  void accept(Completion& completion, int listener) override {
    io_uring_sqe* sqe = start(completion);
    io_uring_prep_accept(sqe, listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    io_uring_sqe_set_data(sqe, &completion);
  }

  void connect(Completion& completion, int socket, const SocketAddress& address) override {
    io_uring_sqe* sqe = start(completion);
    sockaddr_storage& storage = scratch_of(sqe).address;
    socklen_t length = address.to_system(storage);
    io_uring_prep_connect(sqe, socket, reinterpret_cast<sockaddr*>(&storage), length);
    io_uring_sqe_set_data(sqe, &completion);
  }

  void receive(Completion& completion, int socket, std::span<std::byte> buffer) override {
    io_uring_sqe* sqe = start(completion);
    io_uring_prep_recv(sqe, socket, buffer.data(), buffer.size(), 0);
    // The reply is never there yet when it is asked for: go straight to waiting.
    sqe->ioprio |= IORING_RECVSEND_POLL_FIRST;
    io_uring_sqe_set_data(sqe, &completion);
  }

  void send(Completion& completion, int socket, std::span<const iovec> pieces) override {
    CHECK(pieces.size() <= kVectorsMax);
    io_uring_sqe* sqe = start(completion);
    msghdr& message = scratch_of(sqe).message;
    message = {};
    message.msg_iov = const_cast<iovec*>(pieces.data());
    message.msg_iovlen = pieces.size();
    io_uring_prep_sendmsg(sqe, socket, &message, MSG_NOSIGNAL);
    io_uring_sqe_set_data(sqe, &completion);
  }

  void poll(Completion& completion, int descriptor, uint32_t events) override {
    io_uring_sqe* sqe = start(completion);
    io_uring_prep_poll_add(sqe, descriptor, events);
    io_uring_sqe_set_data(sqe, &completion);
  }

  void read(Completion& completion, int file, std::span<std::byte> buffer,
            uint64_t offset) override {
    io_uring_sqe* sqe = start(completion);
    io_uring_prep_read(sqe, file, buffer.data(), static_cast<unsigned>(buffer.size()), offset);
    io_uring_sqe_set_data(sqe, &completion);
  }

  void write(Completion& completion, int file, std::span<const std::byte> bytes,
             uint64_t offset) override {
    io_uring_sqe* sqe = start(completion);
    io_uring_prep_write(sqe, file, bytes.data(), static_cast<unsigned>(bytes.size()), offset);
    io_uring_sqe_set_data(sqe, &completion);
  }

  void sync(Completion& completion, int file, uint64_t offset, uint64_t length) override {
    io_uring_sqe* sqe = start(completion);
    io_uring_prep_fsync(sqe, file, IORING_FSYNC_DATASYNC);
    sqe->off = offset;
    sqe->len = length > UINT32_MAX ? 0 : static_cast<unsigned>(length);
    io_uring_sqe_set_data(sqe, &completion);
  }

  void write_then_sync(Completion& written, int file, std::span<const std::byte> bytes,
                       uint64_t offset, Completion& synced, SyncRange range) override {
    // A link does not reach over a submission.
    make_room(2);
    io_uring_sqe* first = start(written);
    io_uring_prep_write(first, file, bytes.data(), static_cast<unsigned>(bytes.size()), offset);
    io_uring_sqe_set_data(first, &written);
    first->flags |= IOSQE_IO_LINK;
    sync(synced, file, range.offset, range.length);
  }

  void cancel(Completion& completion) override {
    if (!completion.busy()) return;
    io_uring_sqe* sqe = next_entry();
    io_uring_prep_cancel64(sqe, reinterpret_cast<uint64_t>(&completion), 0);
    io_uring_sqe_set_data64(sqe, kIgnored);
  }

  void wait(Instant until) override {
    submit_and_wait(until);
    collect();
  }

  size_t run() override {
    size_t count = 0;
    std::vector<Completed> completed;
    completed.swap(completed_);
    completed_.swap(spare_);
    // A callback that fills the submission queue collects completions meanwhile: those are for the
    // next call.
    for (const Completed& done : completed) {
      if (done.user_data <= kBellRead) {
        if (done.user_data == kBellRead) read_bell();
      } else if ((done.user_data & kBellMark) != 0) {
        on_bell_failed(done.user_data - kBellMark, done.result);
      } else {
        --in_flight_;
        ++count;
        reinterpret_cast<Completion*>(done.user_data)->finish(done.result);
      }
    }
    completed.clear();
    spare_.swap(completed);
    return count;
  }

  void wake() override {
    uint64_t one = 1;
    ssize_t written = ::write(bell_, &one, sizeof(one));
    CHECK(written == sizeof(one) || errno == EAGAIN);
  }

  void wake_from(Ring& caller) override {
    // Both rings are of this kind: the seam is chosen at link time.
    auto& from = static_cast<LinuxRing&>(caller);
    io_uring_sqe* sqe = from.next_entry();
    io_uring_prep_msg_ring(sqe, ring_.ring_fd, 0, kWoken, 0);
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    io_uring_sqe_set_data64(sqe, reinterpret_cast<uint64_t>(this) | kBellMark);
  }

  size_t in_flight() const override { return in_flight_; }

 private:
  // What the kernel reads while it takes an entry, kept until that entry's place is used again.
  union Scratch {
    msghdr message;
    sockaddr_storage address;
  };
  struct Completed {
    uint64_t user_data;
    int32_t result;
  };

  io_uring_sqe* next_entry() {
    make_room(1);
    return io_uring_get_sqe(&ring_);
  }

  void make_room(unsigned entries) {
    while (io_uring_sq_space_left(&ring_) < entries) {
      // A full completion queue answers EBUSY until it is read.
      if (int submitted = io_uring_submit(&ring_); submitted < 0) {
        CHECK(submitted == -EBUSY || submitted == -EAGAIN || submitted == -EINTR, "submit failed");
        collect();
      }
    }
  }

  io_uring_sqe* start(Completion& completion) {
    completion.start();
    ++in_flight_;
    return next_entry();
  }

  Scratch& scratch_of(const io_uring_sqe* sqe) {
    return scratch_[static_cast<size_t>(sqe - ring_.sq.sqes)];
  }

  // The other ring's completion queue had no room: whoever sleeps there must not miss what was
  // posted. Where its descriptor is gone, so is the ring.
  static void on_bell_failed(uint64_t ring, int32_t result) {
    if (result == -EBADF || result == -EBADFD) return;
    reinterpret_cast<LinuxRing*>(ring)->wake();
  }

  void read_bell() {
    io_uring_sqe* sqe = next_entry();
    io_uring_prep_read(sqe, bell_, &bell_count_, sizeof(bell_count_), 0);
    io_uring_sqe_set_data64(sqe, kBellRead);
  }

  void submit_and_wait(Instant until) {
    int result;
    if (until <= Instant{}) {
      result = io_uring_submit_and_get_events(&ring_);
    } else if (until == Instant::never()) {
      result = io_uring_submit_and_wait(&ring_, 1);
    } else {
      Duration left = until - clock_now();
      if (left.us < 0) left.us = 0;
      __kernel_timespec timeout{left.us / 1'000'000, left.us % 1'000'000 * 1'000};
      io_uring_cqe* first = nullptr;
      result = io_uring_submit_and_wait_timeout(&ring_, &first, 1, &timeout, nullptr);
    }
    CHECK(result >= 0 || result == -ETIME || result == -EINTR || result == -EBUSY ||
              result == -EAGAIN,
          "waiting on the ring failed");
  }

  void collect() {
    io_uring_cqe* entries[256];
    for (;;) {
      unsigned count = io_uring_peek_batch_cqe(&ring_, entries, 256);
      if (count == 0) return;
      for (unsigned i = 0; i < count; ++i) {
        completed_.push_back({entries[i]->user_data, entries[i]->res});
      }
      io_uring_cq_advance(&ring_, count);
    }
  }

  io_uring ring_;
  int bell_;
  uint64_t bell_count_ = 0;
  size_t in_flight_ = 0;
  std::vector<Scratch> scratch_;
  std::vector<Completed> completed_;
  std::vector<Completed> spare_;  // keeps its memory for the next turn
};

std::string words_for(int error) {
  utsname system{};
  uname(&system);
  std::string kernel = system.release;
  switch (error) {
    case ENOSYS:
      return "io_uring is missing in this kernel (" + kernel +
             "): postring needs Linux 6.1 or newer";
    case EPERM:
      return "io_uring is forbidden here: set 'sysctl kernel.io_uring_disabled=0' (6.6 and newer), "
             "and in a container allow io_uring_setup, io_uring_enter and io_uring_register in its "
             "seccomp profile";
    case ENOMEM:
      return "no locked memory for io_uring: raise RLIMIT_MEMLOCK (systemd: LimitMEMLOCK=infinity)";
    case EMFILE:
    case ENFILE:
      return "no file descriptor left for io_uring: raise RLIMIT_NOFILE (systemd: LimitNOFILE=)";
    case EINVAL:
      return "this kernel (" + kernel +
             ") refuses the io_uring options postring needs: Linux 6.1 "
             "or newer is required";
    default:
      return std::string("io_uring cannot be set up: ") + std::strerror(error);
  }
}

}  // namespace

Result<std::unique_ptr<Ring>> Ring::create() {
  static constexpr unsigned kBase = IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP;
  static constexpr unsigned kLadder[] = {
      kBase | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
          IORING_SETUP_TASKRUN_FLAG,
      kBase | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
      kBase,
  };
  int error = EINVAL;
  for (unsigned flags : kLadder) {
    io_uring ring{};
    io_uring_params params{};
    params.flags = flags;
    params.cq_entries = kCompletionEntries;
    error = -io_uring_queue_init_params(kSubmissionEntries, &ring, &params);
    if (error == EINVAL) continue;
    if (error != 0) break;
    int bell = eventfd(0, EFD_CLOEXEC);
    if (bell < 0) {
      error = errno;
      io_uring_queue_exit(&ring);
      break;
    }
    // Best effort: saves a descriptor look-up for each enter, and bounds the helper threads.
    io_uring_register_ring_fd(&ring);
    unsigned helpers[2] = {kHelperThreadsMax, kHelperThreadsMax};
    io_uring_register_iowq_max_workers(&ring, helpers);
    return std::make_unique<LinuxRing>(ring, bell);
  }
  return fail(words_for(error));
}

}  // namespace postring
