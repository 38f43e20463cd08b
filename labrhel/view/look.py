"""How the page looks: one column on a telephone, a list beside cards on a desk."""

STYLE = """
:host, body { font: 14px/1.45 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; color: #1f2937; }
.bk-clearfix { width: 100%; }
.legend { display: flex; flex-wrap: wrap; gap: 0 12px; padding: 0; list-style: none; font-size: 12px; color: #4b5563;
  font-variant-numeric: tabular-nums; }
.legend span { display: inline-block; width: 14px; height: 3px; margin-right: 5px; vertical-align: middle; }
h1 { font-size: 20px; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 14px; margin: 0 0 4px; font-weight: 600; color: #374151; }
p { margin: 4px 0; overflow-wrap: anywhere; }
a { color: inherit; }
.line { display: flex; gap: 12px; align-items: center; flex-wrap: wrap; }
.bar { height: 4px; background: #e5e7eb; border-radius: 2px; margin: 8px 0; overflow: hidden; }
.bar div { height: 100%; background: #0072B2; transition: width .4s; }
.facts { color: #374151; font-variant-numeric: tabular-nums; }
.why { color: #111827; font-weight: 500; }
.id, small { color: #596273; font-size: 12px; }
.state { display: inline-block; padding: 1px 8px; border-radius: 10px; font-size: 12px; font-weight: 600;
  white-space: nowrap; background: #e5e7eb; color: #374151; }
.state.running { background: #d9efe6; color: #00513c; }
.state.paused { background: #fdeecb; color: #6b4400; }
.state.done { background: #dcebf7; color: #00416a; }
.state.stalled, .state.interrupted { background: #fdeecb; color: #6b4400; }
.state.failed, .state.unsafe, .state.damaged, .state.killed { background: #fbdcd3; color: #7a2500; }
nav ul { list-style: none; margin: 0; padding: 0; }
nav a { display: block; padding: 7px 10px; border-radius: 6px; text-decoration: none; overflow-wrap: anywhere; }
nav a:hover { background: #eef2f7; }
nav a[aria-current] { background: #e3edf7; box-shadow: inset 3px 0 #0072B2; }
nav small { display: block; font-variant-numeric: tabular-nums; }
a:focus-visible, summary:focus-visible, button:focus-visible { outline: 3px solid #0072B2; outline-offset: 1px; }
ul { margin: 4px 0; padding-left: 18px; }
li { margin: 2px 0; overflow-wrap: anywhere; }
table { border-collapse: collapse; margin: 8px 0; display: block; overflow-x: auto;
  font-variant-numeric: tabular-nums; }
caption { text-align: left; font-weight: 600; padding: 2px 0; }
th, td { text-align: left; padding: 2px 12px 2px 0; font-weight: 400; border-bottom: 1px solid #e5e7eb;
  white-space: nowrap; }
thead th { color: #596273; font-size: 12px; }
summary { cursor: pointer; }
"""
"""For what is written; each piece of the page has it, since it stands in a tree of its own."""

BUTTONS = """
.bk-btn { font: 600 14px system-ui, sans-serif; min-height: 40px; border-radius: 6px; }
.bk-btn:focus-visible { outline: 3px solid #0072B2; outline-offset: 2px; }
.bk-btn-default { background: #fff; border: 1px solid #9aa3af; color: #1f2937; }
.bk-btn-warning { background: #fdeecb; border: 1px solid #6b4400; color: #4a2f00; }
.bk-btn-danger { background: #b3261e; border: 1px solid #8c1d18; color: #fff; }
"""

TEMPLATE = """{% from macros import embed %}<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}</title>
<link rel="icon" href="data:,">
{{ bokeh_css }}{{ bokeh_js }}
<style>
* { box-sizing: border-box; }
body { margin: 0; background: #f3f5f8; }
.page { display: grid; grid-template-columns: minmax(0, 1fr); }
.runs { background: #fff; border-bottom: 1px solid #e5e7eb; padding: 8px 12px; }
.runs summary { font-weight: 600; padding: 6px 0; }
main { padding: 12px; display: grid; gap: 12px; grid-template-columns: minmax(0, 1fr); align-content: start; }
.card { background: #fff; border: 1px solid #e5e7eb; border-radius: 8px; padding: 12px; min-width: 0; }
.acts { display: flex; flex-wrap: wrap; gap: 8px; align-items: center; }
.cards { display: grid; gap: 12px; grid-template-columns: repeat(auto-fit, minmax(min(100%, 400px), 1fr)); }
h2 { font: 600 14px system-ui, sans-serif; margin: 0 0 4px; color: #374151; }
details.card > summary { font: 600 14px system-ui, sans-serif; cursor: pointer; color: #374151; }
summary:focus-visible, .skip:focus { outline: 3px solid #0072B2; outline-offset: 1px; }
.skip { position: absolute; left: -999px; }
.skip:focus { left: 8px; top: 8px; background: #fff; padding: 8px; z-index: 9; }
@media (min-width: 900px) {
  .page { grid-template-columns: 270px minmax(0, 1fr); }
  .runs { border: 0; border-right: 1px solid #e5e7eb; height: 100vh; overflow-y: auto;
    position: sticky; top: 0; }
}
@media (prefers-reduced-motion: reduce) { * { transition: none !important; } }
</style>
</head>
<body>
<a class="skip" href="#main">to the run</a>
<div class="page">
<details class="runs" id="runs"><summary>runs</summary>{{ embed(roots.runs) }}</details>
<main id="main" tabindex="-1">
<section class="card" aria-label="state">{{ embed(roots.heading) }}
{%- if "acts" in names %}<div class="acts">{{ embed(roots.acts) }}</div>{% endif %}
{{ embed(roots.said) }}</section>
<div class="cards">
{%- for name, title in cards if name in names %}
<section class="card" aria-label="{{ title }}"><h2>{{ title }}</h2>{{ embed(roots[name]) }}
{%- if name == "parameters" %}{{ embed(roots.legend) }}{% endif %}</section>
{%- endfor %}
</div>
<details class="card"><summary>All figures as tables</summary>{{ embed(roots.numbers) }}</details>
</main>
</div>
<script>document.getElementById("runs").open = matchMedia("(min-width: 900px)").matches</script>
{{ plot_script }}
</body>
</html>
"""
