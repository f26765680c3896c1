// Model files. Most mutations break the checksum, so each input is also read with a corrected one:
// the code after that check must be robust by itself.
#include "host/core/error.h"
#include "host/core/safetensors.h"
#include "host/optimizer/model_file.h"
#include "tests/fuzz/target.h"
#include "tests/support/model_checksum.h"

namespace l2o {

void read_input(std::span<const std::byte> bytes) {
  try {
    Safetensors content = parse_safetensors(bytes, "input");
    content.metadata["checksum"] = model_checksum(content);
    parse_model(write_safetensors(content), "input with corrected checksum");
  } catch (const Error&) {
    // The original bytes decide, below.
  }
  parse_model(bytes, "input");
}

}  // namespace l2o
