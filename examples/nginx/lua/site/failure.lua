--- Error responses: they tell a visitor what happened and what helps; the log has the rest. A person gets a page, a
-- program JSON.

local cjson = require "cjson"
local home = require "site.home"
local links = require "site.links"
local page = require "site.page"
local text = require "site.text"

local failure = {}

-- Seconds: the maximum of Retry-After, whatever Podero says.
local LONGEST_WAIT = 24 * 3600

local OPERATOR = " Trying again will not help. Please tell the people who run this site."

-- What to say in which case. `later`: trying again may help. `find`: another organization id may help.
local CASES = {
  id = { status = 400, title = "This is not the id of an organization", find = true,
    text = "Please check the id, or enter another one." },
  unknown = { status = 404, title = "There is no such organization", find = true,
    text = "Podero has no organization with this id. Please check it, or enter another one." },
  credentials = { status = 502, title = "This site cannot sign in to Podero",
    text = "Podero does not accept the site's credentials; they may have been changed." .. OPERATOR },
  forbidden = { status = 502, title = "This site may not read this organization",
    text = "Podero does not let the site read the users of this organization." .. OPERATOR },
  busy = { status = 502, title = "Podero is getting too many requests", later = true,
    text = "It has asked this site to wait." },
  broken = { status = 502, title = "Podero did not give us the list", later = true,
    text = "It could not be reached, or had a problem." },
  unreadable = { status = 502, title = "Podero's list could not be read",
    text = "It is not as it should be." .. OPERATOR },
  large = { status = 502, title = "The list is too large for one response",
    text = "The CSV download has lists of any length." },
  slow = { status = 504, title = "Podero did not respond in time", later = true, text = "It may be busy." },
  unready = { status = 503, title = "This site is not ready", later = true, text = "It is starting or stopping." },
}

local BY_KIND = {
  argument = "id", auth = "credentials", timeout = "slow", schema = "unreadable", too_large = "large",
  closed = "unready", memory = "unready",
}

local BY_STATUS = { [401] = "credentials", [403] = "forbidden", [404] = "unknown", [429] = "busy", [504] = "slow" }

-- Responses that nginx itself sends.
local STATUSES = {
  [404] = { title = "There is no such page", text = "The address may be incomplete." },
  [405] = { title = "This page cannot be used that way", text = "The method of the request is not allowed here." },
  [413] = { title = "This is too much text", text = "Please search for less." },
  [500] = { title = "This site has a fault", text = "Please tell the people who run this site." },
}

local function case_of(err)
  -- Trying again may help if a list was cut short, but not if it is no JSON.
  if err.kind == "decode" and not err.retryable then return CASES.unreadable end
  return CASES[err.kind == "http" and BY_STATUS[err.status] or BY_KIND[err.kind] or "broken"]
end

--- Returns whether the response is for a person: browsers accept "text/html".
local function is_for_a_person()
  return (ngx.var.http_accept or ""):lower():find("text/html", 1, true) ~= nil
end

local BODY = [[
<main class="narrow">
<p class="muted">Error {{status}}</p>
<h1>{{title}}</h1>
<p>{{text}}</p>
{{more}}<p class="muted">Request {{request_id}}</p>
</main>
]]

--- Sends an error. `as_page`: as a page, even to a program. `more`: HTML for the page.
local function send(status, title, sentences, as_page, more)
  ngx.status = status
  if as_page or is_for_a_person() then
    return page.send(title, page.fill(BODY, {
      status = status, title = title, text = sentences, more = more or "", request_id = ngx.var.request_id,
    }))
  end
  ngx.header["Content-Type"] = "application/json"
  ngx.say(cjson.encode { status = status, error = title .. ". " .. sentences, request_id = ngx.var.request_id })
end

failure.send = send

--- Returns links for the visitor, as HTML. `asked`: see site/query.lua.
local function ways_on(case, asked)
  if case.find then return home.form() end
  local name, ways = ngx.var.uri:match "[^/]*$", {}
  local parameters = links.changed(asked, { page = asked.page > 1 and asked.page })
  if case.later then ways[1] = links.to(name, parameters, "Try again").html end
  if name ~= "roster" then ways[#ways + 1] = links.to("roster", parameters, "Back to the users").html end
  return page.html(#ways > 0 and '<div class="ways">' .. table.concat(ways, " ") .. "</div>\n" or "")
end

--- Sends an error of the client. `asked`: see site/query.lua; `as_page`: as a page, even to a program. Any other error
-- is a fault of this site: it is raised, and nginx sends status 500.
function failure.answer(err, asked, as_page)
  if type(err) ~= "table" or not err.kind then error(err, 0) end
  local case = case_of(err)
  ngx.log(case.status >= 500 and ngx.ERR or ngx.INFO, tostring(err))
  local wait = err.retry_after and math.ceil(math.max(0, math.min(err.retry_after, LONGEST_WAIT)))
  ngx.header["Retry-After"] = wait
  local sentences = case.text
  if case.later then
    sentences = ("%s Please try again %s."):format(sentences, wait and "in " .. text.duration(wait) or "in a minute")
  end
  return send(case.status, case.title, sentences, as_page, ways_on(case, asked))
end

--- Sends status 400. Nothing is logged: the fault may be personal data in the URL.
function failure.refuse(sentence, as_page)
  return send(400, "This cannot be shown", sentence, as_page)
end

--- Sends the page for a status that nginx has set.
function failure.of_status()
  local case = STATUSES[ngx.status] or STATUSES[500]
  return send(ngx.status, case.title, case.text, false, page.html '<p><a href="/">To the first page</a></p>\n')
end

--- Breaks off a response that has begun. With reset_timedout_connection, nginx resets the connection at status 444: not
-- every client notices that a response is incomplete if the connection merely ends.
function failure.cut(err)
  ngx.log(ngx.ERR, "cut short: ", tostring(err))
  return ngx.exit(444)
end

return failure
