// Formats a suite's results as a self-contained HTML page: no network, no scripts.
#pragma once

#include <string>

#include "host/engine/suite.h"

namespace l2o {

/// An HTML document with the summaries, a chart of every contest's curves (SVG, the loss on a
/// logarithmic axis) and the table. Light or dark, following the reader's system.
std::string suite_html(const SuiteReport& report);

/// Escapes the characters that are special in HTML.
std::string html_escaped(const std::string& text);

}  // namespace l2o
