// Lane: one (source, site) on its owner: outlets to pull from, permits, connections, and the order
// in which messages go.
//
// work() does what the moment allows: pull leases while too few are in hand, open connections while
// there is more to do than the open ones do, hand messages to idle ones. Every event touches the
// lane, which has the host call work() once before the turn ends.
//
// In hand are at most a few messages for each connection, so that a lease is a short thing, and
// what is more urgent overtakes: its outlet goes to the front of the line, its messages to the
// front of the queue.
//
// A failure before MAIL is the lane's: the address rests and the next one is tried at once; when
// all rest, the lane is suspended, gives back what it has in hand and tries again later, or at once
// when DNS brings another address. No recipient gets an outcome from it.
//
// Where a home can write no outcome (SpoolHolds), the lane gives back what it has in hand of it;
// a message whose transaction has begun waits before its content: most often it may go a moment
// later, and where not, the peer's patience ends the waiting.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "delivery/connection.h"
#include "delivery/contents.h"
#include "delivery/counters.h"
#include "delivery/dispatch.h"
#include "delivery/message.h"
#include "delivery/outlets.h"
#include "delivery/scratch_pool.h"
#include "delivery/spool_holds.h"
#include "delivery/status.h"
#include "delivery/targets.h"
#include "queue/campaign.h"
#include "throttle/ids.h"
#include "traffic/permits.h"
#include "traffic/settings.h"
#include "traffic/sources.h"

namespace postring::delivery {

// In hand: so many for each connection, and so many more.
constexpr uint32_t kInHandPerConnection = 4;
constexpr uint32_t kInHandMore = 12;
// A home that has mail and gives none is asked again after this.
constexpr Duration kPullAgainAfter = Duration::milliseconds(20);
constexpr uint32_t kPullMessages = 16;  // at most, of one destination while others wait
constexpr uint64_t kPullBytes = 1u << 20;
// A lane that waits longer than this for a permit has nothing in hand meanwhile.
constexpr Duration kPermitWaitMax = Duration::seconds(5);
// Where messages wait though the connections are few, one is added this often.
constexpr Duration kGrowEvery = Duration::milliseconds(50);
// Deadlines of what is in hand are looked at this often.
constexpr Duration kSweepEvery = Duration::seconds(15);
// So long no more connections are tried than the peer was seen to allow.
constexpr Duration kLearnedLimitFor = Duration::minutes(1);
constexpr Duration kSourceStoppedFor = Duration::seconds(30);
constexpr Duration kContentRetryAfter = Duration::minutes(5);
constexpr Duration kUnsentRetryAfter = Duration::minutes(1);
// Where other lanes wait for a descriptor, a connection makes room after so many messages: where it
// is one of several of its lane, and where it is the only one.
constexpr uint32_t kYieldAfter = 20;
constexpr uint32_t kYieldAfterAlone = 100;

class Lane;

class LaneHost {
 public:
  virtual ~LaneHost() = default;
  // Calls work() before the turn ends.
  virtual void touch(Lane& lane) = 0;
  // Answered by Lane::pulled().
  virtual void pull(Lane& lane, const Outlet& outlet, uint32_t messages, uint64_t bytes) = 0;
  // DNS is to be asked again where the destination's mail goes; the lane hears by add() or drop().
  virtual void reroute(const Outlet& outlet) = 0;
  // Answered by Lane::content_came(), in a later turn.
  virtual void fetch(Lane& lane, const queue::ContentId& id) = 0;
  // The end of a message.
  virtual void settle(Message* message, queue::Report report) = 0;
  virtual void give_back(Message* message) = 0;
  // A descriptor for one more connection. False: the lane stands in line and is touched when it may
  // try again.
  virtual bool take_descriptor(Lane& lane) = 0;
  // After the connection has left the lane's list.
  virtual void give_back_descriptor(Lane& lane) = 0;
  // The system had none though one was taken, which is given back by this.
  virtual void descriptors_short(Lane& lane) = 0;
  virtual bool descriptors_wanted() const = 0;
  // Keeps an ended connection until it can be destroyed.
  virtual void bury(std::unique_ptr<Connection> connection) = 0;
};

// What all lanes of a worker use.
struct LaneParts {
  Loop& loop;
  LaneHost& host;
  const queue::CampaignStates& campaigns;
  Contents& contents;
  ScratchPool& scratches;
  MessagePool& messages;
  traffic::SourceStates& source_states;
  Counters& counters;
  const mail::VerpKey* verp_key;
  const SpoolHolds& spool_holds;
};

class Lane final : public ConnectionOwner {
 public:
  // For the host.
  bool touched = false;
  bool in_descriptor_line = false;

