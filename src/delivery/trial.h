// Trial: one message to one address, now, with everything that was said.
//
// It tries the mail hosts in order until one can be talked to, sends the message, and quits. It
// goes past queues, permits and suspensions, and leaves nothing behind.
#pragma once

#include <functional>
#include <memory>

#include "delivery/connection.h"
#include "delivery/dispatch.h"

namespace postring::delivery {

constexpr uint32_t kTrialConnectionsMax = 8;

class Trial final : public ConnectionOwner {
 public:
  using Done = std::move_only_function<void(TrialResult)>;

  Trial(const DispatchParts& parts, DispatchConfig config, ScratchPool& scratches,
        MessagePool& messages, TrialRequest request, Done done);
  ~Trial() override;

  void start();
  // Ends it at once.
  void abandon();
  // The callback has run and it may be destroyed.
  bool over() const { return over_; }

  void on_ready(Connection&) override {}
  Message* next_message(Connection& connection) override;
  void on_result(Connection& connection, Message* message, const smtp::RecipientResult& result,
                 const Reply& reply) override;
  void on_end(Connection& connection, const smtp::SessionEnd& end) override;

 private:
  void resolved(const dns::ResolutionPtr& resolution);
  void connect_next();
  void finish();
  void fail_with(Stage stage, Outcome outcome, const Reply& reply);

  const DispatchParts& parts_;
  const DispatchConfig config_;
  ScratchPool& scratches_;
  MessagePool& messages_;
  TrialRequest request_;
  Done done_;
  TrialResult result_;
  throttle::SourceNumber source_ = 0;
  dns::ResolutionPtr resolution_;
  std::vector<dns::Target> targets_;
  size_t next_target_ = 0;
  std::unique_ptr<Connection> connection_;
  Message* message_ = nullptr;
  bool taken_ = false;
  bool judged_ = false;
  bool over_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace postring::delivery
