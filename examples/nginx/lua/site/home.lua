--- /: a form for the id of an organization. An id is no personal data, and may be in a URL.

local page = require "site.page"
local text = require "site.text"

local home = {}

local ID = "^" .. ("%x"):rep(8) .. ("%-" .. ("%x"):rep(4)):rep(3) .. "%-" .. ("%x"):rep(12) .. "$"
local LONGEST = 200 -- bytes

local FORM = [[
<form class="finder" action="/">
<label for="org_id">Organization id</label>
<div><input id="org_id" name="org_id" value="{{given}}" required maxlength="{{longest}}" autocomplete="off"
  spellcheck="false" aria-describedby="org_id_hint"{{invalid}}>
<button>Show users</button></div>
<p id="org_id_hint" class="{{class}}">{{hint}}</p>
</form>
]]

local HINT = "32 digits and letters from a to f, such as 016b78a7-0c7c-4241-a277-015c3ad3cb90"

--- Returns the form as HTML. `refused`: what a visitor entered, if it is no id.
function home.form(refused)
  return page.html(page.fill(FORM, {
    given = refused and text.cut(refused, LONGEST) or "", longest = LONGEST,
    invalid = page.html(refused and ' aria-invalid="true"' or ""),
    class = refused and "wrong" or "muted", hint = (refused and "This is not an id: " or "") .. HINT,
  }))
end

local BODY = [[
<main class="narrow">
<h1>Users of an organization</h1>
<p>Find customers and colleagues, see which devices they have, and download lists.</p>
{{form}}</main>
]]

function home.show()
  local given = ngx.req.get_uri_args(20).org_id
  given = type(given) == "string" and text.trim(given) or ""
  if given:find(ID) then return ngx.redirect("/orgs/" .. given:lower() .. "/roster", 303) end
  local refused = given ~= "" and given or nil
  if refused then ngx.status = 400 end
  return page.send(refused and "Not an organization id" or "Find an organization",
    page.fill(BODY, { form = home.form(refused) }))
end

return home
