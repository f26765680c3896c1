// TOML output: numbers as the shortest text that reads back to the same bits.
#pragma once

#include <toml++/toml.h>

#include <string>

namespace l2o {

/// One value on one line; tables as inline tables.
std::string toml_value(const toml::node& value);

/// A document: the values of a table first, then its tables under [headers], keys sorted.
std::string toml_document(const toml::table& root);

}  // namespace l2o
