// The command line: l2o VERB ...; one file per verb.
#include <CLI/CLI.hpp>

int main(int argc, char** argv) {
  CLI::App app("l2o: learn optimizers, and run what was learned");
  app.set_version_flag("--version", std::string("l2o ") + L2O_VERSION);
  app.require_subcommand(1);
  CLI11_PARSE(app, argc, argv);
  return 0;
}
