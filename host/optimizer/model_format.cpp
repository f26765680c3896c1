#include "host/optimizer/model_format.h"

#include <fmt/format.h>

#include "kernels/cells/lstm_cell.h"

namespace l2o::model_format {

bool has_setting(int version, std::string_view key) {
  return version >= (key == kInputProjection ? kWithInputProjection
                     : key == kOutput        ? kWithOutput
                                             : kOneRule);
}

int first_version(const LstmConfig& lstm) {
  if (lstm.input_projection > 0) return kWithInputProjection;
  const bool has_output = lstm.output != Output::kLinear || lstm.preprocessing_state() > 0;
  return has_output ? kWithOutput : kOneRule;
}

std::vector<TensorPlace> tensor_places(const LstmConfig& lstm) {
  std::vector<TensorPlace> places;
  const std::int64_t hidden = lstm.hidden, rows = 4 * hidden;
  if (lstm.input_projection > 0) {
    const std::int64_t projection = lstm.input_projection;
    places.push_back({"input_projection.weight", {projection, lstm.inputs()}, 0, false});
    const int bias = lstm.input_projection * lstm.inputs();
    places.push_back({"input_projection.bias", {projection}, bias, false});
  }
  for (int layer = 0; layer < lstm.layers; ++layer) {
    const LstmLayerLayout at = lstm_layer_layout(lstm, layer);
    const auto name = [&](const char* part) { return fmt::format("lstm.{}_l{}", part, layer); };
    places.push_back({name("weight_ih"), {rows, at.inputs}, at.weight_ih, false});
    places.push_back({name("weight_hh"), {rows, hidden}, at.weight_hh, false});
    places.push_back({name("bias_ih"), {rows}, at.bias, false});
    places.push_back({name("bias_hh"), {rows}, at.bias, true});
  }
  const int w_out = lstm_output_offset(lstm), width = lstm_output_inputs(lstm);
  const int outputs = lstm.outputs();
  places.push_back({"linear.weight", {outputs, width}, w_out, false});
  places.push_back({"linear.bias", {outputs}, w_out + outputs * width, false});
  return places;
}

}  // namespace l2o::model_format
