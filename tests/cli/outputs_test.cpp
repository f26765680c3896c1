// Results: each is written completely even if others fail, and overwrites nothing that is read.
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/cli/program.h"
#include "tests/support/files.h"

namespace l2o {
namespace {

class Outputs : public testing::Test {
 protected:
  std::vector<std::string> eval(const std::vector<std::string>& more) const {
    std::vector<std::string> words = {"eval", model_,   "--task", config_,       "--steps",
                                      "3",    "--runs", "2",      "--baselines", "sgd@1e-3"};
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }
  std::vector<std::string> suite(const std::vector<std::string>& more) const {
    std::vector<std::string> words = {"eval", model_, "--suite", suite_};
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }
  /// Runs in a shell that limits the size of files, like a full disk.
  static ProcessResult on_a_full_disk(const std::vector<std::string>& arguments) {
    std::vector<std::string> words = {"/bin/sh", "-c",
                                      "trap '' XFSZ; ulimit -f 0; exec \"$0\" \"$@\"", L2O_PROGRAM};
    words.insert(words.end(), arguments.begin(), arguments.end());
    return run_process(words);
  }
  /// Rejected before any work, with all inputs unchanged.
  void expect_refused(const std::vector<std::string>& arguments, const std::string& part) const {
    const std::string model = test::contents(model_), config = test::contents(config_);
    const std::string suite = test::contents(suite_);
    expect_failure(l2o_with(arguments), 2, part);
    EXPECT_EQ(test::contents(model_), model);
    EXPECT_EQ(test::contents(config_), config);
    EXPECT_EQ(test::contents(suite_), suite);
  }

