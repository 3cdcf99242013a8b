// Shared: what all workers of the process look at and none changes after the start: the mesh, who
// owns which slice, the spool's secrets. The configuration of the start is here too; a reload hands
// every worker its own copy of what may change.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine/config.h"
#include "engine/mesh.h"
#include "mail/ids.h"
#include "mail/verp.h"
#include "queue/fingerprint.h"

namespace postring::engine {

class Control;
class Worker;

// Worker 0 is the control worker: it also runs the Control.
constexpr size_t kControlWorker = 0;

constexpr uint32_t kNoWorker = UINT32_MAX;

struct SliceDeal {
  SliceNumber slice = 0;
  uint32_t worker = 0;
  bool takes_mail = false;
};

struct Shared {
  Shared(Config config_, size_t workers_count)
      : config(std::move(config_)), mesh(workers_count), workers(workers_count, nullptr) {}

  Config config;
  std::string config_file;
  std::string hostname;  // the configuration's, or the machine's
  std::string spool_dir;
  uint64_t spool_id = 0;
  queue::FingerprintKey fingerprint_key;
  mail::VerpKey verp_key{0, 0};
  WallTime started_at;

  Mesh mesh;
  std::vector<SliceDeal> slices;
  std::vector<uint32_t> worker_of_slice;  // by slice number; kNoWorker: there is no such slice
  // Set while the workers start, one after the other; read only after all have started.
  std::vector<Worker*> workers;
  Control* control = nullptr;  // the control worker's own
};

}  // namespace postring::engine
