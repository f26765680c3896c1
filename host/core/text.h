// Text for results and the formats that carry it.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace l2o {

/// Whether a byte of UTF-8 text is an ASCII control character.
inline bool is_control(char c) { return static_cast<unsigned char>(c) < ' ' || c == '\x7f'; }

bool is_utf8(std::string_view text);

/// The double with the same shortest decimal form: 0.1, where a plain cast gives 0.10000000149.
double shortest_double(float value);

/// Lines of text: the cells of every row in columns of minimum width, two spaces apart, the first
/// column aligned to the left, the others to the right.
std::string aligned_columns(const std::vector<std::vector<std::string>>& rows);

/// A field of a row of CSV, quoted if necessary.
std::string csv_field(const std::string& text);
/// The same for a number: its shortest decimal form, "inf", "-inf" or "nan".
std::string csv_number(double value);

/// The value on one line, with a newline. Names of files need not be UTF-8, which JSON is: other
/// bytes become U+FFFD.
std::string json_line(const nlohmann::ordered_json& json);

}  // namespace l2o
