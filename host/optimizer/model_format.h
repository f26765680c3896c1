// What a model file contains, for its reader and its writer (model_file.cpp).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/cells/cell.h"

namespace l2o::model_format {

// Keys of the metadata. A file has these and those of lstm_settings.h: version 1, with one rule for
// all parameters, lacks kRules and kParameters; version 2, with several rules, has the keys of
// every rule prefixed with its name. Both lack kOutput, which is linear there; version 3 has it,
// with one rule or several; version 4 also has kInputProjection. A file has the first version that
// can represent its rules, so that older programs can read it.
inline constexpr char kFormatVersion[] = "l2o_format_version";
inline constexpr char kRules[] = "rules";            // names, separated by commas
inline constexpr char kParameters[] = "parameters";  // patterns of the rule's group, likewise
inline constexpr char kCell[] = "cell";
inline constexpr char kInputProjection[] = "input_projection";
inline constexpr char kOutput[] = "output";
inline constexpr char kTrainedOn[] = "trained_on";
inline constexpr char kChecksum[] = "checksum";

inline constexpr int kOneRule = 1, kSeveralRules = 2, kWithOutput = 3, kWithInputProjection = 4;

/// Whether files of a version have the setting.
bool has_setting(int version, std::string_view key);

/// The first version that can represent the rule.
int first_version(const LstmConfig& lstm);

/// One tensor of the file and its place in phi.
struct TensorPlace {
  std::string name;
  std::vector<std::int64_t> shape;
  int offset;
  bool second_bias;  ///< PyTorch's bias_hh: added to bias_ih, so that phi has one bias
};

std::vector<TensorPlace> tensor_places(const LstmConfig& lstm);

}  // namespace l2o::model_format
