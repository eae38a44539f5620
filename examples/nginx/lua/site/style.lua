--- The style sheet of all pages: colours by what they are for, in light and in dark surroundings; users as a table on
-- wide screens, as cards on narrow ones.
return [[
:root { color-scheme: light dark; --ground: #f4f6f8; --card: #fff; --line: #dde2e8; --edge: #7c8794; --text: #18212d;
  --muted: #56616f; --accent: #0a6549; --on-accent: #fff; --soft: #e4f2ec; --admin: #a8231c; --staff: #7d5100;
  --user: #0a6549; --guest: #56616f; }
@media (prefers-color-scheme: dark) {
  :root { --ground: #11161c; --card: #1a212a; --line: #2e3844; --edge: #78859a; --text: #e8edf3; --muted: #a3afbe;
    --accent: #56cfa3; --on-accent: #07251a; --soft: #17352a; --admin: #ff9a91; --staff: #f0bd66; --user: #56cfa3;
    --guest: #a3afbe; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--text); font: 15px/1.45 system-ui, -apple-system, "Segoe UI",
  Roboto, "DejaVu Sans", sans-serif; }
h1, p, th, td, .mono { overflow-wrap: anywhere; }
.site { background: var(--card); border-bottom: 1px solid var(--line); }
.site a { display: block; max-width: 1180px; margin: 0 auto; padding: 12px 20px; color: inherit; font-weight: 700;
  text-decoration: none; }
.site a::before { content: ""; display: inline-block; width: 14px; height: 14px; margin-right: 9px; border-radius: 4px;
  background: var(--accent); vertical-align: -1px; }
main { max-width: 1180px; margin: 0 auto; padding: 24px 20px 40px; }
main.narrow { max-width: 680px; padding-top: 48px; }
h1 { margin: 0; font-size: 26px; line-height: 1.25; }
.narrow h1 + p { margin: 8px 0 22px; } .narrow > .muted:first-child { margin: 0 0 4px; }
p { margin: 4px 0; }
a, .plain { color: var(--accent); text-underline-offset: 2px; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; border-radius: 4px; }
.muted { color: var(--muted); }
.wrong { color: var(--admin); }
.mono { font-family: ui-monospace, "DejaVu Sans Mono", monospace; font-size: 13px; }
.unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
form { margin: 0; }
input, select, button { font: inherit; color: inherit; background: var(--card); border: 1px solid var(--edge);
  border-radius: 8px; padding: 8px 12px; min-height: 42px; min-width: 0; max-width: 100%; }
::placeholder { color: var(--muted); opacity: 1; }
button { background: var(--accent); border-color: var(--accent); color: var(--on-accent); font-weight: 600;
  padding: 8px 20px; cursor: pointer; }
.plain { background: none; border: 0; padding: 0; min-height: 24px; font-weight: inherit; text-align: inherit;
  text-decoration: underline; }
.finder { background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 18px 20px;
  margin: 0 0 18px; }
.finder label, .search label { font-size: 13px; font-weight: 600; }
.finder > div { display: flex; flex-wrap: wrap; gap: 8px; margin: 6px 0 8px; }
.finder input { flex: 1 1 300px; }
.ways { display: flex; flex-wrap: wrap; gap: 8px 20px; margin: 18px 0; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 10px; margin: 20px 0 12px;
  padding: 0; list-style: none; }
.tile { display: block; width: 100%; height: 100%; padding: 10px 14px; background: var(--card); color: inherit;
  border: 1px solid var(--line); border-radius: 12px; text-align: left; text-decoration: none; font-weight: inherit; }
.tile b { display: block; font-size: 22px; line-height: 1.25; font-variant-numeric: tabular-nums; }
.tile span { font-size: 14px; }
a.tile span, button.tile span { color: var(--accent); text-decoration: underline; text-underline-offset: 2px; }
a.tile:hover, button.tile:hover { border-color: var(--accent); }
.tile[aria-current] { background: var(--soft); border-color: var(--accent); box-shadow: inset 0 0 0 1px var(--accent); }
.tile[aria-current] span { color: inherit; text-decoration: none; font-weight: 600; }
.owned { display: flex; flex-wrap: wrap; gap: 2px 20px; margin: 0 0 20px; padding: 0; list-style: none;
  color: var(--muted); }
.owned b { color: var(--text); font-variant-numeric: tabular-nums; }
.search { display: grid; grid-template-columns: 1fr auto auto auto; gap: 10px; align-items: end; margin: 0 0 16px; }
.search label { display: grid; gap: 4px; min-width: 0; }
.search input, .search select { font-weight: 400; font-size: 15px; width: 100%; }
.found { display: flex; flex-wrap: wrap; align-items: baseline; gap: 4px 20px; margin: 0 0 10px; }
.found p { margin: 0 auto 0 0; }
.none { background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 28px 20px;
  text-align: center; }
.none p { margin: 0 0 8px; font-size: 17px; }
table { width: 100%; table-layout: fixed; border-collapse: separate; border-spacing: 0; background: var(--card);
  border: 1px solid var(--line); border-radius: 12px; }
th, td { padding: 9px 12px; text-align: left; vertical-align: top; border-bottom: 1px solid var(--line);
  font-weight: 400; font-size: 14px; }
tr:last-child > th, tr:last-child > td { border-bottom: 0; }
thead tr:last-child > th { border-bottom: 1px solid var(--line); }
thead th { font-size: 13px; font-weight: 600; color: var(--muted); }
thead .plain, thead a { font-weight: 600; }
thead .name { width: 27%; } thead .role { width: 88px; } thead .external, thead .town { width: 14%; }
thead .login { width: 168px; }
.title { font-weight: 600; font-size: 15px; }
tbody .muted { font-size: 13px; }
.badge { display: inline-block; max-width: 100%; padding: 1px 9px; border-radius: 12px; border: 1px solid currentColor;
  font-size: 13px; color: var(--guest); }
.badge.admin { color: var(--admin); } .badge.staff { color: var(--staff); } .badge.user { color: var(--user); }
time { font-variant-numeric: tabular-nums; }
.pages { display: flex; flex-wrap: wrap; align-items: center; gap: 8px 18px; margin: 16px 0 0; }
.pages form.jump { display: flex; flex-wrap: wrap; align-items: center; gap: 8px; }
.pages input { width: 7em; }
.pages .off { color: var(--muted); }
.read { margin-top: 20px; font-size: 13px; }
@media (max-width: 899px) {
  .tiles { grid-template-columns: repeat(auto-fit, minmax(130px, 1fr)); }
  .search { grid-template-columns: 1fr 1fr; } .search label:first-child { grid-column: 1 / -1; }
  .search button { grid-column: 1 / -1; }
  table, tr, th, td { display: block; }
  table { background: none; border: 0; }
  thead { display: none; }
  tbody { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 320px), 1fr)); gap: 10px; }
  tbody tr { background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 10px 14px; }
  tbody th, tbody td { border: 0; padding: 3px 0; }
  td[data-label] { display: flex; justify-content: space-between; gap: 14px; text-align: right; }
  td[data-label]::before { content: attr(data-label); flex: none; color: var(--muted); font-size: 13px; }
  td[data-label] > * { min-width: 0; }
  td[data-label].empty { display: none; }
  tbody th, tbody td { font-size: 15px; }
}
@media (max-width: 559px) {
  main { padding: 16px 12px 32px; } main.narrow { padding-top: 24px; } .site a { padding: 10px 12px; }
  h1 { font-size: 22px; }
  .tiles { grid-template-columns: repeat(auto-fit, minmax(96px, 1fr)); gap: 8px; margin: 14px 0 10px; }
  .tile { padding: 8px 10px; } .tile b { font-size: 18px; }
}
]]