  // `number` names the lane on this worker, for good.
  Lane(const LaneParts& parts, uint64_t number, throttle::LaneId id, const DispatchConfig& config,
       const traffic::Settings& settings, dns::ResolutionPtr resolution);
  ~Lane() override;

  uint64_t number() const { return number_; }
  const throttle::LaneId& id() const { return id_; }

  void add(Outlet outlet, dns::ResolutionPtr resolution, const traffic::Settings& settings);
  // Transactional mail has become ready in it.
  void hurry(const queue::DestinationId& destination);
  void drop(const queue::DestinationId& destination);
  void pulled(const queue::DestinationId& destination, queue::Pulled pulled);
  void content_came(const queue::ContentId& id, const Result<ContentRef>& content);
  void work();
  // Contents of some home may not leave any more, or may again.
  void holds_changed();
  // Rests and suspensions are forgotten.
  void retry_now();

  // Takes nothing new, finishes what has sent its content, gives back the rest.
  void stop();
  // As stop(): its source is another one now, and its destinations must find their lanes again.
  void retire();
  void abandon();
  bool stopping() const { return stopping_; }
  // Nothing is left of it.
  bool over() const;
  // It is over, and another in its place would be bound no less: its rate is not used up. Where it
  // only has to rest, it is touched when that is done.
  bool may_go();

  LaneStatus status() const;
  bool suspended() const { return hold_ == LaneHold::suspended; }
  bool serves(std::string_view domain) const;
  size_t connections() const { return connections_.size(); }

  void on_ready(Connection& connection) override;
  Message* next_message(Connection& connection) override;
  bool stands_still(const Message& message) override;
  void on_result(Connection& connection, Message* message, const smtp::RecipientResult& result,
                 const Reply& reply) override;
  void on_end(Connection& connection, const smtp::SessionEnd& end) override;

 private:
  void on_timer();
  void wake_at(Instant when);
  void set_hold(LaneHold hold, std::string reason, Instant until);

  // lane_flow.cc: what comes in and what goes out.
  void pull_more();
  uint32_t in_hand_wanted() const;
  Message* transaction_of(const Connection& connection, Message* first);
  void accept(queue::Lease lease, uint32_t home_worker);
  void line_up(Message* message);
  void content_failed(Message* message, const Error& error);
  void sweep();
  void give_back_ready();
  void settle(Connection& connection, Message* message, const Reply& reply, Stage stage,
              Outcome outcome, bool possible_duplicate);
  void settle_expired(Message* message);

  // lane.cc: connections.
  void open_connections();
  bool wants_connection(Instant now);
  bool open_connection(bool plain);
  smtp::SessionOptions session_options(bool plain) const;
  void not_opened(int error, const SocketAddress& target);
  void suspend_unless_connected();
  std::string spool_hold() const;
  void wake_idle();
  void make_room();
  void learn(const Connection& connection, const smtp::SessionEnd& end);
  bool has_plain_connection() const;

  const LaneParts& parts_;
  uint64_t number_;
  throttle::LaneId id_;
  std::shared_ptr<const traffic::SourceList> sources_;
  std::string message_id_domain_;
  smtp::Timeouts timeouts_;
  traffic::Settings settings_;
  traffic::Permits permits_;
  Targets targets_;
  Outlets outlets_;

  ReadyQueue ready_;
  std::vector<Message*> loading_;  // their content is on its way
  uint32_t asked_ = 0;             // messages asked for by pulls that have not come back

  std::vector<std::unique_ptr<Connection>> connections_;
  uint32_t connecting_ = 0;
  uint32_t established_ = 0;

  Timer timer_;
  LaneHold hold_ = LaneHold::nothing;
  std::string reason_;
  Instant hold_until_;
  Reply last_reply_;
  Instant resume_at_;  // no connection is opened before
  Instant grow_at_;
  Instant pull_at_;  // nothing is pulled before
  Instant sweep_at_;
  uint32_t learned_limit_ = UINT32_MAX;
  Instant learned_until_;
  bool chunking_failed_ = false;
  bool pipelining_failed_ = false;
  bool stopping_ = false;
  uint64_t delivered_ = 0;
};

}  // namespace postring::delivery
