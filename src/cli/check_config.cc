#include "cli/check_config.h"

#include <fmt/format.h>

#include "base/json_writer.h"
#include "engine/config.h"

namespace postring::cli {

namespace {

int show_mistakes(const std::vector<engine::ConfigMistake>& mistakes, bool json) {
  if (json) {
    JsonWriter out;
    out.object().field("good", false).key("mistakes").array();
    for (const engine::ConfigMistake& one : mistakes) {
      out.object().field("file", one.file).field("line", one.line).field("key", one.key);
      out.field("message", one.message).end();
    }
    fmt::print("{}\n", out.end().end().take());
    return 1;
  }
  for (const engine::ConfigMistake& one : mistakes) fmt::print("{}\n", one.text());
  fmt::print("{} {}; `postring help config` says what every key takes\n", mistakes.size(),
             mistakes.size() == 1 ? "mistake" : "mistakes");
  return 1;
}

}  // namespace

int check_config(const std::string& file, bool json) {
  auto config = engine::load_config(file);
  if (!config) return show_mistakes(config.error(), json);
  if (json) {
    JsonWriter out;
    out.object().field("good", true).key("values").object();
    for (const auto& [key, value] : engine::config_values(*config)) out.field(key, value);
    fmt::print("{}\n", out.end().end().take());
    return 0;
  }
  for (const auto& [key, value] : engine::config_values(*config))
    fmt::print("{} = {}\n", key, value.empty() ? "-" : value);
  if (config->divert)
    fmt::print("DIVERT: all mail goes to {}; nothing leaves\n", config->divert->host);
  if (config->http.insecure_listen)
    fmt::print("warning: insecure_listen: keys and mail can be read on the network\n");
  fmt::print("{}: good\n", file);
  return 0;
}

}  // namespace postring::cli
