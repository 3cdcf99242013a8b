// Bounds of the queue. What is full pushes back to where the work came from.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/units.h"

namespace postring::queue {

constexpr uint32_t kRecipientsMax = 200'000'000;  // live ones of a home; beyond: busy
constexpr uint32_t kBatchRecipientsMax = 250'000;
constexpr uint32_t kOpenBatchesMax = 1'024;       // at a home, begun and not committed
constexpr uint32_t kLeasesMax = 262'144;          // out at a time; beyond, pulls give nothing
constexpr uint32_t kPullMessagesMax = 4'096;      // of one pull
// Set aside in the log for the outcome of each live recipient, and how many may be appended before
// that is said again. Where few end at a time, each has a sync of its own and fills a sector; who
// has more than kPaddedOutcomesMax has not all of them end so.
constexpr uint64_t kOutcomeReserveBytes = 192;
constexpr uint64_t kOutcomePaddingBytes = 320;
constexpr uint64_t kPaddedOutcomesMax = 262'144;
// No outcome takes more: the longest record is shorter than two sectors. On a full disk so many are
// out as this finds room for.
constexpr uint64_t kOutcomeBytesMax = 1'024;
constexpr uint64_t kReserveEvery = 1'024;
// Events held in memory while they wait to be durable and taken; of more only the place is kept.
constexpr size_t kEventsHeldMax = 65'536;
constexpr size_t kInlineContentMax = 65'536;      // bytes; larger content is stored

// Work per loop turn, so that nothing delays a delivery.
constexpr uint32_t kActivationsPerTurn = 512;   // recipients of a committed batch that enter queues
constexpr uint32_t kDuePerTurn = 1'024;         // whose time has come
constexpr uint32_t kPagesPerTurn = 2;           // of entries looked at for expiry and cancel
constexpr uint32_t kListedPerTurn = 16'384;     // entries looked at for lists
constexpr uint32_t kFinishingMax = 1'024;       // expired and cancelled ones at work at a time

constexpr Duration kExpirySweep = Duration::seconds(15);  // between two looks for deadlines
constexpr Duration kHousekeeping = Duration::seconds(1);
constexpr Duration kCloseWait = Duration::seconds(30);  // for room for outcomes, at a stop
constexpr Duration kForgetting = Duration::minutes(1);  // between two looks for what ended long ago

// Where the oldest segment cannot be read: until the next try, doubled with each up to the longest.
constexpr Duration kReclaimRetry = Duration::seconds(2);
constexpr Duration kReclaimRetryMax = Duration::minutes(10);

// Who asks for a recipient that has just ended waits for its event no longer than this and a
// housekeeping.
constexpr Duration kToldWait = Duration::seconds(1);

// Finished batches of messages without a campaign are remembered for questions this long.
constexpr Duration kMessageBatchKept = Duration::minutes(10);
constexpr size_t kMessageBatchesKeptMax = 100'000;

}  // namespace postring::queue
