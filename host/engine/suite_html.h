// A suite's results as one page that needs nothing else: no network, no scripts.
#pragma once

#include <string>

#include "host/engine/suite.h"

namespace l2o {

/// An HTML document with the summaries, a chart of every contest's curves (SVG, the loss on a
/// logarithmic axis) and the table. Light or dark as the reader's system is.
std::string suite_html(const SuiteReport& report);

/// The text with what means something in HTML written so that it does not.
std::string html_escaped(const std::string& text);

}  // namespace l2o
