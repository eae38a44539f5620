--- The filters that are measured. Each has podero's options, the same filter in Lua for the users of lua-cjson, and the
-- number of hits among the 10,000 users of the benchmark.

local filters = {}

local FIELDS = { "id", "email", "role", "external_user_id" }

filters.fields = {
  hits = 10000,
  options = { fields = FIELDS },
  filter = function(list)
    local found = {}
    for i, user in ipairs(list) do
      found[i] = { id = user.id, email = user.email, role = user.role, external_user_id = user.external_user_id }
    end
    return found
  end,
}

-- This text, and those that it hits, are ASCII only: in Lua, lower() handles only ASCII.
local TEXT = "A Fuchs"

local function contains(text, lower)
  return text and text:lower():find(lower, 1, true)
end

filters.search = {
  hits = 96,
  options = { search = TEXT },
  filter = function(list)
    local lower, found = TEXT:lower(), {}
    for _, user in ipairs(list) do
      local first, last = user.first_name, user.last_name
      if contains(user.email, lower) or contains(first, lower) or contains(last, lower)
        or (first and last and contains(first .. " " .. last, lower)) or contains(user.external_user_id, lower) then
        found[#found + 1] = user
      end
    end
    return found
  end,
}

local CUSTOMER = "CUST-105588"

filters.where = {
  hits = 1,
  options = { where = { external_user_id = CUSTOMER } },
  filter = function(list)
    local found = {}
    for _, user in ipairs(list) do
      if user.external_user_id == CUSTOMER then found[#found + 1] = user end
    end
    return found
  end,
}

--- No filter, for comparison.
filters.none = { options = {} }

return filters
