// The cells in float64: the hand-designed rules against independently written formulas, the LSTM
// against the reference, every backward() against central differences.

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "kernels/cells/cell_list.h"
#include "tests/support/to_reference.h"

namespace l2o {
namespace {

CellConfig default_cell(int kind) {
  CellConfig cell;
  cell.kind = kind;
  visit_cell(kind, [&](auto c) {
    int k = 0;
    for (const HyperParameter& hyper : decltype(c)::kHyper) cell.hyper[k++] = hyper.default_value;
  });
  return cell;
}

std::vector<double> random_values(int size, double sigma, int seed) {
  std::mt19937 generator(static_cast<unsigned>(seed));
  std::normal_distribution<double> normal(0.0, sigma);
  std::vector<double> values(static_cast<std::size_t>(size));
  for (double& value : values) value = normal(generator);
  return values;
}

// ------------------------------------------------------------------------------------------ list

TEST(CellList, NamesAreUniqueAndFound) {
  for (int kind = 0; kind < kCellCount; ++kind) {
    CellConfig cell;
    cell.kind = kind;
    EXPECT_EQ(find_cell(cell_name(cell)), kind);
  }
  EXPECT_EQ(find_cell("lstm"), kLstmKind);
  EXPECT_EQ(find_cell("no such rule"), -1);
}

TEST(CellList, HandDesignedRulesStartWithTheLearningRate) {
  for (int kind = 0; kind < kCellCount; ++kind) {
    visit_cell(kind, [](auto cell) {
      using Cell = decltype(cell);
      EXPECT_LE(Cell::kHyper.size(), std::size_t{CellConfig::kMaxHyper});
      if constexpr (Cell::kHyper.size() > 0) {
        EXPECT_STREQ(Cell::kHyper[0].name, "learning_rate");
        EXPECT_EQ(Cell::meta_size(CellConfig{}), 0);
      }
    });
  }
}

TEST(CellList, ShapesOfTheDefaultLstm) {
  CellConfig cell;
  EXPECT_EQ(cell_state_size(cell), 80);
  EXPECT_EQ(cell_meta_size(cell), 5141);
  cell.lstm.preprocessing = Preprocessing::kIdentity;
  EXPECT_EQ(cell_meta_size(cell), 5061);
}

// --------------------------------------------------------------------------- hand-designed rules

/// theta after every step on f(x) = 2 (x - 1)^2 from x = 3, whose gradient changes sign often
/// enough to exercise every branch; `update(gradient)` is the formula to compare.
std::vector<double> trajectory(const std::function<double(double)>& update) {
  std::vector<double> thetas;
  double theta = 3.0;
  for (int t = 0; t < 40; ++t) {
    theta += update(4.0 * (theta - 1.0));
    thetas.push_back(theta);
  }
  return thetas;
}

void expect_trajectory(const std::string& name, const std::function<double(double)>& expected) {
  const CellConfig cell = default_cell(find_cell(name));
  std::vector<double> state(static_cast<std::size_t>(cell_state_size(cell)), 0.0);
  const std::vector<double> actual = trajectory([&](double gradient) {
    return visit_cell(cell.kind, [&](auto c) {
      return decltype(c)::template forward<double>(cell, nullptr, gradient, state.data());
    });
  });
  const std::vector<double> wanted = trajectory(expected);
  for (std::size_t t = 0; t < wanted.size(); ++t) {
    // The hyper-parameters of the cell are float32, and powers of 1.2 accumulate over the steps.
    EXPECT_NEAR(actual[t], wanted[t], 1e-5) << name << ", step " << t;
  }
}

TEST(HandDesigned, Sgd) {
  expect_trajectory("sgd", [](double g) { return -0.01 * g; });
}

TEST(HandDesigned, Momentum) {
  double velocity = 0.0;  // includes the rate: equivalent for a constant rate
  expect_trajectory("momentum", [&](double g) { return velocity = 0.9 * velocity - 0.01 * g; });
}

TEST(HandDesigned, Nag) {
  // Sutskever et al.: v' = mu v - lr grad(theta + mu v), theta' = theta + v'. The cell's theta is
  // their theta + mu v, which moves by v' + mu (v' - v).
  double velocity = 0.0;
  expect_trajectory("nag", [&](double g) {
    const double before = velocity;
    velocity = 0.9 * velocity - 0.01 * g;
    return velocity + 0.9 * (velocity - before);
  });
}

TEST(HandDesigned, Adagrad) {
  double sum = 0.0;
  expect_trajectory("adagrad", [&](double g) {
    sum += std::pow(g, 2);
    return -0.01 * g / (1e-10 + std::sqrt(sum));
  });
}

TEST(HandDesigned, Rmsprop) {
  std::vector<double> squares;  // the moving average as an explicit sum over the past
  expect_trajectory("rmsprop", [&](double g) {
    squares.push_back(g * g);
    double average = 0.0;
    for (std::size_t k = 0; k < squares.size(); ++k) {
      average += 0.01 * std::pow(0.99, double(squares.size() - 1 - k)) * squares[k];
    }
    return -0.01 * g / (std::sqrt(average) + 1e-8);
  });
}

TEST(HandDesigned, Adam) {
  double m = 0.0, v = 0.0;
  int t = 0;
  expect_trajectory("adam", [&](double g) {
    ++t;
    m = 0.9 * m + 0.1 * g;
    v = 0.999 * v + 0.001 * g * g;
    const double m_hat = m / (1.0 - std::pow(0.9, t)), v_hat = v / (1.0 - std::pow(0.999, t));
    return -0.001 * m_hat / (std::sqrt(v_hat) + 1e-8);
  });
}

TEST(HandDesigned, Rprop) {
  double before = 0.0, size = 0.01;
  expect_trajectory("rprop", [&](double g) {
    if (g * before > 0.0) size = std::min(size * 1.2, 50.0);
    if (g * before < 0.0) {
      size = std::max(size * 0.5, 1e-6);
      before = 0.0;
      return 0.0;
    }
    before = g;
    return g > 0.0 ? -size : g < 0.0 ? size : 0.0;
  });
}

TEST(HandDesigned, RpropUsesTheSignsOfTinyGradients) {
  const CellConfig cell = default_cell(find_cell("rprop"));
  float state[2] = {};
  RpropCell::forward<float>(cell, nullptr, 1e-30F, state);
  EXPECT_FLOAT_EQ(RpropCell::forward<float>(cell, nullptr, 1e-30F, state), -0.012F);
  EXPECT_EQ(RpropCell::forward<float>(cell, nullptr, -1e-30F, state), 0.0F);
}

TEST(HandDesigned, EveryRuleDescendsAParabola) {
  for (int kind = kLstmKind + 1; kind < kCellCount; ++kind) {
    const CellConfig cell = default_cell(kind);
    visit_cell(kind, [&](auto c) {
      std::vector<float> state(static_cast<std::size_t>(cell_state_size(cell)), 0.0F);
      float x = 1.0F;
      // Rules with momentum overshoot, so only the first step and the end are checked.
      for (int t = 0; t < 100; ++t) {
        x += decltype(c)::template forward<float>(cell, nullptr, 2.0F * x, state.data());
        if (t == 0) {
          EXPECT_LT(x * x, 1.0F) << decltype(c)::kName;
        }
      }
      EXPECT_LT(x * x, 0.9F) << decltype(c)::kName;
    });
  }
}

TEST(HandDesigned, ZeroGradientsFromTheStartDoNotMoveTheta) {
  for (int kind = kLstmKind + 1; kind < kCellCount; ++kind) {
    const CellConfig cell = default_cell(kind);
    visit_cell(kind, [&](auto c) {
      const std::vector<float> meta(static_cast<std::size_t>(cell_meta_size(cell)));
      std::vector<float> state(static_cast<std::size_t>(cell_state_size(cell)), 0.0F);
      for (int t = 0; t < 3; ++t) {
        EXPECT_EQ(decltype(c)::template forward<float>(cell, meta.data(), 0.0F, state.data()), 0.0F)
            << decltype(c)::kName;
      }
    });
  }
}

// ------------------------------------------------------------------------------------------ LSTM

struct Shape {
  int layers, hidden;
  Preprocessing preprocessing;
  Output output = Output::kLinear;
  int input_projection = 0;
};

class LstmShapes : public testing::TestWithParam<Shape> {
 protected:
  CellConfig cell() const {
    CellConfig config;
    config.lstm = {.layers = GetParam().layers,
                   .hidden = GetParam().hidden,
                   .preprocessing = GetParam().preprocessing,
                   .p = 5.0F,
                   .input_projection = GetParam().input_projection,
                   .output = GetParam().output,
                   .output_scale = 0.5F};
    return config;
  }
  static constexpr double kGradients[] = {0.3, -2.0, 1e-3, -1e-5, 0.0, -0.0, 40.0};
};

TEST_P(LstmShapes, ForwardEqualsTheReference) {
  const CellConfig config = cell();
  const reference::Lstm lstm =
      test::to_reference(config.lstm, random_values(cell_meta_size(config), 0.4, 1));
  ASSERT_EQ(lstm.phi_size(), cell_meta_size(config));
  ASSERT_EQ(lstm.state_size(), cell_state_size(config));
  std::vector<double> state = random_values(cell_state_size(config), 0.5, 2);
  test::make_moments_possible(config.lstm, state.data());
  std::vector<double> reference_state = state;
  for (const double gradient : kGradients) {
    const double update = LstmCell::forward(config, lstm.phi.data(), gradient, state.data());
    EXPECT_NEAR(update, reference::step(lstm, gradient, reference_state).update, 1e-13);
    for (std::size_t s = 0; s < state.size(); ++s) {
      EXPECT_NEAR(state[s], reference_state[s], 1e-13) << "state " << s;
    }
  }
}

TEST_P(LstmShapes, BothBranchesOfThePreprocessingMeet) {
  CellConfig config = cell();
  config.lstm.preprocessing = Preprocessing::kLogAndSign;
  config.lstm.output = Output::kLinear;
  const std::vector<double> phi = random_values(cell_meta_size(config), 0.4, 1);
  const double border = std::exp(-5.0);
  const auto update = [&](double gradient) {
    std::vector<double> state(static_cast<std::size_t>(cell_state_size(config)), 0.1);
    return LstmCell::forward(config, phi.data(), gradient, state.data());
  };
  EXPECT_NEAR(update(border * (1 - 1e-12)), update(border * (1 + 1e-12)), 1e-10);
  EXPECT_NEAR(update(-border * (1 - 1e-12)), update(-border * (1 + 1e-12)), 1e-10);
}

INSTANTIATE_TEST_SUITE_P(
    Shapes, LstmShapes,
    testing::Values(Shape{0, 1, Preprocessing::kIdentity}, Shape{0, 3, Preprocessing::kLogAndSign},
                    Shape{1, 1, Preprocessing::kIdentity}, Shape{1, 5, Preprocessing::kLogAndSign},
                    Shape{2, 4, Preprocessing::kIdentity}, Shape{2, 20, Preprocessing::kLogAndSign},
                    Shape{3, 3, Preprocessing::kLogAndSign}, Shape{3, 64, Preprocessing::kIdentity},
                    Shape{0, 1, Preprocessing::kMoments, Output::kTanh},
                    Shape{0, 1, Preprocessing::kAdamMoments, Output::kModulated},
                    Shape{1, 20, Preprocessing::kAdamMoments, Output::kModulated},
                    Shape{2, 4, Preprocessing::kMoments, Output::kTanh},
                    Shape{2, 5, Preprocessing::kIdentity, Output::kTanh},
                    Shape{3, 8, Preprocessing::kAdamMoments, Output::kLinear},
                    Shape{0, 1, Preprocessing::kIdentity, Output::kLinear, 3},
                    Shape{1, 3, Preprocessing::kAdamMoments, Output::kModulated, 64},
                    Shape{2, 20, Preprocessing::kMoments, Output::kTanh, 20}));

TEST(ModulatedOutput, EqualsAdamIfItsWeightsAreZero) {
  CellConfig modulated;
  modulated.lstm = {.layers = 1,
                    .hidden = 3,
                    .preprocessing = Preprocessing::kAdamMoments,
                    .output = Output::kModulated,
                    .output_scale = 3e-3F};
  std::vector<double> phi = random_values(cell_meta_size(modulated), 0.4, 1);
  std::fill(phi.end() - 2 * (3 + 1), phi.end(), 0.0);
  CellConfig adam = default_cell(find_cell("adam"));
  adam.hyper[0] = 3e-3F;
  std::vector<double> state(static_cast<std::size_t>(cell_state_size(modulated)), 0.0);
  std::vector<double> adam_state(static_cast<std::size_t>(cell_state_size(adam)), 0.0);
  for (const double gradient : {0.3, -2.0, 1e-3, 0.0, 40.0, -1e-6}) {
    const double expected = AdamCell::forward<double>(adam, nullptr, gradient, adam_state.data());
    EXPECT_NEAR(LstmCell::forward(modulated, phi.data(), gradient, state.data()), expected,
                1e-7 * std::abs(expected));
  }
}

// ------------------------------------------------------------ every backward(), by differences

/// Central differences of a . (update, state') with respect to phi and the state, against
/// backward().
template <class Cell>
void expect_backward_is_the_derivative(const CellConfig& config, double gradient) {
  constexpr double kDelta = 1e-6, kTolerance = 1e-8;
  std::vector<double> phi = random_values(Cell::meta_size(config), 0.4, 3);
  std::vector<double> state = random_values(Cell::state_size(config), 0.5, 4);
  test::make_moments_possible(config.lstm, state.data());
  const std::vector<double> after_adjoint = random_values(Cell::state_size(config), 1.0, 5);
  const double update_adjoint = 0.7;
  const auto value = [&] {
    std::vector<double> moved = state;
    double sum = update_adjoint * Cell::forward(config, phi.data(), gradient, moved.data());
    for (std::size_t s = 0; s < moved.size(); ++s) sum += after_adjoint[s] * moved[s];
    return sum;
  };
  const auto difference = [&](double& variable) {
    const double middle = variable;
    variable = middle + kDelta;
    const double above = value();
    variable = middle - kDelta;
    const double below = value();
    variable = middle;
    return (above - below) / (2.0 * kDelta);
  };

  std::vector<double> state_adjoint = after_adjoint, phi_adjoint(phi.size(), 0.0);
  Cell::backward(config, phi.data(), gradient, state.data(), update_adjoint, state_adjoint.data(),
                 [&](int i, double adjoint) { phi_adjoint.at(std::size_t(i)) += adjoint; });
  for (std::size_t i = 0; i < phi.size(); ++i) {
    EXPECT_NEAR(phi_adjoint[i], difference(phi[i]), kTolerance) << "phi[" << i << "]";
  }
  // The moments are computed from gradients, which are constants.
  for (int s = 0; s < lstm_state_size(config.lstm); ++s) {
    EXPECT_NEAR(state_adjoint[std::size_t(s)], difference(state[std::size_t(s)]), kTolerance)
        << "state[" << s << "]";
  }
}

struct Form {
  Preprocessing preprocessing;
  Output output;
  int input_projection = 0;
};
constexpr Form kForms[] = {{Preprocessing::kIdentity, Output::kLinear},
                           {Preprocessing::kLogAndSign, Output::kLinear},
                           {Preprocessing::kLogAndSign, Output::kTanh},
                           {Preprocessing::kMoments, Output::kTanh},
                           {Preprocessing::kAdamMoments, Output::kModulated},
                           {Preprocessing::kMoments, Output::kTanh, 6},
                           {Preprocessing::kAdamMoments, Output::kModulated, 3}};

TEST(CellBackward, EveryCellWithMetaParameters) {
  int checked = 0;
  for (int kind = 0; kind < kCellCount; ++kind) {
    visit_cell(kind, [&](auto c) {
      using Cell = decltype(c);
      CellConfig config = default_cell(kind);
      for (int layers = 0; layers <= LstmConfig::kMaxLayers; ++layers) {
        for (const Form& form : kForms) {
          config.lstm.layers = layers;
          config.lstm.hidden = 4;
          config.lstm.preprocessing = form.preprocessing;
          config.lstm.output = form.output;
          config.lstm.input_projection = form.input_projection;
          config.lstm.output_scale = 0.5F;
          if constexpr (requires { Cell::template backward<double, void (*)(int, double)>; }) {
            for (const double gradient : {0.3, -2.0, 1e-6, 0.0}) {
              SCOPED_TRACE(std::string(Cell::kName) + ", layers " + std::to_string(layers));
              expect_backward_is_the_derivative<Cell>(config, gradient);
              ++checked;
            }
          } else {
            EXPECT_EQ(Cell::meta_size(config), 0) << Cell::kName << " lacks backward()";
          }
        }
      }
    });
  }
  EXPECT_GT(checked, 0);
}

}  // namespace
}  // namespace l2o