  const TemporaryDirectory directory_;
  const std::string model_ = write_model(directory_);
  const std::string config_ = directory_.write("small.toml", kSmallConfig);
  const std::string suite_ = directory_.write(
      "suite.toml",
      std::string("steps = [3]\nruns = 2\ntuning_runs = 1\nbaselines = [\"sgd@1e-3\"]\n"
                  "baseline_schedules = [\"constant\"]\nreference = \"\"\n"
                  "[[task]]\nname = \"quadratic\"\nfunctions = 2\ndimension = 3\n"));
  const std::string json_ = directory_.file("r.json"), csv_ = directory_.file("r.csv");
};

TEST_F(Outputs, FilesAreWrittenEvenIfStdoutFails) {
  const ProcessResult result =
      l2o_with(eval({"--json", json_, "--csv", csv_}), {.stdout_file = "/dev/full"});
  EXPECT_EQ(result.exit_code, 74);
  EXPECT_NE(result.err.find("l2o: cannot write to standard output"), std::string::npos)
      << result.err;
  EXPECT_EQ(nlohmann::json::parse(test::contents(json_))["steps"], 3);
  EXPECT_EQ(test::contents(csv_).find("step,lstm_mean"), 0U);
}

TEST_F(Outputs, EveryFailureIsReportedAndTheRestIsWritten) {
  const ProcessResult result =
      l2o_with(eval({"--json", "/dev/full", "--csv", csv_}), {.stdout_file = "/dev/full"});
  EXPECT_EQ(result.exit_code, 74);
  EXPECT_NE(result.err.find("l2o: cannot write to standard output"), std::string::npos)
      << result.err;
  EXPECT_NE(result.err.find("l2o: cannot write /dev/full"), std::string::npos) << result.err;
  EXPECT_EQ(test::contents(csv_).find("step,lstm_mean"), 0U);
}

TEST_F(Outputs, AFullDiskLeavesTheOldReports) {
  directory_.write("r.json", std::string("old"));
  directory_.write("r.csv", std::string("old"));
  const ProcessResult result = on_a_full_disk(eval({"--json", json_, "--csv", csv_}));
  EXPECT_EQ(result.exit_code, 74);
  EXPECT_NE(result.out.find("lstm"), std::string::npos) << "the table is still printed";
  for (const std::string& path : {json_, csv_}) {
    EXPECT_NE(result.err.find("l2o: cannot write " + path), std::string::npos) << result.err;
    EXPECT_EQ(test::contents(path), "old");
  }
}

TEST_F(Outputs, AFullDiskLeavesTheOldReportOfASuite) {
  const std::string report = directory_.file("report");
  ASSERT_EQ(l2o_with(suite({"--report", report})).exit_code, 0);
  const std::string old = test::contents(report + "/report.json");
  const ProcessResult result = on_a_full_disk(suite({"--report", report}));
  EXPECT_EQ(result.exit_code, 74);
  EXPECT_NE(result.out, "");
  for (const char* name : {"report.json", "report.csv", "report.html"}) {
    EXPECT_NE(result.err.find(name), std::string::npos) << result.err;
  }
  EXPECT_EQ(test::contents(report + "/report.json"), old);
}

TEST_F(Outputs, ReportsOfASuiteAreWrittenEvenIfStdoutFails) {
  const std::string report = directory_.file("report");
  const ProcessResult result =
      l2o_with(suite({"--report", report, "--json", json_}), {.stdout_file = "/dev/full"});
  EXPECT_EQ(result.exit_code, 74);
  EXPECT_TRUE(nlohmann::json::accept(test::contents(json_)));
  EXPECT_EQ(test::contents(report + "/report.json"), test::contents(json_));
  EXPECT_NE(test::contents(report + "/report.html"), "");
}

TEST_F(Outputs, AFullDiskLeavesTheOldPicture) {
  const std::string picture = directory_.write("p.svg", std::string("old"));
  const ProcessResult result = on_a_full_disk(eval({"--plot", picture}));
  EXPECT_EQ(result.exit_code, 74) << result.err;
  EXPECT_EQ(test::contents(picture), "old");
}

TEST_F(Outputs, NoInputIsOverwritten) {
  expect_refused(eval({"--json", model_}), "--json " + model_ + " would overwrite the model");
  expect_refused(eval({"--csv", config_}), "would overwrite --task");
  const std::string link = directory_.file("link");
  std::filesystem::create_symlink(config_, link);
  expect_refused(eval({"--json", link}), "would overwrite --task");
  const std::string hard = directory_.file("hard");
  std::filesystem::create_hard_link(model_, hard);
  expect_refused(eval({"--json", hard}), "would overwrite the model");
  expect_refused(eval({"--json", directory_.file("./small.toml")}), "--task");

  expect_refused(suite({"--json", suite_}), "--suite");
  expect_refused(suite({"--json", model_}), "the model");
  const std::string copy = directory_.file("report.json");
  std::filesystem::copy_file(model_, copy);
  expect_failure(l2o_with({"eval", copy, "--suite", suite_, "--report", directory_.path()}), 2,
                 "the model");
  EXPECT_EQ(test::contents(copy), test::contents(model_));

  expect_refused({"rescale", model_, "--by", "2", "--out", directory_.file("./model.safetensors")},
                 "--out");
  expect_refused({"import", model_, "--out", model_}, "--out");
}

TEST_F(Outputs, NoOtherOutputIsOverwritten) {
  expect_refused(eval({"--json", json_, "--csv", json_}), "are the same file");
  expect_refused(eval({"--json", json_, "--csv", directory_.file("./r.json")}),
                 "are the same file");
  expect_refused(eval({"--json", "/dev/stdout", "--csv", "-"}),
                 "only one of them can go to stdout");
  expect_refused(eval({"--csv", directory_.file("p.svg"), "--plot", directory_.file("p.svg")}),
                 "are the same file");
  const std::string report = directory_.file("report");
  expect_refused(suite({"--report", report, "--json", report + "/report.json"}),
                 "are the same file");
  EXPECT_FALSE(std::filesystem::exists(json_));
  // Relative paths too, in any current directory.
  expect_refused(eval({"--json", "no-such.json", "--csv", "./no-such.json"}), "are the same file");
}

TEST_F(Outputs, ADanglingLinkIsTheFileThatItLeadsTo) {
  std::filesystem::create_symlink("r.json", directory_.file("link"));
  std::filesystem::create_symlink("link", directory_.file("link-to-link"));
  for (const char* name : {"link", "link-to-link"}) {
    expect_refused(eval({"--json", json_, "--csv", directory_.file(name)}), "are the same file");
  }
  EXPECT_FALSE(std::filesystem::exists(json_));
}

TEST_F(Outputs, TheNumbersOfAPlotHaveTheirOwnFile) {
  const std::string plot = directory_.file("r.svg"), numbers = plot + ".csv";
  expect_refused(eval({"--json", numbers, "--plot", plot}), "are the same file");
  directory_.write("r.csv", std::string("mine"));
  std::vector<std::string> words = eval({"--json", json_, "--plot", plot});
  words.insert(words.begin(), L2O_PROGRAM);
  const ProcessResult result =
      run_process(words, {.environment = {{"PATH", directory_.path()}}});  // without gnuplot
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_TRUE(nlohmann::json::accept(test::contents(json_)));
  EXPECT_EQ(test::contents(csv_), "mine");
  EXPECT_EQ(test::contents(numbers).find("step,lstm_mean"), 0U);
}

TEST_F(Outputs, DataIsNotOverwritten) {
  test::SafetensorsBuilder file;
  file.add("inputs", {3, 2}, std::vector<float>{1, 2, 3, 4, 5, 6});
  file.add("targets", {3}, std::vector<float>{1, 2, 3});
  const std::string data = directory_.write("d.safetensors", file.bytes());
  const std::string before = test::contents(data);
  const std::string network =
      "[[task]]\nname = \"network\"\nlayers = [\"dense 2\", \"relu\"]\nloss = \"mse\"\n"
      "batch_size = 2\nrandom_scaling = 1.0\ndata = \"" +
      data + "\"\n";
  const std::string member = "[[task]]\nname = \"quadratic\"\nfunctions = 2\ndimension = 3\n";
  directory_.write("small.toml", member + network);
  directory_.write("suite.toml", test::contents(suite_) + network);
  std::filesystem::create_symlink(data, directory_.file("link"));
  for (const std::string& path : {data, directory_.file("link")}) {
    expect_refused(eval({"--json", path}), "would overwrite the data, " + data);
    expect_refused(eval({"--csv", path}), "would overwrite the data, " + data);
    expect_refused(suite({"--json", path}), "would overwrite the data, " + data);
  }
  EXPECT_EQ(test::contents(data), before);
}

TEST_F(Outputs, NamesThatAreTooLongAreDetectedFirst) {
  expect_failure(l2o_with(eval({"--json", directory_.file(std::string(300, 'x'))})), 74,
                 "File name too long");
}

TEST_F(Outputs, StdoutInAFileIsAnOutput) {
  directory_.write("r.json", std::string());
  const ProcessResult result = l2o_with(eval({"--json", json_}), {.stdout_file = json_});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_NE(result.err.find("are the same file"), std::string::npos) << result.err;
}

TEST_F(Outputs, DevicesAcceptAnyNumberOfResults) {
  const ProcessResult result = l2o_with(eval({"--json", "/dev/null", "--csv", "/dev/null"}));
  EXPECT_EQ(result.exit_code, 0) << result.err;
}

TEST_F(Outputs, StdoutByAnotherNameCarriesOneResult) {
  const ProcessResult result = l2o_with(eval({"--json", "/dev/stdout"}));
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_TRUE(nlohmann::json::accept(result.out)) << result.out;
}

/// Names of files may have any bytes, JSON may not.
TEST_F(Outputs, NamesOfFilesNeedNotBeUtf8) {
  const std::string model = directory_.file("caf\xe9.safetensors");
  std::filesystem::copy_file(model_, model);
  const std::string odd_suite = directory_.file("caf\xe9.toml");
  std::filesystem::copy_file(suite_, odd_suite);
  const std::string report = directory_.file("report");
  const ProcessResult result =
      l2o_with({"eval", model, "--suite", odd_suite, "--report", report, "--json", "-"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(nlohmann::json::parse(result.out)["models"][0], "caf\xEF\xBF\xBD");
  EXPECT_EQ(test::contents(report + "/report.json"), result.out);

  const std::string run = directory_.file("caf\xe9-run");
  ASSERT_EQ(l2o_with({"train", config_, "--out", run}).exit_code, 0);
  EXPECT_TRUE(nlohmann::json::accept(l2o_with({"report", run, "--json"}).out));
  // It would be a part of the configuration, which is kept in the model.
  const std::string from = directory_.file("from");
  expect_failure(l2o_with({"train", config_, "--out", from, "--from", model}), 2, "train.from = ");
  EXPECT_FALSE(std::filesystem::exists(from));
}

TEST_F(Outputs, ARunDoesNotReplaceTheModelThatItStartsFrom) {
  const std::string run = directory_.file("run");
  ASSERT_EQ(l2o_with({"train", config_, "--out", run}).exit_code, 0);
  const std::string best = run + "/best.safetensors", before = test::contents(best);
  expect_failure(l2o_with({"train", config_, "--out", run, "--from", best, "--overwrite"}), 2,
                 "would overwrite train.from");
  EXPECT_EQ(test::contents(best), before);
}

TEST_F(Outputs, ARunDoesNotReplaceItsConfiguration) {
  const std::string own = directory_.file("own");
  std::filesystem::create_directory(own);
  const std::string config = own + "/config.toml";
  std::filesystem::copy_file(config_, config);
  for (const std::string& out : {own, own + "/."}) {
    expect_failure(l2o_with({"train", config, "--out", out, "--overwrite"}), 2,
                   "would overwrite the configuration");
  }
  EXPECT_EQ(test::contents(config), kSmallConfig);

  const std::string run = directory_.file("run"), resolved = run + "/config.toml";
  ASSERT_EQ(l2o_with({"train", config_, "--out", run}).exit_code, 0);
  EXPECT_EQ(l2o_with({"train", resolved, "--out", run, "--resume"}).exit_code, 0);
  EXPECT_EQ(l2o_with({"train", resolved, "--out", run, "--extend", "7"}).exit_code, 0);
}

TEST_F(Outputs, EmptyPathsAreRefused) {
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{"train", config_, "--out", ""},
        {"train", config_, "--out", directory_.file("run"), "--from", ""},
        {"rescale", model_, "--by", "2", "--out", ""},
        {"import", model_, "--out", ""},
        eval({"--json", ""}),
        eval({"--csv", ""}),
        eval({"--plot", ""}),
        suite({"--report", ""}),
        suite({"--cache", ""})}) {
    expect_failure(l2o_with(arguments), 2, "it is empty; expected a path");
  }
}

}  // namespace
}  // namespace l2o
