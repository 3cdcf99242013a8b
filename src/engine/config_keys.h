// ConfigKeys: every key of the configuration file, what it takes and what it means. The reader
// knows no key that is not here, and `postring help config` prints them.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace postring::engine {

struct ConfigKey {
  std::string_view section;  // empty: at the top of the file
  std::string_view name;
  std::string_view takes;     // "a duration", "1 to 256", ...
  std::string_view standard;  // the default, as one would write it; empty: required or none
  std::string_view says;
};

struct ConfigSection {
  std::string_view name;
  bool repeated;  // [[name]]
  std::string_view says;
};

std::span<const ConfigKey> config_keys();
std::span<const ConfigSection> config_sections();

const ConfigSection* find_section(std::string_view name);
const ConfigKey* find_key(std::string_view section, std::string_view name);

// What was probably meant by an unknown name of the section: "did you mean 'retry'?", "'retry'
// belongs in [delivery]". Empty where nothing is near.
std::string suggest_key(std::string_view section, std::string_view name);

// The whole reference, for people.
std::string config_help();

}  // namespace postring::engine
