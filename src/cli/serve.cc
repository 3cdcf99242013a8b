#include "cli/serve.h"

#include <fmt/format.h>

#include "engine/config.h"
#include "engine/daemon.h"

namespace postring::cli {

int serve(const std::string& config_file) {
  auto config = engine::load_config(config_file);
  if (!config) {
    for (const engine::ConfigMistake& mistake : config.error())
      fmt::print(stderr, "{}\n", mistake.text());
    fmt::print(stderr, "postring: not started: the configuration has mistakes\n");
    return 1;
  }
  engine::Daemon daemon(std::move(*config), config_file);
  return static_cast<int>(daemon.run());
}

}  // namespace postring::cli
