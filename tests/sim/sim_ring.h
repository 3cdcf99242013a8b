// SimRing: the ring seam in virtual time.
//
// What is asked is handed over in wait(), as in production, or earlier where the submission queue
// was "full"; each operation then takes a time that the seed draws. Its effect happens at the end
// of that time: a write that was under way when the process ended may or may not have reached the
// disk. wait() never blocks: it tells until when the worker would sleep, and Node wakes it.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <unordered_map>
#include <vector>

#include "io/ring.h"
#include "sim/machine.h"

namespace postring::sim {

class SimRing final : public Ring {
 public:
  explicit SimRing(Machine& machine) : machine_(machine) {}
  ~SimRing() override;

  void accept(Completion& completion, int listener) override;
  void connect(Completion& completion, int socket, const SocketAddress& address) override;
  void receive(Completion& completion, int socket, std::span<std::byte> buffer) override;
  void send(Completion& completion, int socket, std::span<const iovec> pieces) override;
  void poll(Completion& completion, int descriptor, uint32_t events) override;
  void read(Completion& completion, int file, std::span<std::byte> buffer,
            uint64_t offset) override;
  void write(Completion& completion, int file, std::span<const std::byte> bytes,
             uint64_t offset) override;
  void sync(Completion& completion, int file, uint64_t offset, uint64_t length) override;
  void write_then_sync(Completion& written, int file, std::span<const std::byte> bytes,
                       uint64_t offset, Completion& synced, SyncRange range) override;
  void cancel(Completion& completion) override;

  void wait(Instant until) override;
  size_t run() override;
  void wake() override;
  void wake_from(Ring&) override { wake(); }
  size_t in_flight() const override { return operations_.size(); }

  // Runs inside run(), as a completion does: for seams that bring results themselves.
  void post(Job job);

  // ---- for the worker's Node
  std::function<void()> on_ready;  // something can be run
  Instant sleeps_until() const { return sleeps_until_; }
  bool ready() const { return !ready_.empty(); }
  // How many the last run() ran.
  size_t ran() const { return ran_; }
  // From now on the worker has nothing to sleep for: checked.
  void expect_end() { ends_ = true; }
  // The process is gone: nothing may reach it any more. Writes under way reach the disk or not.
  void abandon();
  bool abandoned() const { return abandoned_; }

 private:
  struct Operation {
    Completion* completion = nullptr;
    bool ended = false;
    std::function<void()> let_go;  // takes it back from where it waits
    std::function<void()> effect;  // of a write under way
  };
  using OperationPtr = std::shared_ptr<Operation>;

  // Starts the operation, when it is handed over, with `begin`.
  void start(Completion& completion, std::function<void(OperationPtr)> begin);
  void hand_over();
  void end(const OperationPtr& operation, int32_t result);
  // Ends it after a while with what `work` returns then.
  void end_after(Duration wait, const OperationPtr& operation, std::function<int32_t()> work);

  void begin_accept(const OperationPtr& operation, int listener);
  void begin_receive(const OperationPtr& operation, int socket, std::span<std::byte> buffer);
  void begin_send(const OperationPtr& operation, int socket, const std::vector<iovec>& pieces);
  // `done` learns whether all of it was written, when it ends.
  void begin_write(const OperationPtr& operation, int file, std::span<const std::byte> bytes,
                   uint64_t offset, std::function<void(bool)> done);
  void begin_sync(const OperationPtr& operation, int file, uint64_t offset, uint64_t length);
  size_t shortened(size_t size, int64_t chance, Fault fault);

  Machine& machine_;
  std::vector<std::function<void()>> queued_;
  std::unordered_map<Completion*, OperationPtr> operations_;
  std::vector<OperationPtr> writes_;  // under way, in the order of their beginning
  std::vector<Job> ready_;
  Instant sleeps_until_{};
  size_t ran_ = 0;
  bool ends_ = false;
  bool abandoned_ = false;
  std::shared_ptr<bool> lives_ = std::make_shared<bool>(true);
};

}  // namespace postring::sim
