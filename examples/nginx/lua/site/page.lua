--- Pages for people: a template that escapes, and what all pages share.

local style = require "site.style"

local page = {}

local ENTITIES = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ["\""] = "&quot;", ["'"] = "&#39;" }

--- A text as HTML, for elements and quoted attributes alike.
function page.escape(text)
  return (tostring(text):gsub("[&<>\"']", ENTITIES))
end

--- Marks a text as HTML, so that it is not escaped.
function page.html(text)
  return { html = text }
end

--- Returns a template with values in its {{places}}. They are escaped, except those that page.html has marked.
function page.fill(template, values)
  return (template:gsub("{{([%w_]+)}}", function(name)
    local value = values[name]
    return type(value) == "table" and value.html or page.escape(value)
  end))
end

local PAGE = [[
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{title}} – Roster</title>
<style nonce="{{nonce}}">
{{style}}</style>
</head>
<body>
<header class="site"><a href="/">Roster</a></header>
{{body}}</body>
</html>
]]

--- Sends a page. `title`: a text that differs from page to page; `body`: HTML.
function page.send(title, body)
  ngx.header["Content-Type"] = "text/html; charset=utf-8"
  ngx.print(page.fill(PAGE, {
    title = title, nonce = ngx.var.request_id, style = page.html(style), body = page.html(body),
  }))
end

return page
