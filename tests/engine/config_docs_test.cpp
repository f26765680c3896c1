// Checks that docs/config.md lists the same keys as the code.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <string>

#include "host/engine/report.h"
#include "host/engine/suite_config.h"
#include "host/engine/training_config.h"
#include "host/optimizee/optimizee.h"
#include "tests/support/error_of.h"
#include "tests/support/files.h"
#include "tests/support/temporary_directory.h"

namespace l2o {
namespace {

using Keys = std::set<std::string>;  // "table.key"

std::string document() { return test::contents(L2O_SOURCE_DIR "/docs/config.md"); }

/// Keys of the table after the first heading that begins with `heading` and contains `subject`.
Keys documented(const std::string& table, const std::string& heading, const std::string& subject) {
  std::istringstream lines(document());
  Keys keys;
  bool found = false;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with('#')) {
      if (!keys.empty()) break;
      found = found || (line.starts_with(heading) && line.find(subject) != std::string::npos);
    } else if (found && line.starts_with("| `") &&
               line[3] != '"') {  // a quoted first cell is a value, not a key
      keys.insert(table + "." + line.substr(3, line.find('`', 3) - 3));
    }
  }
  return keys;
}

/// Keys of a resolved configuration.
Keys resolved(const ConfigReader& config) {
  std::istringstream lines(config.resolved());
  std::string table;
  Keys keys;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with('[')) table = line.substr(1, line.find(']') - 1);
    const std::size_t equals = line.find(" = ");
    if (equals != std::string::npos) keys.insert(table + "." + line.substr(0, equals));
  }
  return keys;
}

TEST(ConfigDocs, ListEveryTrainingKey) {
  ConfigReader config = ConfigReader::from_text("", "empty");
  read_training_config(config);
  Keys in_docs = documented("", "## ", "Top level");
  for (const std::string table : {"optimizer", "train", "meta_optimizer", "evaluation"}) {
    in_docs.merge(documented(table, "## ", "[" + table + "]"));
  }
  EXPECT_EQ(in_docs, resolved(config));
}

TEST(ConfigDocs, ListEverySuiteKey) {
  ConfigReader config = ConfigReader::from_text("[[task]]\nname = \"simple\"\n", "suite");
  SuiteConfig suite = read_suite(config);
  Keys expected, expected_of_members;
  for (const std::string& key : resolved(config)) {
    if (key.starts_with('.')) expected.insert(key);
  }
  EXPECT_EQ(documented("", "## ", "Suites"), expected);
  for (const std::string key : {"label", "steps", "runs", "tuning_runs"}) {
    EXPECT_NE(suite.members[0].member.options.resolved_table().find(key), std::string::npos);
    expected_of_members.insert("task." + key);
  }
  EXPECT_EQ(documented("task", "### ", "A member of a suite"), expected_of_members);
}

TEST(ConfigDocs, ListEveryOptimizeeAndItsKeys) {
  const auto backend = make_backend({DeviceKind::kCpu, 1});
  const TemporaryDirectory no_data;
  for (const OptimizeeEntry& entry : optimizee_registry()) {
    SCOPED_TRACE(entry.name);
    // `network` has no default data set; any will do.
    const std::string data = entry.name == "network" ? "\ndata = \"mnist\"" : "";
    ConfigReader task = ConfigReader::from_text("name = \"" + entry.name + "\"" + data, "test");
    // An optimizee reads its keys even if its data is missing.
    error_of([&] { make_optimizee({*backend, 1, no_data.path()}, task); });
    Keys expected;
    for (const std::string& key : resolved(task)) expected.insert("task" + key);
    expected.erase("task.name");
    Keys in_docs = documented("task", "### ", entry.name);
    in_docs.merge(documented("task", "### ", "Every optimizee"));
    EXPECT_EQ(in_docs, expected);
  }
}

TEST(ConfigDocs, ListEveryKeyOfAnEvaluation) {
  const std::string text = document();
  const std::size_t begin = text.find("## Output of `l2o eval --task`");
  ASSERT_NE(begin, std::string::npos);
  const std::string section = text.substr(begin, text.find("\n## ", begin) - begin);
  const auto expect_keys_of = [&](const nlohmann::json& json) {
    for (const auto& [key, value] : json.items()) {
      EXPECT_NE(section.find("`" + key + "`"), std::string::npos) << key;
    }
  };
  EvaluationReport report;
  report.precision = "mixed";
  report.optimizers.resize(1);
  const auto json = nlohmann::json::parse(report_json({report}));
  expect_keys_of(json);
  expect_keys_of(json["optimizers"][0]);
  EXPECT_NE(section.find("{\"members\": ["), std::string::npos) << "several members";
}

}  // namespace
}  // namespace l2o
