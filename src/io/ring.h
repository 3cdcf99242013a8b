// The ring seam: everything a worker asks of the system and waits for.
//
// One ring per worker, used by the worker's thread only. Operations are queued and handed over
// together once per loop turn, in wait(); their callbacks run inside run(), never inside the call
// that started them. Owners bound what they start so that at most kRingOperationsMax operations are
// in flight. Buffers and vectors must stay until the callback (io/completion.h); addresses are
// copied.
//
// Production: src/io/linux_ring.cc on io_uring. Simulation: tests/sim.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/result.h"
#include "base/units.h"
#include "io/completion.h"
#include "io/socket_address.h"

namespace postring {

struct SyncRange {
  uint64_t offset = 0;
  uint64_t length = 0;
};

class Ring {
 public:
  // Says in words what is wrong when the kernel is older than 6.1 or forbids io_uring, and how it
  // is mended. Must be called on the thread that will use the ring.
  static Result<std::unique_ptr<Ring>> create();

  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;
  virtual ~Ring() = default;

  // Sockets. A send may be short: the caller goes on with the rest. At most kVectorsMax vectors.
  virtual void accept(Completion& completion, int listener) = 0;
  virtual void connect(Completion& completion, int socket, const SocketAddress& address) = 0;
  virtual void receive(Completion& completion, int socket, std::span<std::byte> buffer) = 0;
  virtual void send(Completion& completion, int socket, std::span<const iovec> pieces) = 0;
  // Datagram and foreign descriptors (the resolver's): completes with the events that are ready.
  virtual void poll(Completion& completion, int descriptor, uint32_t events) = 0;

  // Files. Reads and writes may be short too.
  virtual void read(Completion& completion, int file, std::span<std::byte> buffer,
                    uint64_t offset) = 0;
  virtual void write(Completion& completion, int file, std::span<const std::byte> bytes,
                     uint64_t offset) = 0;
  // Durable when it completes with 0: every byte of the range that was written before the call,
  // and the size of the file. A failed sync proves nothing and must not be repeated as proof.
  virtual void sync(Completion& completion, int file, uint64_t offset, uint64_t length) = 0;

  // Both, handed to one helper of the kernel: where CPUs are busy, each such hand-over waits for
  // one. The sync begins when the write has succeeded as a whole and covers it; where it did not,
  // the sync ends with -ECANCELED, which says nothing about the disk. Either may complete first.
  virtual void write_then_sync(Completion& written, int file, std::span<const std::byte> bytes,
                               uint64_t offset, Completion& synced, SyncRange range) = 0;

  // Asks for the end of the completion's operation; harmless where it has ended.
  virtual void cancel(Completion& completion) = 0;

  // Hands over what is queued and waits until something completes, a doorbell rings or `until`
  // (Instant{} does not wait).
  virtual void wait(Instant until) = 0;

  // Runs the callbacks of what has completed; returns how many.
  virtual size_t run() = 0;

  // Wakes this ring's owner out of wait(). The one function that other threads may call.
  virtual void wake() = 0;
  // As wake(), from the thread of another ring: costs no system call of its own.
  virtual void wake_from(Ring& caller) = 0;

  // Operations in flight or queued.
  virtual size_t in_flight() const = 0;

 protected:
  Ring() = default;
};

constexpr size_t kRingOperationsMax = 32'768;
constexpr size_t kVectorsMax = 1'024;

}  // namespace postring
