#include "dns/resolution.h"

#include <algorithm>
#include <utility>

namespace postring::dns {
namespace {

template <typename T>
void shuffle(std::vector<T>& items, size_t begin, size_t end, Random& random) {
  for (size_t left = end - begin; left > 1; --left)
    std::swap(items[begin + left - 1], items[begin + random.below(left)]);
}

}  // namespace

Reply reply_of(const Resolution& resolution) {
  Reply reply;
  auto enhanced = [&](uint8_t code_class, uint8_t subject, uint8_t detail) {
    reply.enhanced[0] = code_class;
    reply.enhanced[1] = subject;
    reply.enhanced[2] = detail;
  };
  switch (resolution.kind) {
    case Resolution::Kind::hosts:
      break;
    case Resolution::Kind::null_mx:
      enhanced(5, 1, 10);
      break;
    case Resolution::Kind::no_domain:
    case Resolution::Kind::bad_name:
      enhanced(5, 1, 2);
      break;
    case Resolution::Kind::no_address:
    case Resolution::Kind::refused_address:
      enhanced(5, 4, 4);
      break;
    case Resolution::Kind::temporary:
      enhanced(4, 4, 3);
      break;
  }
  reply.text = resolution.reason.substr(0, kReplyTextMax);
  return reply;
}

std::vector<Target> attempt_order(const Resolution& resolution, IpAddress::Family family,
                                  Random& random) {
  std::vector<uint32_t> order(resolution.hosts.size());
  for (uint32_t i = 0; i < order.size(); ++i) order[i] = i;
  for (size_t begin = 0; begin < order.size();) {
    size_t end = begin;
    while (end < order.size() &&
           resolution.hosts[end].preference == resolution.hosts[begin].preference)
      ++end;
    shuffle(order, begin, end, random);
    begin = end;
  }
  std::vector<Target> targets;
  for (uint32_t host : order) {
    const MailHost& mail_host = resolution.hosts[host];
    size_t begin = targets.size();
    for (const IpAddress& ip : mail_host.addresses)
      if (family == IpAddress::Family::none || ip.family == family)
        targets.push_back({.host = host, .address = {.ip = ip, .port = mail_host.port}});
    shuffle(targets, begin, targets.size(), random);
  }
  return targets;
}

}  // namespace postring::dns
