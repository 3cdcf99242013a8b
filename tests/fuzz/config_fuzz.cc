// Configuration: any text is either a configuration or a list of mistakes that can be shown.

#include <string>

#include "engine/config.h"
#include "require.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace postring::engine;
  auto config = parse_config(as_text(data, size), "file.toml");
  if (!config) {
    REQUIRE(!config.error().empty());
    unsigned line = 0;
    for (const ConfigMistake& mistake : config.error()) {
      REQUIRE(!mistake.text().empty() && !mistake.message.empty());
      REQUIRE(mistake.line >= line || mistake.line == 0);
      line = mistake.line;
    }
    return 0;
  }
  REQUIRE(config_diff(*config, *config).empty());
  REQUIRE(config_values(*config) == config_values(*config));
  return 0;
}
