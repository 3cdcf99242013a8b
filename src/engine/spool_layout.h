// SpoolLayout: the spool's folder: whose it is, what is in it, and which worker gets which slice.
//
//     postring.spool    format, id, secrets of the spool; written once
//     lock              held by the running daemon
//     slice-00001/ ...  the slices' logs          control/   the registry's log
//     contents/         compiled contents         events/    the event log
//
// Slices are dealt in order: with N workers, the newest N take mail and the others only empty; a
// worker without a slice gets a new one. Numbers are never reused: the file `slices` knows the
// highest there was.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "engine/shared.h"
#include "mail/ids.h"

namespace postring::engine {

std::string slice_folder(const std::string& spool_dir, SliceNumber slice);

class SpoolLayout {
 public:
  // Makes what is missing and takes the lock. The error says what is wrong and how it is mended.
  static Result<SpoolLayout> open(const std::string& dir, size_t workers);
  SpoolLayout(SpoolLayout&& other) noexcept;
  SpoolLayout& operator=(SpoolLayout&& other) = delete;
  ~SpoolLayout();

  // Fills in ids, secrets and who owns which slice.
  void describe(Shared& shared) const;

 private:
  SpoolLayout() = default;
  Result<void> take_lock(const std::string& dir);
  Result<void> read_identity(const std::string& dir);
  Result<void> deal_slices(const std::string& dir, size_t workers);

  int lock_ = -1;
  uint64_t spool_id_ = 0;
  uint64_t secrets_[4] = {};
  std::vector<SliceDeal> deals_;
};

}  // namespace postring::engine
