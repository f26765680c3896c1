#include "host/core/config.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <limits>
#include <string>
#include <vector>

#include "tests/support/error_of.h"
#include "tests/support/temporary_directory.h"

namespace l2o {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr std::int64_t kMaxInteger = std::numeric_limits<std::int64_t>::max();

ConfigReader config_of(const std::string& text) {
  return ConfigReader::from_text(text, "test.toml");
}

/// Reads a synthetic configuration with a key of every kind.
struct Sample {
  std::int64_t seed;
  double rate;
  std::string name;
  std::string schedule;
  std::vector<std::int64_t> layers;
  std::vector<double> weights;
  double deep;

  explicit Sample(ConfigReader config) {
    seed = config.integer("seed", 1, 0, kMaxInteger);
    ConfigReader train = config.table("train");
    rate = train.number("rate", 1e-3, 0.0, 10.0);
    name = train.text("name", "default");
    schedule = train.choice("schedule", "cosine", {"constant", "cosine"});
    layers = train.integers("layers", {20}, 1, 64);
    weights = train.numbers("weights", {}, 0.0, kInfinity);
    deep = train.table("inner").number("deep", 0.5, -1.0, 1.0);
    config.finish();
  }
  bool operator==(const Sample&) const = default;
};

ThrownError error_for(const std::string& text) {
  return error_of([&] { Sample(config_of(text)); });
}

TEST(Config, ReadsEveryKind) {
  const Sample sample(
      config_of("seed = 7\n[train]\nrate = 0.25\nname = \"a\"\nschedule = \"constant\"\n"
                "layers = [3, 4]\nweights = [0, 1.5]\n[train.inner]\ndeep = -1\n"));
  EXPECT_EQ(sample.seed, 7);
  EXPECT_EQ(sample.rate, 0.25);
  EXPECT_EQ(sample.name, "a");
  EXPECT_EQ(sample.schedule, "constant");
  EXPECT_EQ(sample.layers, (std::vector<std::int64_t>{3, 4}));
  EXPECT_EQ(sample.weights, (std::vector<double>{0.0, 1.5})) << "integers are accepted as numbers";
  EXPECT_EQ(sample.deep, -1.0);
}

TEST(Config, FallsBackToDefaults) {
  const Sample sample(config_of(""));
  EXPECT_EQ(sample.seed, 1);
  EXPECT_EQ(sample.rate, 1e-3);
  EXPECT_EQ(sample.schedule, "cosine");
  EXPECT_EQ(sample.layers, (std::vector<std::int64_t>{20}));
}

TEST(Config, NamesTheNearestKnownKey) {
  const ThrownError error = error_for("seed = 1\n[train]\nlayres = [1]\n");
  EXPECT_EQ(error.status, Status::kUsage);
  EXPECT_EQ(error.message,
            "test.toml:3:10: unknown key train.layres; the nearest known key is train.layers");
}

TEST(Config, FindsAKeyInTheWrongTable) {
  EXPECT_TRUE(error_for("rate = 0.1\n").says("the nearest known key is train.rate"));
  EXPECT_TRUE(error_for("[train]\nseed = 2\n").says("the nearest known key is seed"));
}

TEST(Config, RejectsUnknownTables) {
  const ThrownError error = error_for("[trian]\nrate = 0.1\n");
  EXPECT_EQ(error.status, Status::kUsage);
  EXPECT_TRUE(error.says("unknown key trian; the nearest known key is train")) << error.message;
  EXPECT_TRUE(error_for("[train.inner.most]\nx = 1\n").says("unknown key train.inner.most"));
}

TEST(Config, RejectsDuplicates) {
  const ThrownError error = error_for("seed = 1\nseed = 2\n");
  EXPECT_EQ(error.status, Status::kUsage);
  EXPECT_TRUE(error.says("test.toml:2:")) << error.message;
  EXPECT_TRUE(error.says("seed")) << error.message;
}

TEST(Config, ReportsFoundAndExpectedValues) {
  struct Case {
    const char* text;
    const char* message;
  };
  for (const Case& wrong : {
           Case{"seed = 1.0", "test.toml:1:8: seed = 1.0: expected an integer of at least 0"},
           Case{"seed = -1", "seed = -1: expected an integer of at least 0"},
           Case{"seed = true", "seed = true: expected an integer of at least 0"},
           Case{"train.rate = 11", "train.rate = 11: expected a number from 0 to 10"},
           Case{"train.rate = nan", "train.rate = nan: expected a number from 0 to 10"},
           Case{"train.rate = \"a\"", "train.rate = \"a\": expected a number from 0 to 10"},
           Case{"train.name = 3", "train.name = 3: expected a quoted string"},
           Case{"train.schedule = \"none\"",
                "train.schedule = \"none\": expected one of \"constant\", \"cosine\""},
           Case{"train.layers = 3", "train.layers = 3: expected a list of integers from 1 to 64"},
           Case{"train.layers = [3, 0]", "[3, 0]: expected a list of integers from 1 to 64"},
           Case{"train.layers = [3.0]", "[3.0]: expected a list of integers from 1 to 64"},
           Case{"train.weights = [\"x\"]", "[\"x\"]: expected a list of numbers of at least 0"},
           Case{"train.weights = [nan]", "[nan]: expected a list of numbers of at least 0"},
           Case{"train = 3", "train = 3: expected a table [train]"},
           Case{"train.inner = []", "train.inner = []: expected a table [train.inner]"},
       }) {
    const ThrownError error = error_for(wrong.text);
    EXPECT_EQ(error.status, Status::kUsage) << wrong.text;
    EXPECT_TRUE(error.says(wrong.message)) << error.message;
  }
}

TEST(Config, TruncatesLongValuesInMessages) {
  const ThrownError error =
      error_for("train.name = [" + std::string(5000, ' ') + "\"" + std::string(5000, 'a') + "\"]");
  EXPECT_LT(error.message.size(), 200U) << error.message;
}

TEST(Config, ResolvedReadsBackToTheSame) {
  ConfigReader config = config_of(
      "[train]\nrate = 0.1\nweights = [1e-300, 0.3333333333333333, 1e22, 123456789.123456789]\n"
      "name = \"quote \\\" backslash \\\\ newline \\n \\u0001 \\u007F é\"\n");
  const Sample first(config);
  const std::string resolved = config.resolved();
  ConfigReader again = config_of(resolved);
  EXPECT_EQ(Sample(again), first) << resolved;
  EXPECT_EQ(again.resolved(), resolved);
  EXPECT_NE(resolved.find("rate = 0.1\n"), std::string::npos) << "the shortest exact text";
  EXPECT_NE(resolved.find("seed = 1\n"), std::string::npos) << "defaults are written out";
}

TEST(Config, ResolvedKeepsTheKindOfNumbers) {
  ConfigReader config = config_of("");
  config.number("whole", 3.0, 0.0, kInfinity);
  config.number("unbounded", kInfinity, 0.0, kInfinity);
  EXPECT_EQ(config.resolved(), "unbounded = inf\nwhole = 3.0\n");
}

TEST(Config, SetOverridesAndAdds) {
  ConfigReader config = config_of("seed = 1\n[train]\nrate = 0.1\n");
  for (const char* assignment : {"seed=5", "train.rate = 2", "train.layers=[1, 2]",
                                 "train.name=bare-word/with.dots", "train.inner.deep=0.25"}) {
    config.set(assignment);
  }
  const Sample sample(config);
  EXPECT_EQ(sample.seed, 5);
  EXPECT_EQ(sample.rate, 2.0);
  EXPECT_EQ(sample.layers, (std::vector<std::int64_t>{1, 2}));
  EXPECT_EQ(sample.name, "bare-word/with.dots");
  EXPECT_EQ(sample.deep, 0.25);
}

TEST(Config, SetIsAsStrictAsTheText) {
  ConfigReader unknown = config_of("");
  unknown.set("train.rat=1");
  const ThrownError unknown_error = error_of([&] { Sample{unknown}; });
  EXPECT_EQ(unknown_error.message,
            "--set: unknown key train.rat; the nearest known key is train.rate");

  ConfigReader wrong = config_of("");
  wrong.set("seed=0.5x");
  EXPECT_EQ(error_of([&] { Sample{wrong}; }).message,
            "--set: seed = \"0.5x\": expected an integer of at least 0");
}

TEST(Config, SetRejectsMalformedAssignments) {
  for (const char* assignment :
       {"", "seed", "=1", ".=1", "a..b=1", "a b=1", "seed=", "seed=[1", "seed=1\nrate=2",
        "train.rate.x=1", "seed=\"open", "a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q.r=1"}) {
    ConfigReader config = config_of("[train]\nrate = 1\n");
    const ThrownError error = error_of([&] { config.set(assignment); });
    EXPECT_EQ(error.status, Status::kUsage) << assignment;
    EXPECT_TRUE(error.says("expected key=value")) << error.message;
  }
}

TEST(Config, TellsPresenceAndTypeOfAKey) {
  const ConfigReader config = config_of("weights = \"final\"\nlist = [1]\n");
  EXPECT_TRUE(config.has("weights"));
  EXPECT_TRUE(config.is_text("weights"));
  EXPECT_TRUE(config.has("list"));
  EXPECT_FALSE(config.is_text("list"));
  EXPECT_FALSE(config.has("other"));
  EXPECT_TRUE(error_of([&] { config.finish(); }).says("unknown key")) << "asking is not reading";
}

TEST(Config, ATableCanBeFinishedAlone) {
  ConfigReader config = config_of("unread = 1\n[task]\nname = \"x\"\n");
  ConfigReader task = config.table("task");
  task.text("name", "");
  EXPECT_NO_THROW(task.finish());
  EXPECT_EQ(error_of([&] { config.finish(); }).status, Status::kUsage);
}

TEST(Config, HostileTextIsAnError) {
  const std::string many = [] {
    std::string dotted = "a";
    for (int i = 0; i < 100'000; ++i) dotted += ".a";
    return dotted;
  }();
  for (const std::string& text :
       {std::string(10'000'000, 'x'), std::string(100, '\0'), std::string("seed = 1\0", 9),
        "x = " + std::string(100'000, '['), std::string(100'000, '['),
        "x = " + std::string(100'000, '{'), many + " = 1", "[" + many + "]",
        std::string("\xFF\xFE = 1"), std::string("seed"), std::string("seed ="),
        std::string("seed = 99999999999999999999")}) {
    EXPECT_EQ(error_for(text).status, Status::kUsage) << text.substr(0, 20);
  }
}

TEST(Config, DecimalPointsAreNotLimited) {
  std::string list = "0.5";
  for (int i = 0; i < 20'000; ++i) list += ", 1.25e-3";
  EXPECT_EQ(Sample(config_of("train.weights = [" + list + "]")).weights.size(), 20'001U);
  ConfigReader config = config_of("");
  config.set("train.weights=[" + list + "]");
  EXPECT_EQ(Sample(config).weights.size(), 20'001U);
}

TEST(Config, KeysThatLookLikeNumbersNestNoDeeper) {
  for (const char* part : {".1", " . 1.1", ".a1.1a", ".\"1.1\".1"}) {
    std::string dotted = "1";
    for (int i = 0; i < 100'000; ++i) dotted += part;
    EXPECT_TRUE(error_for(dotted + " = 1").says("dots")) << part;
  }
}

TEST(Config, ATableResolvesByItself) {
  ConfigReader config =
      ConfigReader::from_text("a = 1\n[[t]]\nx = 1\n[[t]]\nx = 2\nignored = 3\n", "test");
  config.integer("a", 0, 0, 9);
  std::vector<ConfigReader> tables = config.tables("t");
  EXPECT_EQ(tables[1].resolved_table(), "") << "nothing was read yet";
  for (ConfigReader& table : tables) {
    table.integer("x", 0, 0, 9);
    table.flag("y", true);
  }
  EXPECT_EQ(tables[1].resolved_table(), "x = 2\ny = true\n");
}

TEST(Config, DeepestAllowedNestingIsRead) {
  std::string dotted = "a";
  for (int i = 0; i < 4000; ++i) dotted += ".a";
  EXPECT_TRUE(error_for(dotted + " = 1").says("unknown key a"));
}

TEST(Config, FilesAreNamedInErrors) {
  const TemporaryDirectory directory;
  const std::string path = directory.write("c.toml", std::string("sed = 1\n"));
  const ThrownError error = error_of([&] { Sample(ConfigReader::from_file(path)); });
  EXPECT_TRUE(error.says(path + ":1:7: unknown key sed; the nearest known key is seed"));

  const std::string missing = directory.file("missing.toml");
  const ThrownError absent = error_of([&] { ConfigReader::from_file(missing); });
  EXPECT_EQ(absent.status, Status::kInputOutput);
  EXPECT_TRUE(absent.says(missing));
  EXPECT_EQ(error_of([&] { ConfigReader::from_file(directory.path()); }).status,
            Status::kInputOutput);
}

TEST(Config, StringsHaveNoZeroBytes) {
  for (const char* value : {R"("a\u0000b")", R"(["a\u0000b"])", R"([["a\u0000b"]])"}) {
    const auto read = [&](const auto& with) {
      ConfigReader config = config_of(std::string("key = ") + value + "\n");
      const ThrownError error = error_of([&] { with(config); });
      EXPECT_EQ(error.status, Status::kUsage);
      EXPECT_TRUE(error.says("test.toml:1:7: key = ")) << error.message;
    };
    read([](ConfigReader& config) { config.text("key", ""); });
    read([](ConfigReader& config) { config.path("key", ""); });
    read([](ConfigReader& config) { config.texts("key", {}); });
    read([](ConfigReader& config) { config.items("key", {}); });
    read([](ConfigReader& config) { config.choice("key", "a", {"a"}); });
  }
  ConfigReader tables = config_of("[\"a\\u0000b\"]\nx = 1\n");
  EXPECT_TRUE(error_of([&] { tables.table_names(); }).says("zero byte"));
}

TEST(Config, PathsMayBeginAtHome) {
  ASSERT_EQ(setenv("HOME", "/home/somebody", 1), 0);
  ConfigReader config = config_of("a = \"~/m\"\nb = \"~other/m\"\nc = \"x/~/m\"\nd = \"~\"\n");
  EXPECT_EQ(config.path("a", ""), "/home/somebody/m");
  EXPECT_EQ(config.path("b", ""), "~other/m");
  EXPECT_EQ(config.path("c", ""), "x/~/m");
  EXPECT_EQ(config.path("d", ""), "~");
  EXPECT_NE(config.resolved().find("~/m"), std::string::npos) << "it is kept as given";
}

TEST(Config, FindsAMissingTableUnderASimilarName) {
  const auto message = [](const std::string& text) {
    const ThrownError error =
        error_of([&] { config_of(text).require_table("task", "[task] table"); });
    EXPECT_EQ(error.status, text.starts_with("[task]") ? Status::kOk : Status::kUsage);
    return error.message;
  };
  EXPECT_EQ(message("[task]\n"), "");
  EXPECT_EQ(message("seed = 1\n[Task]\n"), "test.toml:2:1: unknown table [Task]; expected [task]");
  EXPECT_EQ(message("[TASK]\n"), "test.toml:1:1: unknown table [TASK]; expected [task]");
  EXPECT_EQ(message("[tasks]\n"), "test.toml:1:1: unknown table [tasks]; expected [task]");
  EXPECT_EQ(message("[[Task]]\n"), "test.toml:1:1: unknown table [Task]; expected [task]");
  EXPECT_EQ(message("[train]\n"), "test.toml: no [task] table");
  EXPECT_EQ(message("Task = 1\n"), "test.toml: no [task] table");
}

}  // namespace
}  // namespace l2o
