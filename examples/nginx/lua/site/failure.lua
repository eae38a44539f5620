--- Errors as answers to a visitor, who is told what kind of failure it was; the log is told the rest.

local cjson = require "cjson"
local page = require "site.page"

local failure = {}

local TEXTS = {
  [400] = "This is not the id of an organization.",
  [404] = "There is no such organization.",
  [502] = "Podero did not give us the list. Please try again later.",
  [503] = "This site is not ready. Please try again in a moment.",
  [504] = "Podero did not answer in time. Please try again later.",
}

local STATUSES = { argument = 400, timeout = 504, closed = 503, memory = 503 }

-- Seconds. A client of ours need not wait longer, whatever Podero says.
local LONGEST_WAIT = 24 * 3600

local function status_of(err)
  if err.kind == "http" and (err.status == 404 or err.status == 504) then return err.status end
  return STATUSES[err.kind] or 502
end

--- Answers with an error, as a page or as JSON.
local function send(status, text, as_page)
  ngx.status = status
  if as_page then return page.send("Error " .. status, page.fill([[
<main><h1>Error {{status}}</h1>
<p>{{text}}</p>
<p class="muted">Request {{request_id}}</p></main>
]], { status = status, text = text, request_id = ngx.var.request_id })) end
  ngx.header["Content-Type"] = "application/json"
  ngx.say(cjson.encode { status = status, error = text, request_id = ngx.var.request_id })
end

--- Answers with an error of the client, as a page or as JSON. What is no error of the client's is a mistake of ours: it
-- is raised, and nginx answers 500.
function failure.answer(err, as_page)
  if type(err) ~= "table" or not err.kind then error(err, 0) end
  local status = status_of(err)
  ngx.log(status >= 500 and ngx.ERR or ngx.INFO, tostring(err))
  if err.retry_after then
    ngx.header["Retry-After"] = math.ceil(math.max(0, math.min(err.retry_after, LONGEST_WAIT)))
  end
  return send(status, TEXTS[status], as_page)
end

--- Answers 400 to a request that cannot be used. Nothing is logged: what is wrong may be personal data in the URL.
function failure.refuse(text, as_page)
  return send(400, text, as_page)
end

--- Breaks off an answer that has begun: whoever reads it must see that it is not whole, which the end of a connection
-- does not tell every client. With reset_timedout_connection, nginx resets the connection at this status.
function failure.cut(err)
  ngx.log(ngx.ERR, "cut short: ", tostring(err))
  return ngx.exit(444)
end

return failure
