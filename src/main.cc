#include "cli/command_line.h"

int main(int argc, char** argv) {
  return postring::cli::run(argc, argv);
}
