#include "cli/command_line.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/time_text.h"
#include "cli/check_config.h"
#include "cli/check_system.h"
#include "cli/operator_commands.h"
#include "cli/send.h"
#include "cli/serve.h"
#include "cli/shown.h"
#include "cli/spool_commands.h"
#include "engine/config_keys.h"

namespace postring::cli {

namespace {

constexpr int kUsage = 2;

// Everything the options write to, and the command that was chosen.
struct Words {
  ServerOptions server;
  SendOptions send;
  EventsOptions events;
  TryOptions attempt;
  std::string file, id, state, scopes = "submit,read", patience = "5m", topic;
  uint64_t batch_bytes = 16u << 20;
  std::function<int()> chosen;
};

void choose(CLI::App* command, Words& words, std::function<int()> what) {
  command->callback([&words, what = std::move(what)] { words.chosen = what; });
}

void add_json(CLI::App* command, Words& words) {
  command->add_flag("--json", words.server.json, "Print JSON instead of tables");
}

void add_socket(CLI::App* command, Words& words) {
  command->add_option("--socket", words.server.socket,
                      "The operator's socket (or $POSTRING_SOCKET)");
  command->add_option("--config", words.server.config,
                      "Take the socket from this configuration file");
  add_json(command, words);
}

void add_url(CLI::App* command, Words& words) {
  command->add_option("--url", words.server.url,
                      "Where the API is (or $POSTRING_URL; http://127.0.0.1:8025)");
  command->add_option("--key", words.server.key, "An API key (or $POSTRING_KEY)");
  command->add_option("--key-file", words.server.key_file, "A file that holds the API key");
}

void add_either(CLI::App* command, Words& words) {
  add_url(command, words);
  add_socket(command, words);
  command->add_option("--tenant", words.server.tenant, "Act for this tenant (with the socket)");
}

void add_serve(CLI::App& app, Words& words) {
  CLI::App* command = app.add_subcommand("serve", "Run the daemon");
  command->add_option("--config", words.file, "The configuration file")->required();
  command->footer(
      "Stops with SIGTERM: waits for replies to what was sent, then ends with 0. Reads its\n"
      "configuration again with SIGHUP. `postring check config` and `postring check system` say\n"
      "beforehand what would go wrong.");
  choose(command, words, [&words] { return serve(words.file); });
}

void add_check(CLI::App& app, Words& words) {
  CLI::App* check = app.add_subcommand("check", "Say what is wrong before the start");
  check->require_subcommand(1);
  CLI::App* config = check->add_subcommand("config", "Every mistake in a configuration file");
  config->add_option("file", words.file, "The configuration file")->required();
  add_json(config, words);
  choose(config, words, [&words] { return check_config(words.file, words.server.json); });

  CLI::App* system = check->add_subcommand(
      "system", "What the kernel, limits, a container or the disk forbid, with the fix");
  system->add_option("--config", words.file, "Judge by the needs of this configuration");
  add_json(system, words);
  choose(system, words, [&words] {
    if (words.file.empty())
      return show_findings(check_system(engine::Config{}, false), words.server.json);
    auto config_file = engine::load_config(words.file);
    if (!config_file) return check_config(words.file, words.server.json);
    return show_findings(check_system(*config_file, true), words.server.json);
  });
}

int run_send(Words& words) {
  auto patience = parse_duration(words.patience);
  if (!patience) return complain(patience.error());
  words.send.server = words.server;
  words.send.patience = *patience;
  return send(words.send);
}

void add_send(CLI::App& app, Words& words) {
  CLI::App* command = app.add_subcommand("send", "Submit a campaign and its recipients");
  command->add_option("campaign", words.send.campaign_file, "The campaign (TOML)")->required();
  command
      ->add_option("--recipients", words.send.recipients_file,
                   "CSV or NDJSON; - reads standard input")
      ->required();
  add_url(command, words);
  add_json(command, words);
  command->add_flag("--wait", words.send.wait, "Stay until every recipient has an outcome");
  command->add_flag("--no-start", words.send.no_start, "Submit only; start it later");
  command->add_flag("--no-close", words.send.no_close, "Leave it open for more recipients");
  command->add_flag("--quiet", words.send.quiet, "No progress");
  command->add_option("--batch", words.send.batch_recipients, "Recipients per request")
      ->check(CLI::Range(1, 250'000));
  command->add_option("--run", words.send.run,
                      "A name for this sending; another one sends the same once more");
  command->add_option("--patience", words.patience, "Give up after this long without an answer");
  command->footer(
      "The campaign file:\n"
      "    name = \"Spring\"\n"
      "    unsubscribe = \"https://shop.example/u/{{recipient_id}}\"\n"
      "    [content]\n"
      "    from = \"Shop <news@shop.example>\"\n"
      "    subject = \"Hello {{name}}\"\n"
      "    text_file = \"spring.txt\"       # or text = \"...\"; the same for html\n"
      "The list: a CSV file with a line of column names (address, ref and the fields), or a JSON\n"
      "object per line: {\"address\": \"ann@example.com\", \"data\": {\"name\": \"Ann\"}}.\n"
      "Interrupted or in doubt, run the same command again: nobody is sent a second message.");
  choose(command, words, [&words] { return run_send(words); });
}

void add_keys(CLI::App& app, Words& words) {
  CLI::App* key = app.add_subcommand("key", "API keys");
  key->require_subcommand(1);
  CLI::App* create = key->add_subcommand("create", "Make a key; its secret is shown once");
  create->add_option("--tenant", words.server.tenant, "Whose key it is")->required();
  create->add_option("--scope", words.scopes, "Of submit, read and admin, with commas");
  add_socket(create, words);
  choose(create, words, [&words] { return create_key(words.server, words.scopes); });

  CLI::App* list = key->add_subcommand("list", "Show the keys, without their secrets");
  list->add_option("--tenant", words.server.tenant, "Only this tenant's");
  add_socket(list, words);
  choose(list, words, [&words] { return list_keys(words.server); });

  CLI::App* revoke = key->add_subcommand("revoke", "Make a key worthless");
  revoke->add_option("id", words.id, "The key's id")->required();
  add_socket(revoke, words);
  choose(revoke, words, [&words] { return revoke_key(words.server, words.id); });
}

void add_campaigns(CLI::App& app, Words& words) {
  CLI::App* campaign = app.add_subcommand("campaign", "Campaigns: list, show, pause, export, ...");
  campaign->require_subcommand(1);
  CLI::App* list = campaign->add_subcommand("list", "All campaigns");
  list->add_option("--state", words.state, "Only those in this state")
      ->check(CLI::IsMember(
          {"loading", "scheduled", "running", "paused", "cancelled", "complete"}));
  add_either(list, words);
  choose(list, words, [&words] { return list_campaigns(words.server, words.state); });

  CLI::App* show = campaign->add_subcommand("show", "One campaign and its counts");
  show->add_option("id", words.id, "The campaign's id")->required();
  add_either(show, words);
  choose(show, words, [&words] { return show_campaign(words.server, words.id); });

  constexpr std::pair<const char*, const char*> kCommands[] = {
      {"start", "Begin to send"},
      {"close", "Take no more recipients"},
      {"pause", "Send nothing until resumed"},
      {"resume", "Go on"},
      {"cancel", "Give up what is not sent yet"}};
  for (auto [name, says] : kCommands) {
    CLI::App* command = campaign->add_subcommand(name, says);
    command->add_option("id", words.id, "The campaign's id")->required();
    add_either(command, words);
    choose(command, words, [&words, name = std::string(name)] {
      return command_campaign(words.server, name, words.id);
    });
  }

  CLI::App* export_all = campaign->add_subcommand("export", "Every recipient as CSV or NDJSON");
  export_all->add_option("id", words.id, "The campaign's id")->required();
  export_all->add_option("--state", words.state, "Only those in this state")
      ->check(CLI::IsMember(
          {"waiting", "in_flight", "delivered", "bounced", "expired", "cancelled"}));
  add_either(export_all, words);
  choose(export_all, words,
         [&words] { return export_campaign(words.server, words.id, words.state); });
}

void add_watching(CLI::App& app, Words& words) {
  CLI::App* status = app.add_subcommand("status", "What the daemon does now");
  add_socket(status, words);
  choose(status, words, [&words] { return show_status(words.server); });

  CLI::App* lanes = app.add_subcommand("lanes", "Where mail waits or flows, and what holds it");
  add_socket(lanes, words);
  choose(lanes, words, [&words] { return show_lanes(words.server); });

  CLI::App* events = app.add_subcommand("events", "What happened to recipients");
  events->add_flag("--follow", words.events.follow, "Wait for more");
  events->add_option("--after", words.events.after, "Begin behind this cursor");
  events->add_option("--campaign", words.events.campaign, "Only this campaign's");
  events->add_option("--type", words.events.type, "Only those of this type")
      ->check(CLI::IsMember(
          {"delivered", "deferred", "bounced", "expired", "cancelled", "campaign.complete"}));
  events->add_option("--limit", words.events.limit, "At most so many")
      ->check(CLI::Range(uint64_t{1}, UINT64_MAX));
  add_either(events, words);
  choose(events, words, [&words] { return show_events(words.server, words.events); });

  CLI::App* why = app.add_subcommand(
      "explain", "Where a recipient's mail is, what holds it, the last reply, the next attempt");
  why->add_option("address", words.id, "The recipient's address")->required();
  add_either(why, words);
  choose(why, words, [&words] { return explain(words.server, words.id); });
}

void add_operating(CLI::App& app, Words& words) {
  CLI::App* forget = app.add_subcommand(
      "erase", "Cancel a recipient's waiting mail, and tell nothing of the address any more");
  forget->add_option("address", words.id, "The recipient's address")->required();
  add_either(forget, words);
  choose(forget, words, [&words] { return erase_address(words.server, words.id); });

  CLI::App* again = app.add_subcommand("reload", "Read the configuration again, all or nothing");
  add_socket(again, words);
  choose(again, words, [&words] { return reload(words.server); });

  CLI::App* end = app.add_subcommand("stop", "Stop the daemon, as SIGTERM does");
  add_socket(end, words);
  choose(end, words, [&words] { return stop(words.server); });

  CLI::App* retry = app.add_subcommand("retry", "Attempt a domain's waiting mail now");
  retry->add_option("domain", words.id, "The domain")->required();
  add_socket(retry, words);
  choose(retry, words, [&words] { return retry_domain(words.server, words.id); });

  CLI::App* dns = app.add_subcommand("dns", "What is remembered of DNS");
  dns->require_subcommand(1);
  CLI::App* flush = dns->add_subcommand("flush", "Forget a name");
  flush->add_option("name", words.id, "The name")->required();
  add_socket(flush, words);
  choose(flush, words, [&words] { return flush_dns(words.server, words.id); });

  CLI::App* attempt =
      app.add_subcommand("try", "Send one message now and print both sides of the conversation");
  attempt->add_option("address", words.attempt.address, "To whom")->required();
  attempt->add_option("--from", words.attempt.from, "The sender (the configured postmaster)");
  attempt->add_option("--source", words.attempt.source, "The source to use");
  attempt->add_option("--subject", words.attempt.subject, "The subject");
  attempt->add_option("--text", words.attempt.text, "The text");
  add_socket(attempt, words);
  choose(attempt, words, [&words] { return try_address(words.server, words.attempt); });

  CLI::App* verp = app.add_subcommand("verp", "Return addresses");
  verp->require_subcommand(1);
  CLI::App* decode = verp->add_subcommand("decode", "Which campaign and recipient one names");
  decode->add_option("token", words.id, "The token, or the address that holds it")->required();
  add_socket(decode, words);
  choose(decode, words, [&words] { return decode_verp(words.server, words.id); });
}

void add_spool(CLI::App& app, Words& words) {
  CLI::App* spool = app.add_subcommand("spool", "Look into a spool that no daemon uses");
  spool->require_subcommand(1);
  for (bool verify : {false, true}) {
    CLI::App* command =
        verify ? spool->add_subcommand("verify", "Check every record; 1 where one is damaged")
               : spool->add_subcommand("inspect", "Say in words what it holds");
    command->add_option("dir", words.file, "The spool's folder")->required();
    add_json(command, words);
    choose(command, words, [&words, verify] {
      return verify ? verify_spool(words.file, words.server.json)
                    : inspect_spool(words.file, words.server.json);
    });
  }
}

void add_help(CLI::App& app, Words& words) {
  CLI::App* help = app.add_subcommand("help", "Help on a topic: config");
  help->add_option("topic", words.topic, "config: every key of the configuration file")
      ->check(CLI::IsMember({"config"}));
  choose(help, words, [&app, &words] {
    fmt::print("{}", words.topic.empty() ? app.help() : engine::config_help());
    return 0;
  });
}

std::vector<std::string> commands_of(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* one : app.get_subcommands([](const CLI::App*) { return true; })) {
    names.push_back(one->get_name());
  }
  return names;
}

// An exit status where the words name no command: CLI11 would only say that one is missing.
std::optional<int> without_command(const CLI::App& app, int argc, char** argv) {
  const CLI::App* at = &app;
  std::string before;
  for (int i = 1;; ++i) {
    std::vector<std::string> names = commands_of(*at);
    if (names.empty()) return std::nullopt;
    if (i == argc) {
      fmt::print(stderr, "{}", at->help(at == &app ? "" : "postring"));
      return kUsage;
    }
    std::string word = argv[i];
    if (word.starts_with('-')) return std::nullopt;
    if (std::ranges::find(names, word) == names.end()) {
      fmt::print(stderr, "postring: '{}{}' is no command; there are {}\n", before, word,
                 fmt::join(names, ", "));
      return kUsage;
    }
    at = at->get_subcommand(word);
    before += word + " ";
  }
}

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

// The environment says what the command line leaves open: an address given there is not joined by
// another way to the daemon.
void add_environment(ServerOptions& server) {
  bool says_socket = !server.socket.empty() || !server.config.empty();
  bool says_key = !server.key.empty() || !server.key_file.empty();
  if (!says_socket && !says_key && server.url.empty()) {
    server.socket = environment("POSTRING_SOCKET");
  }
  if (says_socket) return;
  if (server.url.empty()) server.url = environment("POSTRING_URL");
  if (!says_key) server.key = environment("POSTRING_KEY");
}

}  // namespace

int run(int argc, char** argv) {
  CLI::App app("postring sends bulk mail: campaigns in, SMTP out, an answer for every recipient.",
               "postring");
  app.set_version_flag("--version", "postring " POSTRING_VERSION);
  app.require_subcommand(1);
  app.footer(
      "A first look: tools/quickstart. Every command has --help, and prints JSON with --json.\n"
      "Exit status: 0 done, 1 it could not be done, 2 the command line is wrong.");
  Words words;
  add_serve(app, words);
  add_check(app, words);
  add_send(app, words);
  add_campaigns(app, words);
  add_watching(app, words);
  add_keys(app, words);
  add_operating(app, words);
  add_spool(app, words);
  add_help(app, words);
  if (auto status = without_command(app, argc, argv)) return *status;
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kUsage;
  }
  add_environment(words.server);
  return words.chosen ? words.chosen() : kUsage;
}

}  // namespace postring::cli
