// Descriptors 0, 1 and 2 at program start.
#pragma once

namespace l2o::cli {

/// Opens those that are closed, so that no other file gets their numbers, and with them our
/// messages. Throws kInputOutput if stdout is one of them: every verb writes a result there.
void open_standard_streams();

}  // namespace l2o::cli
