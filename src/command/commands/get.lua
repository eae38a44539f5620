local response = require "podero.command.response"

local get = {
  summary = "Print the JSON of any GET of the Partner API.",
  arguments = { response.PATH },
  options = { { "Options", response.OPTIONS } },
  asks = true,
  examples = {
    { "What the API says of an organization's users", "podero get /api/partners/v2.0/org/ORG_ID/users" },
  },
}

function get.run(given)
  response.print(given, "GET", {})
end

return get
