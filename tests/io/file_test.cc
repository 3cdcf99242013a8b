#include "io/file.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "io/socket.h"

namespace postring {
namespace {

class FileTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "file_test.XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string folder_;
};

TEST_F(FileTest, MakingDurableChangesNoByte) {
  std::string bytes(700'001, '\0');
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * 31 + i / 256);
  std::string path = folder_ + "/bytes";
  ASSERT_TRUE(write_whole_file(path, bytes, 0600));
  auto file = open_file(path, OpenMode::read_write);
  ASSERT_TRUE(file);
  EXPECT_TRUE(make_durable(*file, 0, bytes.size()));
  EXPECT_TRUE(make_durable(*file, 4'095, 600'000));
  EXPECT_TRUE(make_durable(*file, 77, 77));
  EXPECT_EQ(read_whole_file(path, bytes.size()), bytes);
  // More than there is must not grow the file.
  EXPECT_FALSE(make_durable(*file, 0, bytes.size() + 1));
  EXPECT_EQ(file_size(*file), bytes.size());
  close_descriptor(*file);
}

}  // namespace
}  // namespace postring
