--- Pages for people: a template that escapes, and what all pages share.

local page = {}

local ENTITIES = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ["\""] = "&quot;", ["'"] = "&#39;" }

--- A text as HTML, for elements and quoted attributes alike.
function page.escape(text)
  return (tostring(text):gsub("[&<>\"']", ENTITIES))
end

--- Marks a text as HTML already.
function page.html(text)
  return { html = text }
end

--- A template with values in its {{places}}. All of them are escaped, but for what page.html has marked.
function page.fill(template, values)
  return (template:gsub("{{([%w_]+)}}", function(name)
    local value = values[name]
    return type(value) == "table" and value.html or page.escape(value)
  end))
end

-- Colours by what they are for, in light and in dark surroundings; on a narrow screen each row is a card.
local STYLE = [[
:root { color-scheme: light dark; --ground: #f5f6f8; --card: #fff; --line: #e3e6eb; --text: #1a2230; --muted: #5d6878;
  --accent: #0b6e4f; --on-accent: #fff; --admin: #b3261e; --staff: #8a5a00; --user: #0b6e4f; --guest: #5d6878; }
@media (prefers-color-scheme: dark) {
  :root { --ground: #12161c; --card: #1b212a; --line: #2d3642; --text: #e8ecf2; --muted: #9aa6b6;
    --accent: #4cc79a; --on-accent: #0c1a14; --admin: #ff8a80; --staff: #f0b860; --user: #4cc79a; --guest: #9aa6b6; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--text); font: 15px/1.45 system-ui, -apple-system, "Segoe UI",
  Roboto, "DejaVu Sans", sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 28px 20px 48px; }
h1 { margin: 0; font-size: 26px; line-height: 1.2; }
a { color: var(--accent); }
.muted { color: var(--muted); }
.mono { font-family: ui-monospace, "DejaVu Sans Mono", monospace; font-size: 13px; overflow-wrap: anywhere; }
.counts { display: grid; grid-template-columns: repeat(8, 1fr); gap: 10px; margin: 22px 0 14px; padding: 0;
  list-style: none; }
.counts li { background: var(--card); border: 1px solid var(--line); border-radius: 12px; }
.counts button, .counts div { display: block; width: 100%; padding: 10px 14px; color: inherit; text-align: left; }
.counts form { height: 100%; } .counts button { height: 100%; }
.counts b { display: block; font-size: 22px; line-height: 1.25; font-variant-numeric: tabular-nums; }
.counts span { color: var(--muted); font-size: 13px; }
.counts .chosen { border-color: var(--accent); box-shadow: inset 0 0 0 1px var(--accent); }
.search { display: flex; flex-wrap: wrap; gap: 8px; margin: 0 0 14px; }
input, select, button { font: inherit; color: inherit; background: var(--card); border: 1px solid var(--line);
  border-radius: 10px; padding: 8px 12px; min-height: 42px; }
input { flex: 1 1 240px; min-width: 0; }
button { background: var(--accent); border-color: var(--accent); color: var(--on-accent); font-weight: 600;
  padding: 8px 18px; }
.counts button, .found button { background: none; border: 0; min-height: 0; font-weight: inherit; cursor: pointer; }
.found button { padding: 0; color: var(--accent); text-decoration: underline; }
.found { display: flex; flex-wrap: wrap; justify-content: space-between; gap: 4px 16px; margin: 0 0 10px; }
table { width: 100%; border-collapse: separate; border-spacing: 0; background: var(--card);
  border: 1px solid var(--line); border-radius: 12px; overflow: hidden; }
th, td { padding: 10px 14px; text-align: left; vertical-align: top; border-bottom: 1px solid var(--line);
  overflow-wrap: anywhere; }
th:first-child { width: 32%; } th:nth-child(3), th:nth-child(4) { width: 15%; }
th { font-size: 12px; font-weight: 600; text-transform: uppercase; letter-spacing: .04em; color: var(--muted); }
tr:last-child td { border-bottom: 0; }
td .muted { font-size: 13px; }
.role { display: inline-block; padding: 1px 9px; border-radius: 99px; border: 1px solid currentColor; font-size: 13px;
  color: var(--guest); overflow-wrap: normal; }
.role.admin { color: var(--admin); } .role.staff { color: var(--staff); } .role.user { color: var(--user); }
time { white-space: nowrap; font-variant-numeric: tabular-nums; }
@media (max-width: 900px) { .counts { grid-template-columns: repeat(4, 1fr); } }
@media (max-width: 640px) {
  main { padding: 18px 12px 32px; }
  .counts { gap: 8px; } .counts button, .counts div { padding: 8px 10px; } .counts b { font-size: 19px; }
  .counts span { font-size: 12px; } select { flex: 1; }
  table, tbody, tr, td { display: block; }
  table { background: none; border: 0; border-radius: 0; }
  thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  tr { background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 8px 14px;
    margin-bottom: 10px; }
  td { border: 0; padding: 3px 0; }
  td[data-label] { display: flex; justify-content: space-between; gap: 14px; text-align: right; }
  td[data-label]::before { content: attr(data-label); color: var(--muted); font-size: 13px; text-align: left; }
  td[data-label].empty { display: none; }
}
]]

local PAGE = [[
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{title}}</title>
<style nonce="{{nonce}}">
{{style}}</style>
</head>
<body>
{{body}}</body>
</html>
]]

--- Answers with a page; `body` is HTML.
function page.send(title, body)
  ngx.header["Content-Type"] = "text/html; charset=utf-8"
  ngx.print(page.fill(PAGE, {
    title = title, nonce = ngx.var.request_id, style = page.html(STYLE), body = page.html(body),
  }))
end

return page
