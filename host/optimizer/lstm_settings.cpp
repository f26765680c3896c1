#include "host/optimizer/lstm_settings.h"

#include <fmt/format.h>

#include <cstddef>
#include <iterator>

#include "host/core/error.h"
#include "host/core/text.h"

namespace l2o {
namespace {

constexpr float kModulatedScale = 3e-3F;  // the learning rate of Adam, as which it starts

class FromConfig {
 public:
  FromConfig(ConfigReader& table, const LstmConfig& lstm) : table_(table), lstm_(lstm) {}

  void integer(const char* key, int& value, int min, int max) {
    value = static_cast<int>(table_.integer(key, value, min, max));
  }
  void width(const char* key, int& value, int max) { integer(key, value, 0, max); }
  void number(const char* key, float& value, double min, double max) {
    value = static_cast<float>(table_.number(key, shortest_double(value), min, max));
  }
  void scale(const char* key, float& value) {
    // Its default depends on the output, which is read before it.
    if (lstm_.output == Output::kModulated) value = kModulatedScale;
    number(key, value, 1e-6, 1e3);
  }
  template <class Enum>
  void choice(const char* key, Enum& value, SettingNames names) {
    const std::string name =
        table_.choice(key, names[static_cast<int>(value)], {std::begin(names), std::end(names)});
    for (std::size_t i = 0; i < names.size(); ++i) {
      if (name == names[i]) value = static_cast<Enum>(i);
    }
  }

 private:
  ConfigReader& table_;
  const LstmConfig& lstm_;  // as read so far
};

class ToText {
 public:
  void integer(const char* key, int value, int, int) { add(key, fmt::format("{}", value)); }
  void width(const char* key, int value, int) {
    if (value > 0) add(key, fmt::format("{}", value));
  }
  void number(const char* key, float value, float, float) { scale(key, value); }
  void scale(const char* key, float value) { add(key, fmt::format("{}", value)); }
  template <class Enum>
  void choice(const char* key, Enum value, SettingNames names) {
    add(key, names[static_cast<int>(value)]);
  }
  const std::string& text() const { return text_; }

 private:
  void add(const char* key, const std::string& value) {
    text_ += fmt::format("{}{} = {}", text_.empty() ? "" : ", ", key, value);
  }
  std::string text_;
};

}  // namespace

LstmConfig read_lstm_settings(ConfigReader& table) {
  LstmConfig lstm;
  visit_lstm_settings(lstm, FromConfig(table, lstm));
  const std::string contradiction = lstm_contradiction(lstm);
  if (!contradiction.empty()) {
    throw Error(Status::kUsage, fmt::format("{}: {}", table.place("output"), contradiction));
  }
  return lstm;
}

std::string describe_lstm(const LstmConfig& lstm) {
  ToText text;
  visit_lstm_settings(lstm, text);
  return text.text();
}

std::string lstm_contradiction(const LstmConfig& lstm) {
  if (lstm.output != Output::kModulated || lstm.preprocessing == Preprocessing::kAdamMoments) {
    return "";
  }
  return fmt::format(
      "the modulated output modulates Adam's direction, which preprocessing = \"{}\" does not "
      "provide; expected preprocessing = \"{}\"",
      preprocessing_name(lstm.preprocessing), preprocessing_name(Preprocessing::kAdamMoments));
}

}  // namespace l2o
