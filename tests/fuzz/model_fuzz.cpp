// Model files. Of most changed ones the checksum already is wrong, so each is read a second time
// with a right one: what lies behind that check must hold on its own.
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
    parse_model(write_safetensors(content), "input with a right checksum");
  } catch (const Error&) {
    // The verdict is that on the bytes as they are, below.
  }
  parse_model(bytes, "input");
}

}  // namespace l2o
