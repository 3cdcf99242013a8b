// The command line: what `postring` understands, and what each command does.
#pragma once

namespace postring::cli {

// Reads the arguments, does what they say, gives the exit status: 0 done, 1 it could not be done,
// 2 the command line is wrong.
int run(int argc, char** argv);

}  // namespace postring::cli
