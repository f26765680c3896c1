// The style sheet of a suite's page.
#pragma once

namespace l2o {

/// Number of colours for the learned rules and for the hand-designed ones; further rules cycle
/// through them. After Okabe and Ito, safe for colour-blind readers; lighter on a dark background.
inline constexpr int kLearnedColors = 4;
inline constexpr int kBaselineColors = 5;

inline constexpr const char* kSuiteStyle = R"css(
:root {
  color-scheme: light dark;
  --ground: #ffffff; --panel: #f6f6f4; --ink: #1c1c1a; --faint: #6b6b66; --rule: #dcdcd6;
  --good: #00704f; --bad: #b3440a;
  --l0: #d55e00; --l1: #b3508a; --l2: #a87400; --l3: #7a3db8;
  --b0: #0072b2; --b1: #00966c; --b2: #3fa0dc; --b3: #5a6b7a; --b4: #8a8f2a; --ref: #9a9a94;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #161615; --panel: #212120; --ink: #ecece6; --faint: #a3a39c; --rule: #3b3b38;
    --good: #4fd0a4; --bad: #ff9a5c;
    --l0: #ff8b3d; --l1: #e79bc6; --l2: #f0c04a; --l3: #b99bf2;
    --b0: #5aa9f0; --b1: #3fcf9f; --b2: #9bd4ff; --b3: #9aacbd; --b4: #c9cf5a; --ref: #80807a;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 1.25rem clamp(0.75rem, 3vw, 2rem) 3rem; max-width: 84rem;
  background: var(--ground); color: var(--ink);
  font: 16px/1.45 system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif;
}
h1 { font-size: 1.6rem; margin: 0 0 0.25rem; }
h2 { font-size: 1.15rem; margin: 2rem 0 0.6rem; }
h3 { font-size: 1rem; margin: 1.2rem 0 0.5rem; }
p { margin: 0.25rem 0; max-width: 60rem; }
.faint { color: var(--faint); font-size: 0.9rem; }
.good { color: var(--good); }
.bad { color: var(--bad); }
.tiles { display: grid; gap: 0.75rem; grid-template-columns: repeat(auto-fill, minmax(13.5rem, 1fr)); }
.tile { background: var(--panel); border-radius: 0.6rem; padding: 0.8rem 1rem; }
.tile b { display: block; font-size: 2rem; line-height: 1.15; font-variant-numeric: tabular-nums; }
.tile span { display: block; font-size: 0.86rem; color: var(--faint); overflow-wrap: anywhere; }
.legend {
  display: flex; flex-wrap: wrap; gap: 0.3rem 1.1rem; padding: 0.5rem 0; margin-bottom: 0.5rem;
  font-size: 0.92rem;
}
.legend svg { width: 1.7rem; height: 0.7rem; margin-right: 0.35rem; vertical-align: middle; }
.charts { display: grid; gap: 0.9rem; grid-template-columns: repeat(auto-fill, minmax(min(19rem, 100%), 1fr)); }
figure { margin: 0; background: var(--panel); border-radius: 0.6rem; padding: 0.7rem 0.8rem 0.4rem; }
figcaption { font-size: 0.92rem; line-height: 1.35; }
figcaption b { overflow-wrap: anywhere; }
figcaption span { display: block; color: var(--faint); font-size: 0.84rem; }
figure > svg { display: block; width: 100%; height: auto; margin-top: 0.3rem; }
svg text { fill: var(--faint); font-size: 11px; }
svg .grid { stroke: var(--rule); stroke-width: 1; }
polyline, .key { fill: none; stroke-width: 1.5; stroke-linejoin: round; }
polyline { vector-effect: non-scaling-stroke; }
.learned { stroke-width: 2.6; }
.l0 { stroke: var(--l0); } .l1 { stroke: var(--l1); } .l2 { stroke: var(--l2); } .l3 { stroke: var(--l3); }
.b0 { stroke: var(--b0); } .b1 { stroke: var(--b1); } .b2 { stroke: var(--b2); }
.b3 { stroke: var(--b3); } .b4 { stroke: var(--b4); }
.ref { stroke: var(--ref); stroke-dasharray: 5 4; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: 0.88rem; font-variant-numeric: tabular-nums; }
th, td { padding: 0.3rem 0.65rem; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--rule); }
th { font-weight: 600; vertical-align: bottom; }
th:first-child, td:first-child {
  text-align: left; position: sticky; left: 0; background: var(--ground);
  max-width: 11rem; overflow: hidden; text-overflow: ellipsis;
}
td.lead { font-weight: 700; }
)css";

}  // namespace l2o
