#include "host/engine/report.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "host/engine/plot.h"
#include "tests/support/error_of.h"
#include "tests/support/files.h"
#include "tests/support/temporary_directory.h"

namespace l2o {
namespace {

OptimizerResult result_of(const std::string& name, std::optional<double> learning_rate,
                          const std::vector<double>& curve) {
  OptimizerResult result;
  result.name = name;
  result.learning_rate = learning_rate;
  result.curve_mean = curve;
  for (const double mean : curve) result.curve_se.push_back(mean / 10.0);
  result.final_loss_mean = result.curve_mean.back();
  result.final_loss_se = result.curve_se.back();
  return result;
}

EvaluationReport sample_report() {
  EvaluationReport report;
  report.task = "quadratic";
  report.steps = 2;
  report.runs = 100;
  report.seed = 18446744073709551615U;
  report.device = "cpu";
  report.optimizers = {result_of("lstm", std::nullopt, {3.0, 1.0, 0.1}),
                       result_of("sgd", 0.5, {3.0, 2.0, 0.4}),
                       result_of("adam", 0.1, {3.0, 2.5, 0.2})};
  report.optimizers[2].schedule = UpdateSchedule::kCosine;
  return report;
}

EvaluationReport diverged_report() {
  EvaluationReport report = sample_report();
  const double infinity = std::numeric_limits<double>::infinity();
  report.optimizers[1] = result_of("sgd", 0.5, {3.0, 1e30, infinity});
  report.optimizers[1].final_loss_se = std::nan("");
  return report;
}

using test::contents;

std::vector<std::string> keys_of(const nlohmann::ordered_json& json) {
  std::vector<std::string> keys;
  for (const auto& [key, value] : json.items()) keys.push_back(key);
  return keys;
}

TEST(Report, JsonKeysMatchSchema) {
  const auto json = nlohmann::ordered_json::parse(report_json({sample_report()}));
  EXPECT_EQ(keys_of(json), (std::vector<std::string>{"task", "steps", "runs", "tuning_runs", "seed",
                                                     "device", "update_scale", "gradient_scale",
                                                     "weight_decay", "optimizers"}));
  EXPECT_EQ(json["seed"].get<std::uint64_t>(), 18446744073709551615U);
  ASSERT_EQ(json["optimizers"].size(), 3U);
  for (const auto& optimizer : json["optimizers"]) {
    EXPECT_EQ(keys_of(optimizer),
              (std::vector<std::string>{"name", "learning_rate", "schedule", "final_loss_mean",
                                        "final_loss_se", "curve_mean", "curve_se"}));
    EXPECT_EQ(optimizer["curve_mean"].size(), 3U) << "steps + 1";
    EXPECT_EQ(optimizer["curve_se"].size(), 3U);
  }
  EXPECT_TRUE(json["optimizers"][0]["learning_rate"].is_null());
  EXPECT_EQ(json["optimizers"][1]["learning_rate"], 0.5);
  EXPECT_EQ(json["optimizers"][2]["final_loss_mean"], 0.2);
}

TEST(Report, JsonHasThePrecisionIfThereIsAChoice) {
  EvaluationReport report = sample_report();
  EXPECT_FALSE(nlohmann::json::parse(report_json({report})).contains("precision"));
  report.precision = "half";
  EXPECT_EQ(nlohmann::json::parse(report_json({report}))["precision"], "half");
}

TEST(Report, JsonListsSeveralMembers) {
  EvaluationReport first = sample_report(), second = sample_report();
  second.task = "other";
  const auto json = nlohmann::ordered_json::parse(report_json({first, second}));
  EXPECT_EQ(keys_of(json), std::vector<std::string>{"members"});
  ASSERT_EQ(json["members"].size(), 2U);
  EXPECT_EQ(json["members"][0], nlohmann::ordered_json::parse(report_json({first})));
  EXPECT_EQ(json["members"][1]["task"], "other");
}

TEST(Report, ShowsStepScales) {
  EvaluationReport report = sample_report();
  EXPECT_EQ(report_table({report}).find("update scale"), std::string::npos)
      << "shown although all scales have their defaults";
  report.scales = {.gradient = 2.0F, .update = 0.1F, .weight_decay = 0.01F};
  EXPECT_NE(report_table({report}).find("update scale 0.1, gradient scale 2, weight decay 0.01"),
            std::string::npos);
  const auto json = nlohmann::json::parse(report_json({report}));
  EXPECT_EQ(json["update_scale"], 0.1);
  EXPECT_EQ(json["weight_decay"], 0.01);
  EXPECT_EQ(json["optimizers"][2]["schedule"], "cosine");
}

TEST(Report, JsonWritesNonFiniteNumbersAsNull) {
  const auto json = nlohmann::json::parse(report_json({diverged_report()}));
  EXPECT_TRUE(json["optimizers"][1]["final_loss_mean"].is_null());
  EXPECT_TRUE(json["optimizers"][1]["final_loss_se"].is_null());
  EXPECT_EQ(json["optimizers"][1]["curve_mean"][1], 1e30);
  EXPECT_TRUE(json["optimizers"][1]["curve_mean"][2].is_null());
}

TEST(Report, CsvHasARowPerStep) {
  EXPECT_EQ(report_csv({sample_report()}),
            "step,lstm_mean,lstm_se,sgd_mean,sgd_se,adam_mean,adam_se\n"
            "0,3,0.3,3,0.3,3,0.3\n"
            "1,1,0.1,2,0.2,2.5,0.25\n"
            "2,0.1,0.01,0.4,0.04,0.2,0.02\n");
}

TEST(Report, CsvWritesNonFiniteNumbersWithoutASignOfNan) {
  EvaluationReport report = diverged_report();
  report.optimizers[1].curve_se.back() = std::copysign(std::nan(""), -1.0);
  const std::string csv = report_csv({report});
  EXPECT_NE(csv.find("\n2,0.1,0.01,inf,nan,0.2,0.02\n"), std::string::npos) << csv;
}

TEST(Report, CsvQuotesLabelsWhereNecessary) {
  EvaluationReport first = sample_report(), second = sample_report();
  first.task = "a,b";
  second.task = "the \"second\"";
  const std::string csv = report_csv({first, second});
  EXPECT_NE(csv.find("\n\"a,b\",0,3,0.3,"), std::string::npos) << csv;
  EXPECT_NE(csv.find("\n\"the \"\"second\"\"\",0,3,0.3,"), std::string::npos) << csv;
}

/// The words of the table row for the optimizer `name`.
std::vector<std::string> row_of(const std::string& table, const std::string& name) {
  std::istringstream lines(table);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::vector<std::string> row{std::istream_iterator<std::string>(words), {}};
    if (!row.empty() && row[0] == name) return row;
  }
  return {};
}

TEST(Report, TableComparesWithTheBestBaseline) {
  const std::string table = report_table({sample_report()});
  EXPECT_EQ(row_of(table, "lstm"),
            (std::vector<std::string>{"lstm", "-", "constant", "0.1", "0.01", "0.500"}));
  EXPECT_EQ(row_of(table, "sgd"),
            (std::vector<std::string>{"sgd", "0.5", "constant", "0.4", "0.04", "2.000"}));
  EXPECT_EQ(row_of(table, "adam"),
            (std::vector<std::string>{"adam", "0.1", "cosine", "0.2", "0.02", "1.000"}));
}

TEST(Report, TableAlignsLongNames) {
  EvaluationReport report = sample_report();
  report.optimizers[1].name = "rmsprop@1e-3";
  const std::string table = report_table({report});
  const std::string header =
      "optimizer     learning rate  schedule  final loss    +-  to best baseline\n";
  const std::string row =
      "rmsprop@1e-3            0.5  constant         0.4  0.04             2.000\n";
  EXPECT_NE(table.find(header), std::string::npos) << table;
  EXPECT_NE(table.find(row), std::string::npos) << table;
}

TEST(Report, TableMarksDivergedRules) {
  const std::string table = report_table({diverged_report()});
  EXPECT_EQ(row_of(table, "sgd"),
            (std::vector<std::string>{"sgd", "0.5", "constant", "diverged", "-", "-"}));
  EXPECT_EQ(row_of(table, "lstm").back(), "0.500");
  EXPECT_NE(table.find("non-finite"), std::string::npos);
}

TEST(Plot, AcceptsOnlySvgAndPng) {
  for (const char* name : {"a.pdf", "svg", "a.svg.txt", ""}) {
    EXPECT_EQ(error_of([&] { require_image_name(name); }).status, Status::kUsage) << name;
  }
  EXPECT_NO_THROW(require_image_name("a.svg"));
  EXPECT_NO_THROW(require_image_name("dir.x/a.png"));
}

TEST(Plot, ScriptContainsEveryCurve) {
  const std::string script = plot_script(sample_report(), "a.svg");
  EXPECT_NE(script.find("set logscale y"), std::string::npos);
  for (const char* name : {"'lstm'", "'sgd'", "'adam'"}) {
    EXPECT_NE(script.find(name), std::string::npos) << name;
  }
}

TEST(Plot, TextCannotBreakOutOfItsQuotes) {
  EvaluationReport report = sample_report();
  report.task = "it's\n!touch pwned\n";
  report.optimizers[0].name = "a\r\n!touch pwned\x7f";
  const std::string script = plot_script(report, "a.svg");
  EXPECT_NE(script.find("set title 'it''s !touch pwned ' noenhanced\n"), std::string::npos)
      << script;
  EXPECT_NE(script.find("title 'a  !touch pwned ' noenhanced"), std::string::npos) << script;
}

TEST(Plot, UsesLinearAxisForZeroLoss) {
  EvaluationReport report = sample_report();
  report.optimizers[1] = result_of("sgd", 0.5, {3.0, 1.0, 0.0});
  EXPECT_EQ(plot_script(report, "a.svg").find("logscale"), std::string::npos);
}

TEST(Plot, DrawsSvgAndPng) {
  const TemporaryDirectory directory;
  if (!plot_report(sample_report(), directory.file("first.svg"))) {
    GTEST_SKIP() << "gnuplot is not installed";
  }
  EXPECT_NE(contents(directory.file("first.svg")).find("<svg"), std::string::npos);
  for (const EvaluationReport& report : {sample_report(), diverged_report()}) {
    EXPECT_TRUE(plot_report(report, directory.file("it's a.png")));
    EXPECT_EQ(contents(directory.file("it's a.png")).substr(0, 4), "\x89PNG");
  }
}

TEST(Plot, UnwritableFileIsAnError) {
  const TemporaryDirectory directory;
  if (!plot_report(sample_report(), directory.file("first.svg"))) {
    GTEST_SKIP() << "gnuplot is not installed";
  }
  EXPECT_EQ(error_of([&] { plot_report(sample_report(), directory.file("none/a.svg")); }).status,
            Status::kInputOutput);
}

TEST(Plot, FailureKeepsEarlierPlot) {
  const TemporaryDirectory directory;
  const std::string plot = directory.write("a.svg", std::string("earlier"));
  // A fake gnuplot that fails halfway, after it has read everything.
  directory.write("gnuplot", std::string("#!/bin/sh\ncat >/dev/null\necho '<svg'\nexit 1\n"));
  std::filesystem::permissions(directory.file("gnuplot"), std::filesystem::perms::owner_all);
  const char* const path_variable = std::getenv("PATH");
  ASSERT_NE(path_variable, nullptr);
  const std::string old_path = path_variable;
  setenv("PATH", (directory.path() + ":" + old_path).c_str(), 1);
  expect_error(Status::kInputOutput, {plot}, [&] { plot_report(sample_report(), plot); });
  setenv("PATH", old_path.c_str(), 1);
  EXPECT_EQ(contents(plot), "earlier");
}

TEST(Plot, ReportsMissingGnuplot) {
  const TemporaryDirectory empty;
  const char* const path_variable = std::getenv("PATH");
  ASSERT_NE(path_variable, nullptr);
  const std::string old_path = path_variable;
  setenv("PATH", empty.path().c_str(), 1);
  const bool drawn = plot_report(sample_report(), empty.file("a.svg"));
  setenv("PATH", old_path.c_str(), 1);
  EXPECT_FALSE(drawn);
  EXPECT_FALSE(std::filesystem::exists(empty.file("a.svg")));
}

}  // namespace
}  // namespace l2o
