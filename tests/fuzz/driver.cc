// Runs a fuzz target without libFuzzer: the corpus as it is, then so many mutants of it, drawn from a
// seed, so that a run can be repeated anywhere.
//
//     x_fuzz [--runs N] [--seed N] [--file FILE] [CORPUS_FOLDER]...
//
// The input that is at work is kept in ./x_fuzz.input while it runs; after a crash it is the culprit.

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <string_view>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

constexpr size_t kInputMax = 8192;

class Mutator {
 public:
  Mutator(uint64_t seed, std::vector<std::string> corpus)
      : random_(seed), corpus_(std::move(corpus)) {
    if (corpus_.empty()) corpus_.emplace_back();
  }

  std::string next() {
    std::string input = pick();
    size_t steps = 1 + random_() % 6;
    for (size_t i = 0; i < steps; ++i) change(input);
    if (input.size() > kInputMax) input.resize(kInputMax);
    return input;
  }

 private:
  const std::string& pick() { return corpus_[random_() % corpus_.size()]; }
  size_t place(const std::string& text) { return random_() % (text.size() + 1); }

  void change(std::string& input) {
    // Bytes that mean something to most of what we parse.
    constexpr std::string_view kSpecial("\r\n\0 .@<>{}[]\"\\/:;,=-+%&#\xff\x80\x7f" "0159aZ", 37);
    size_t at = place(input);
    switch (random_() % 9) {
      case 0:
        if (at < input.size()) input[at] = static_cast<char>(input[at] ^ (1 << random_() % 8));
        break;
      case 1:
        if (at < input.size()) input[at] = kSpecial[random_() % kSpecial.size()];
        break;
      case 2:
        input.insert(at, 1, kSpecial[random_() % kSpecial.size()]);
        break;
      case 3:
        input.erase(at, 1 + random_() % 8);
        break;
      case 4:
        input.insert(at, input.substr(place(input), random_() % 32));
        break;
      case 5: {
        const std::string& other = pick();
        input.insert(at, other.substr(random_() % (other.size() + 1), random_() % 64));
        break;
      }
      case 6:
        input.resize(at);
        break;
      case 7:
        input.insert(at, random_() % 300, kSpecial[random_() % kSpecial.size()]);
        break;
      case 8:
        for (size_t i = at; i < std::min(input.size(), at + 4); ++i)
          input[i] = static_cast<char>(random_());
        break;
    }
  }

  std::mt19937_64 random_;
  std::vector<std::string> corpus_;
};

std::string read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

void run_one(const std::string& input, const std::string& kept) {
  if (!kept.empty()) {
    std::ofstream file(kept, std::ios::binary | std::ios::trunc);
    file.write(input.data(), static_cast<std::streamsize>(input.size()));
  }
  LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(input.data()), input.size());
}

bool number(std::string_view text, uint64_t& value) {
  auto end = std::from_chars(text.data(), text.data() + text.size(), value);
  return end.ec == std::errc() && end.ptr == text.data() + text.size();
}

}  // namespace

int main(int argc, char** argv) {
  uint64_t runs = 1000, seed = 1;
  std::vector<std::filesystem::path> files;
  for (int i = 1; i < argc; ++i) {
    std::string_view word = argv[i];
    bool has_value = i + 1 < argc;
    if (word == "--runs" && has_value && number(argv[i + 1], runs)) {
      ++i;
    } else if (word == "--seed" && has_value && number(argv[i + 1], seed)) {
      ++i;
    } else if (word == "--file" && has_value) {
      run_one(read_file(argv[++i]), "");
      return 0;
    } else if (std::filesystem::is_directory(word)) {
      for (const auto& entry : std::filesystem::directory_iterator(word))
        files.push_back(entry.path());
    } else {
      std::fprintf(stderr, "usage: %s [--runs N] [--seed N] [--file FILE] [FOLDER]...\n", argv[0]);
      return 2;
    }
  }
  std::sort(files.begin(), files.end());
  std::string kept = std::string(argv[0]) + ".input";
  std::vector<std::string> corpus;
  for (const auto& file : files) corpus.push_back(read_file(file));
  for (const std::string& input : corpus) run_one(input, kept);
  Mutator mutator(seed, corpus);
  for (uint64_t i = 0; i < runs; ++i) run_one(mutator.next(), kept);
  std::filesystem::remove(kept);
  std::printf("ok %zu inputs and %llu mutants of seed %llu\n", corpus.size(),
              static_cast<unsigned long long>(runs), static_cast<unsigned long long>(seed));
  return 0;
}
