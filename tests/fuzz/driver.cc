// Runs a fuzz target without libFuzzer: the corpus as it is, then so many mutants of it, drawn from
// a seed, so that a run can be repeated anywhere.
//
//     x_fuzz [--runs N] [--seed N] [--kept FILE] [CORPUS_FOLDER]...
//
// The input that is at work is kept in ./x_fuzz.input (its length as 8 bytes, then itself) while it
// runs; after a crash it is the culprit, and --kept runs it again.

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstring>
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
    static constexpr char kBytes[] =
        "\r\n\0 .@<>{}[]\"\\/:;,=-+%&#\xff\x80\x7f"
        "0159aZ";
    constexpr std::string_view kSpecial(kBytes, sizeof kBytes - 1);
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

// A file that always holds the input at work: a shared map costs a copy and no system call.
class Kept {
 public:
  explicit Kept(const std::string& path) : path_(path) {
    int fd = open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || ftruncate(fd, kSize) != 0) return;
    void* map = mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (map != MAP_FAILED) map_ = static_cast<char*>(map);
  }
  ~Kept() {
    if (map_ != nullptr) munmap(map_, kSize);
    std::filesystem::remove(path_);
  }
  Kept(const Kept&) = delete;
  Kept& operator=(const Kept&) = delete;

  void keep(const std::string& input) {
    uint64_t size = std::min(input.size(), kSize - sizeof(uint64_t));
    if (map_ == nullptr) return;
    std::memcpy(map_, &size, sizeof size);
    std::memcpy(map_ + sizeof size, input.data(), size);
  }
  static std::string load(const std::string& file) {
    uint64_t size = 0;
    if (file.size() < sizeof size) return "";
    std::memcpy(&size, file.data(), sizeof size);
    return file.substr(sizeof size, size);
  }

 private:
  static constexpr size_t kSize = 1 << 20;
  std::string path_;
  char* map_ = nullptr;
};

void run_one(const std::string& input) {
  // A copy of exactly its size, so that reading past it is seen.
  std::vector<uint8_t> copy(input.begin(), input.end());
  LLVMFuzzerTestOneInput(copy.data(), copy.size());
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
    } else if (word == "--kept" && has_value) {
      run_one(Kept::load(read_file(argv[++i])));
      return 0;
    } else if (std::filesystem::is_directory(word)) {
      for (const auto& entry : std::filesystem::directory_iterator(word))
        files.push_back(entry.path());
    } else {
      std::fprintf(stderr, "usage: %s [--runs N] [--seed N] [--kept FILE] [FOLDER]...\n", argv[0]);
      return 2;
    }
  }
  std::sort(files.begin(), files.end());
  std::vector<std::string> corpus;
  for (const auto& file : files) corpus.push_back(read_file(file));
  Mutator mutator(seed, corpus);
  Kept kept(std::string(*argv) + ".input");
  for (uint64_t i = 0; i < corpus.size() + runs; ++i) {
    std::string input = i < corpus.size() ? corpus[i] : mutator.next();
    kept.keep(input);
    run_one(input);
  }
  std::printf("ok %zu inputs and %llu mutants of seed %llu\n", corpus.size(),
              static_cast<unsigned long long>(runs), static_cast<unsigned long long>(seed));
  return 0;
}
