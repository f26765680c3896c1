// The formats of a suite's results: table, JSON, CSV and HTML page.
#include "host/engine/suite_report.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "host/engine/suite_html.h"

namespace l2o {
namespace {

Contestant contestant_of(const std::string& name, std::optional<double> rate, double loss) {
  Contestant contestant;
  contestant.name = name;
  contestant.learning_rate = rate;
  contestant.final_losses = {loss, loss};
  contestant.final_loss = contestant.final_loss_iqm = loss;
  contestant.curve = {3.0, 2.0, loss};
  return contestant;
}

SuiteReport sample() {
  Contest contest;
  contest.member = "an <mlp> & \"more\"";
  contest.steps = contest.runs = 2;
  contest.learned = {contestant_of("general", std::nullopt, 0.5)};
  contest.learned[0].ratio = Ratio{0.625, 0.0125};
  contest.learned[0].reference_ratio = Ratio{0.25, 0.0};
  contest.learned[0].steps_to_best = 1;
  contest.baselines = {contestant_of("sgd", 0.1, std::numeric_limits<double>::infinity()),
                       contestant_of("adam", 0.0316, 0.8)};
  contest.baselines[1].schedule = UpdateSchedule::kCosine;
  contest.reference = contestant_of("adam@1e-3", 1e-3, 2.0);
  contest.best = 1;
  SuiteReport report;
  report.name = "sample";
  report.seed = 7;
  report.device = "cpu";
  report.baseline_schedules = {UpdateSchedule::kConstant, UpdateSchedule::kCosine};
  report.models = {"general"};
  report.reference = "adam@1e-3";
  report.contests = {contest};
  return report;
}

TEST(SuiteReport, TableHasEveryContestant) {
  const std::string table = suite_table(sample());
  for (const char* part :
       {"sample", "Seed 7", "an <mlp>", "0.5", "diverged", "0.8", "adam 0.0316 cosine", "0.625",
        "0.013", "0.250", "geometric mean", "1/1"}) {
    EXPECT_NE(table.find(part), std::string::npos) << part << " is not in:\n" << table;
  }
}

TEST(SuiteReport, JsonWritesNonFiniteNumbersAsNull) {
  const auto json = nlohmann::json::parse(suite_json(sample()));
  EXPECT_EQ(json["seed"], 7);
  EXPECT_EQ(json["models"], nlohmann::json({"general"}));
  const auto& contest = json["contests"][0];
  EXPECT_EQ(contest["best_baseline"], "adam");
  EXPECT_EQ(contest["curve_steps"], nlohmann::json({0.0, 1.0, 2.0}));
  const auto& contestants = contest["contestants"];
  ASSERT_EQ(contestants.size(), 4U);
  EXPECT_EQ(contestants[0]["kind"], "learned");
  EXPECT_EQ(contestants[0]["ratio"]["value"], 0.625);
  EXPECT_EQ(contestants[0]["steps_to_best"], 1);
  EXPECT_EQ(contestants[0]["final_loss_iqm"], 0.5);
  EXPECT_EQ(contestants[1]["kind"], "baseline");
  EXPECT_TRUE(contestants[1]["final_loss_mean"].is_null());
  EXPECT_EQ(contestants[2]["schedule"], "cosine");
  EXPECT_EQ(contestants[3]["kind"], "reference");
  EXPECT_EQ(json["summaries"][0]["geometric_mean"], 0.625);
  EXPECT_EQ(json["summaries"][0]["steps"], 2);
}

TEST(SuiteReport, CsvQuotesWhereNecessary) {
  SuiteReport report = sample();
  report.contests[0].member = "a, \"b\"";
  const std::string csv = suite_csv(report);
  EXPECT_NE(
      csv.find("\n\"a, \"\"b\"\"\",2,general,learned,,constant,0.5,0,0.5,0.625,0.0125,0.25,1\n"),
      std::string::npos)
      << csv;
  EXPECT_NE(csv.find(",2,adam,baseline,0.0316,cosine,0.8,0,0.8,,,,\n"), std::string::npos) << csv;
  EXPECT_NE(csv.find(",2,sgd,baseline,0.1,constant,inf,0,inf,,,,\n"), std::string::npos) << csv;
  EXPECT_EQ(std::count(csv.begin(), csv.end(), '\n'), 5);
}

TEST(SuiteHtml, EscapesText) {
  EXPECT_EQ(html_escaped("<a href=\"x\">&'</a>"),
            "&lt;a href=&quot;x&quot;&gt;&amp;&#39;&lt;/a&gt;");
  SuiteReport report = sample();
  report.name = report.models[0] = report.contests[0].learned[0].name =
      report.contests[0].baselines[0].name = "<script>alert(1)</script>";
  const std::string page = suite_html(report);
  EXPECT_EQ(page.find("<script"), std::string::npos);
  EXPECT_EQ(page.find("<mlp>"), std::string::npos);
  EXPECT_NE(page.find("an &lt;mlp&gt; &amp; &quot;more&quot;"), std::string::npos);
}

TEST(SuiteHtml, IsSelfContained) {
  const std::string page = suite_html(sample());
  for (const char* outside : {"http:", "https:", "src=", "@import", "url(", "<link", "<script"}) {
    EXPECT_EQ(page.find(outside), std::string::npos) << outside;
  }
  for (const char* part : {"<!doctype html>", "prefers-color-scheme: dark", "viewport", "<svg",
                           "<polyline", "0.625", "adam 0.0316 cosine", "</html>"}) {
    EXPECT_NE(page.find(part), std::string::npos) << part;
  }
}

/// Checks that every element has as many closing tags as opening tags.
TEST(SuiteHtml, ClosesAllTags) {
  SuiteReport report = sample();
  report.models.push_back("second");
  report.contests[0].learned.push_back(contestant_of("second", std::nullopt, std::nan("")));
  report.contests.push_back(report.contests[0]);
  report.contests[1].steps = 3;
  report.contests[1].best.reset();
  for (Contestant* contestant : {&report.contests[1].learned[0], &report.contests[1].learned[1],
                                 &report.contests[1].baselines[0], &report.contests[1].baselines[1],
                                 &*report.contests[1].reference}) {
    contestant->curve = {0.0, std::nan(""), 1e300, 0.0};
    contestant->ratio.reset();
  }
  const std::string page = suite_html(report);
  const auto count = [&](const std::string& text) {
    int found = 0;
    for (std::size_t at = page.find(text); at != std::string::npos; at = page.find(text, at + 1)) {
      ++found;
    }
    return found;
  };
  for (const std::string tag : {"div", "svg", "figure", "table", "tr", "span", "polyline", "text",
                                "h3", "p", "b", "title"}) {
    EXPECT_EQ(count("<" + tag + ">") + count("<" + tag + " "), count("</" + tag + ">")) << tag;
  }
  EXPECT_EQ(page.find("nan"), std::string::npos);
  EXPECT_EQ(page.find("inf\""), std::string::npos);
}

}  // namespace
}  // namespace l2o
