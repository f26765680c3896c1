// Descriptors 0, 1 and 2 at program start.
#pragma once

namespace l2o::cli {

/// Opens those that are closed, so that no other file gets their numbers, and with them our
/// messages; using them still fails. Throws kInputOutput if stdout is one of them, because every
/// command writes a result there, or if one cannot be opened.
void open_standard_streams();

}  // namespace l2o::cli
