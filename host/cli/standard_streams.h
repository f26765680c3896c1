// Descriptors 0, 1 and 2 when the program starts.
#pragma once

namespace l2o::cli {

/// Opens those that are closed, so that no file of ours gets their numbers and then our messages.
/// Throws kInputOutput where stdout is one of them: every verb has a result to write there.
void open_standard_streams();

}  // namespace l2o::cli
