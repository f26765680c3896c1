// Every compiled kernel within its budget of registers and spills (kernels/cuda/budgets.txt), for
// every architecture that this build is for: a gate that needs no GPU.
#include <cxxabi.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <regex>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace {

/// The report of ptxas on one kernel, for one architecture.
struct Kernel {
  std::string name, architecture;
  int registers = -1, spilled = -1;
};

/// "l2o::cuda::step_kernel<l2o::cuda::Geometry<20, 2>, (l2o::Precision)1>(...)" as budgets.txt has
/// it: without namespaces and parameters, precisions by name.
std::string readable_name(const std::string& symbol) {
  const std::unique_ptr<char, decltype(&std::free)> demangled(
      abi::__cxa_demangle(symbol.c_str(), nullptr, nullptr, nullptr), &std::free);
  std::string name = demangled ? demangled.get() : symbol;
  const std::pair<const char*, const char*> replacements[] = {
      {R"(^void )", ""},
      {R"(\(anonymous namespace\)::)", ""},
      {R"(l2o::(cuda::)?(portable::|generic::)?)", ""},
      {R"(\(Precision\)0)", "f32"},
      {R"(\(Precision\)1)", "mixed"},
      {R"(\(Precision\)2)", "half"},
  };
  for (const auto& [from, to] : replacements) {
    name = std::regex_replace(name, std::regex(from), to);
  }
  return name.substr(0, name.find('('));
}

/// The kernels in the reports on these objects, a file with one path a line; each has a report.
std::vector<Kernel> read_reports(const std::string& objects) {
  const std::regex compiling(R"(Compiling entry function '(\S+)' for '(\S+)')");
  const std::regex spills(R"((\d+) bytes stack frame, (\d+) bytes spill stores)");
  const std::regex used(R"(Used (\d+) registers)");
  std::vector<Kernel> kernels;
  std::ifstream paths(objects);
  for (std::string object; std::getline(paths, object);) {
    std::ifstream report(object + ".ptxas");
    EXPECT_TRUE(report) << object << " has no report";
    std::smatch found;
    for (std::string line; std::getline(report, line);) {
      if (std::regex_search(line, found, compiling)) {
        kernels.push_back({readable_name(found[1]), found[2]});
      } else if (std::regex_search(line, found, spills) && !kernels.empty()) {
        kernels.back().spilled = std::stoi(found[2]);
      } else if (std::regex_search(line, found, used) && !kernels.empty()) {
        kernels.back().registers = std::stoi(found[1]);
      }
    }
  }
  return kernels;
}

struct Budget {
  std::string pattern;
  int registers = 0, spilled = 0;

  bool fits(const std::string& name) const {
    std::string expression;
    for (const char c : pattern) {
      expression += c == '*' ? std::string(".*") : std::string(1, c);
    }
    return std::regex_match(name, std::regex(expression));
  }
};

std::vector<Budget> read_budgets(const std::string& path) {
  std::vector<Budget> budgets;
  std::ifstream file(path);
  const std::regex form(R"((\S.*\S|\*)\s+(\d+)\s+(\d+))");
  for (std::string line; std::getline(file, line);) {
    std::smatch found;
    if (line.empty() || line[0] == '#') continue;
    EXPECT_TRUE(std::regex_match(line, found, form)) << line;
    if (!found.empty()) budgets.push_back({found[1], std::stoi(found[2]), std::stoi(found[3])});
  }
  return budgets;
}

TEST(KernelBudget, IsKept) {
  if (std::string(L2O_NVCC_VERSION).rfind("13.", 0) != 0) {
    GTEST_SKIP() << "budgets are for nvcc 13; this is " << L2O_NVCC_VERSION;
  }
  const std::vector<Budget> budgets = read_budgets(L2O_SOURCE_DIR "/kernels/cuda/budgets.txt");
  const std::vector<Kernel> kernels = read_reports(L2O_CUDA_OBJECTS);
  std::set<std::string> architectures;
  for (const Kernel& kernel : kernels) {
    architectures.insert(kernel.architecture);
    ASSERT_GE(kernel.registers, 0) << kernel.name;
    ASSERT_GE(kernel.spilled, 0) << kernel.name;
    const auto budget = std::find_if(budgets.begin(), budgets.end(),
                                     [&](const Budget& b) { return b.fits(kernel.name); });
    ASSERT_NE(budget, budgets.end()) << kernel.name << " has no budget";
    EXPECT_LE(kernel.registers, budget->registers) << kernel.name << ", " << kernel.architecture;
    EXPECT_LE(kernel.spilled, budget->spilled) << kernel.name << ", " << kernel.architecture;
  }
  // The reports must exist: the default shape's kernels, for each architecture.
  for (const std::string& architecture : architectures) {
    for (const char* name :
         {"lstm_unroll_backward_kernel<LstmGeometry<20, 2, LogAndSignRule>, mixed>",
          "lstm_step_kernel<LstmGeometry<20, 2, LogAndSignRule>, mixed, false>"}) {
      EXPECT_TRUE(std::any_of(kernels.begin(), kernels.end(),
                              [&](const Kernel& kernel) {
                                return kernel.architecture == architecture && kernel.name == name;
                              }))
          << name << ", " << architecture;
    }
  }
  EXPECT_FALSE(architectures.empty());
}

}  // namespace
