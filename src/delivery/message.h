// Message: a lease on its way through a lane, from the pull to its outcome.
//
// A message is owned by its MessagePool and is in at most one MessageList at a time. Memory is used
// again; nothing is allocated per message but what its lease brought.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/check.h"
#include "base/units.h"
#include "delivery/contents.h"
#include "queue/lease.h"

namespace postring::delivery {

// So often a message may come back from a connection unjudged before it goes home.
constexpr uint8_t kUnsentMax = 5;

struct Message {
  queue::Lease lease;
  ContentRef content;
  uint32_t home_worker = 0;
  uint8_t unsent = 0;
  // Our way of sending may have caused its last reply: it is to go alone, over a connection of its
  // own, with everything off that could make a peer stumble.
  bool plain = false;
  Instant started_at;  // when it was handed to a connection
  WallTime started_wall;
  uint64_t size_bytes = 0;

  Message* next = nullptr;  // of its list, or of its transaction
};

// First in, first out.
class MessageList {
 public:
  bool empty() const { return head_ == nullptr; }
  size_t size() const { return size_; }
  Message* front() const { return head_; }

  void push_back(Message* message) {
    message->next = nullptr;
    (head_ == nullptr ? head_ : tail_->next) = message;
    tail_ = message;
    ++size_;
  }
  void push_front(Message* message) {
    message->next = head_;
    head_ = message;
    if (tail_ == nullptr) tail_ = message;
    ++size_;
  }
  Message* pop_front() {
    CHECK(head_ != nullptr);
    Message* message = head_;
    head_ = message->next;
    if (head_ == nullptr) tail_ = nullptr;
    message->next = nullptr;
    --size_;
    return message;
  }
  // Takes out those that are wanted, at most so many; strung together by `next`, in their order.
  template <typename Wanted>
  Message* take_if(Wanted wanted, size_t messages_max) {
    Message* taken = nullptr;
    Message** taken_end = &taken;
    Message* kept = nullptr;
    Message** place = &head_;
    while (*place != nullptr && messages_max > 0) {
      Message* message = *place;
      if (!wanted(*message)) {
        kept = message;
        place = &message->next;
        continue;
      }
      *place = message->next;
      if (tail_ == message) tail_ = kept;
      message->next = nullptr;
      *taken_end = message;
      taken_end = &message->next;
      --size_;
      --messages_max;
    }
    return taken;
  }

 private:
  Message* head_ = nullptr;
  Message* tail_ = nullptr;
  size_t size_ = 0;
};

class MessagePool {
 public:
  MessagePool() = default;
  MessagePool(const MessagePool&) = delete;
  MessagePool& operator=(const MessagePool&) = delete;
  ~MessagePool() { CHECK(used_ == 0, "a lease was neither settled nor given back"); }

  Message* take(queue::Lease lease, uint32_t home_worker) {
    if (free_.empty()) {
      all_.push_back(std::make_unique<Message>());
      free_.push_back(all_.back().get());
    }
    Message* message = free_.back();
    free_.pop_back();
    ++used_;
    message->lease = std::move(lease);
    message->home_worker = home_worker;
    message->unsent = 0;
    message->plain = false;
    message->size_bytes = 0;
    return message;
  }
  void give_back(Message* message) {
    CHECK(used_ > 0);
    --used_;
    message->content = {};
    message->lease.bytes = {};
    free_.push_back(message);
  }
  size_t used() const { return used_; }

 private:
  std::vector<std::unique_ptr<Message>> all_;
  std::vector<Message*> free_;
  size_t used_ = 0;
};

// What a lane has ready, in the order it goes: transactional, standard, bulk; first in, first out
// within a class. What must go plainly waits apart.
class ReadyQueue {
 public:
  void push_back(Message* message) { list_of(message).push_back(message); }
  void push_front(Message* message) { list_of(message).push_front(message); }

  // nullptr where nothing is ready.
  Message* front() const {
    for (const MessageList& list : classes_)
      if (!list.empty()) return list.front();
    return nullptr;
  }
  Message* front_plain() const { return plain_.front(); }
  void pop(Message* message) {
    Message* popped = list_of(message).pop_front();
    CHECK(popped == message, "only the front of a list may be taken");
  }

  // Out of those that go with this one's class.
  template <typename Wanted>
  Message* take_if(const Message* like, Wanted wanted, size_t messages_max) {
    return list_of(like).take_if(wanted, messages_max);
  }

  // Everything, the plain ones last.
  std::vector<Message*> take_all() {
    std::vector<Message*> all;
    all.reserve(size() + plain_size());
    for (MessageList& list : classes_)
      while (!list.empty()) all.push_back(list.pop_front());
    while (!plain_.empty()) all.push_back(plain_.pop_front());
    return all;
  }

  size_t size() const { return classes_[0].size() + classes_[1].size() + classes_[2].size(); }
  size_t plain_size() const { return plain_.size(); }

 private:
  MessageList& list_of(const Message* message) {
    return message->plain ? plain_ : classes_[static_cast<uint8_t>(message->lease.mail_class)];
  }

  MessageList classes_[3];
  MessageList plain_;
};

}  // namespace postring::delivery
