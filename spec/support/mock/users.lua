--- Seeded generator of users as the Partner API lists them.
-- The text is the same, byte for byte, on Lua 5.1 to 5.4 and LuaJIT: random numbers come from a generator whose
-- products stay below 2^53, and no floating-point number is ever printed.
--
-- Users number BLOCK + 1, BLOCK + 2, ... repeat the first BLOCK users with other ids, e-mails and external ids. That is
-- what makes a million users cheap. The first four users of every list are fixed points for tests:
--   1 every field has a value, plain ASCII    2 every nullable field is null
--   3 every nullable field is absent          4 every kind of escape, negative and integer coordinates

local users = {}

local BLOCK = 509
local PIECE = 64 * 1024
local DELETED_EVERY = 10

users.ORG = "016b78a7-0c7c-4241-a277-015c3ad3cb90"
users.OTHER_ORG = "7f2c1e9a-3b4d-4c5e-8f60-718293a4b5c6"

users.FIELDS = {
  "id", "organization_id", "external_user_id", "role", "email", "first_name", "last_name", "is_onboarded",
  "street_and_number", "street_add_info", "zip_code", "town", "country", "latitude", "longitude", "last_login",
  "num_inverters", "num_heat_pumps", "num_electric_vehicles", "num_wallboxes", "joined_at",
}

-- Control characters that stand in a template for what differs from user to user. JSON text never holds them.
local UUID, NUMBER, ORG = "\1", "\2", "\3"

local GRINNING, HOUSE, BOLT = "\240\159\152\128", "\240\159\143\160", "\226\154\161"

local FIRST_NAMES = {
  "Anna", "Lukas", "Jürgen", "Zoë", "Maja", "Žiga", "Çağla", "Élodie", "Stefan", "Günther", "Katharina", "Björn",
  "Luka", "Špela", "Matthias", "Marie-Luise", "Łukasz", "Sofia", "Andrej", "Käthe", "Emma", "José", "Ömer", "Ивана",
  "Ada", "Hans Peter", "Tjaša", "René",
}

local LAST_NAMES = {
  "Gruber", "Müller", "Novak", "Krajnc", "Weiß", "Hörmann", "Schröder", "Kovačič", "Zupančič", "Steiner", "Böhm",
  "O'Neill", "von der Tann", "Maier-Hofer", "Şahin", "Nowak", "Rossi", "Đorđević", "Fuchs", "Grünwald", "Pichler",
  "Lindström", "Horvat", "Übleis", "Wagner", "D\"Angelo", "Šuštar",
}

-- name, postcode pattern, latitude and longitude in whole degrees of the south-west corner, towns, streets
local COUNTRIES = {
  { "Austria", "%04d", 1000, 8999, 46, 12,
    { "Wien", "Graz", "Linz", "Sankt Pölten", "Salzburg", "Wörgl", "Mürzzuschlag", "Krems an der Donau" },
    { "Mariahilfer Straße", "Am Graben", "Höhenweg", "Dr.-Karl-Renner-Platz", "Währinger Gürtel", "Kärntner Ring" } },
  { "Germany", "%05d", 1067, 98999, 48, 7,
    { "München", "Köln", "Lübeck", "Berlin", "Saarbrücken", "Bad Tölz", "Düsseldorf" },
    { "Goethestraße", "Hauptstr.", "Königsallee", "An der Mühle", "Unter den Linden", "Straße des 17. Juni" } },
  { "Slovenia", "%04d", 1000, 9265, 45, 13,
    { "Ljubljana", "Maribor", "Škofja Loka", "Črnomelj", "Koper / Capodistria", "Žalec" },
    { "Slovenska cesta", "Čopova ulica", "Trubarjeva cesta", "Župančičeva", "Pot na Fužine" } },
  { "Switzerland", "%04d", 1000, 9658, 46, 6,
    { "Zürich", "Genève", "Neuchâtel", "Bern", "Delémont" },
    { "Bahnhofstrasse", "Rue du Rhône", "Chemin des Écoliers", "Limmatquai" } },
  { "Italy", "%05d", 10, 98168, 45, 10,
    { "Bozen / Bolzano", "Meran", "Trieste", "Cantù" },
    { "Via Dante", "Laubengasse", "Via dell'Università", "Piazza Walther" } },
}

local ADDITIONS = {
  "Top 3", "Stiege 2, Tür 14", "Hinterhaus " .. GRINNING, "bei \"Huber\"", "c/o Müller & Söhne", "Stg. 1\nTop 7",
  "Haus \\ Garten", "1. OG\tlinks", "Žiga's " .. HOUSE .. " " .. BOLT, "3/12", "rückwärts", "<Einfahrt B>",
}

local DOMAINS = { "example.com", "example.org", "example.net", "mail.example.com", "post.example.org" }

--- A random source after Park and Miller; `random(n)` is a whole number from 0 to n - 1.
local function random_source(seed)
  local state = (seed % 2147483645) + 1
  local function random(n)
    state = state * 16807 % 2147483647
    return math.floor(state / 16) % n
  end
  -- Similar seeds give similar first numbers; these are skipped.
  for _ = 1, 4 do random(2) end
  return random
end

local function pick(random, list)
  return list[random(#list) + 1]
end

local ESCAPES = { ["\""] = "\\\"", ["\\"] = "\\\\", ["\n"] = "\\n", ["\t"] = "\\t" }

--- The \u escape of a UTF-8 sequence, as a surrogate pair beyond the basic plane.
local function unicode_escape(sequence)
  local code = sequence:byte(1)
  code = code >= 240 and code - 240 or code >= 224 and code - 224 or code - 192
  for i = 2, #sequence do
    code = code * 64 + sequence:byte(i) - 128
  end
  if code < 65536 then return ("\\u%04x"):format(code) end
  code = code - 65536
  return ("\\u%04x\\u%04x"):format(55296 + math.floor(code / 1024), 56320 + code % 1024)
end

--- A JSON string. Styles: "ascii" (as Python writes it), "utf8", "slashes" (utf8, with every / escaped).
local function quote(text, style)
  text = text:gsub("[\"\\\n\t]", ESCAPES)
  if style == "ascii" then
    text = text:gsub("[\194-\244][\128-\191]+", unicode_escape)
  elseif style == "slashes" then
    text = text:gsub("/", "\\/")
  end
  return "\"" .. text .. "\""
end

local function date_time(random, first_year, years)
  local text = ("%04d-%02d-%02dT%02d:%02d:%02d"):format(first_year + random(years), random(12) + 1, random(28) + 1,
    random(24), random(60), random(60))
  -- A moment without microseconds is written without a fraction, as Python does.
  if random(10) > 0 then text = text .. (".%06d"):format(random(1000000)) end
  return "\"" .. text .. (random(2) == 0 and "Z" or "+00:00") .. "\""
end

local function coordinate(random, base)
  local degrees = base + random(3)
  local kind = random(12)
  if kind == 0 then return ("%d"):format(degrees) end
  if kind == 1 then return ("%d.%d"):format(degrees, random(10)) end
  return ("%d.%06d"):format(degrees, random(1000000))
end

local function uuid_of(random)
  return ("%08x-%04x-4%03x-%04x-%06x%06x"):format(random(16777216), random(65536), random(4096),
    32768 + random(16384), random(16777216), random(16777216))
end

local FIXED_ROLES = { "admin", "staff", "guest", "user" }

local function role_of(random, index)
  local fixed = FIXED_ROLES[index]
  if fixed then return fixed end
  local number = random(100)
  return number < 3 and "admin" or number < 8 and "staff" or number < 12 and "guest" or "user"
end

--- The e-mail's local part: what is left of a name in lower-case ASCII.
local function mailbox(first, last)
  local name = (first .. "." .. last):lower():gsub("[^%w.]", "")
  return (name:gsub("^%.+", ""))
end

local NULLABLE = {
  external_user_id = true, first_name = true, last_name = true, is_onboarded = true, street_and_number = true,
  street_add_info = true, zip_code = true, town = true, country = true, latitude = true, longitude = true,
  last_login = true, joined_at = true,
}

local function fields_of(random, index, style)
  local country = index == 1 and COUNTRIES[1] or pick(random, COUNTRIES)
  local first, last = pick(random, FIRST_NAMES), pick(random, LAST_NAMES)
  local street, town = pick(random, country[8]), pick(random, country[7])
  local addition = pick(random, ADDITIONS)
  if index == 1 then
    first, last, street, town, addition = "Anna", "Gruber", "Am Graben", "Wien", "Top 3"
  elseif index == 4 then
    first, last = "Zoë \"Zo\" " .. GRINNING, "O'Neill\\Müller"
    street, addition = "Straße/Ulica", "Stiege 2\nTür 5\t" .. HOUSE
  end
  local external = random(4)
  local fields = {
    id = "\"" .. UUID .. "\"",
    organization_id = "\"" .. ORG .. "\"",
    external_user_id = external == 0 and "\"" .. uuid_of(random) .. "-" .. NUMBER .. "\""
      or external == 1 and "\"" .. NUMBER .. "\"" or "\"CUST-" .. NUMBER .. "\"",
    role = "\"" .. role_of(random, index) .. "\"",
    email = "\"" .. mailbox(first, last) .. "." .. NUMBER .. "@" .. pick(random, DOMAINS) .. "\"",
    first_name = quote(first, style),
    last_name = quote(last, style),
    is_onboarded = random(4) > 0 and "true" or "false",
    street_and_number = quote(street .. (" %d"):format(random(180) + 1) .. (random(6) == 0 and "/2" or ""), style),
    street_add_info = quote(addition, style),
    zip_code = "\"" .. country[2]:format(country[3] + random(country[4] - country[3])) .. "\"",
    town = quote(town, style),
    country = quote(country[1], style),
    latitude = coordinate(random, country[5]),
    longitude = coordinate(random, country[6]),
    last_login = date_time(random, 2024, 2),
    num_inverters = ("%d"):format(random(3)),
    num_heat_pumps = ("%d"):format(random(2)),
    num_electric_vehicles = ("%d"):format(random(4)),
    num_wallboxes = ("%d"):format(random(3)),
    joined_at = date_time(random, 2021, 3),
  }
  if index == 1 then
    fields.latitude, fields.longitude = "48.208493", "16.373118"
  elseif index == 4 then
    fields.latitude, fields.longitude = "48", "-9.139337"
  end
  return fields
end

--- What becomes of a nullable field: "value", "null" or "absent". Only some addresses have additional information.
local function fate_of(random, index, name)
  local number = random(100)
  if index == 1 or index == 4 then return "value" end
  if index == 2 then return "null" end
  if index == 3 then return "absent" end
  local null = name == "street_add_info" and 60 or 12
  return number < null and "null" or number < null + 3 and "absent" or "value"
end

local STYLES = { "ascii", "utf8", "ascii", "slashes" }

--- One user as a list of text parts; what stands for a value of its own is named by `codes` at the same index.
local function template(random, index)
  local style = index == 4 and "ascii" or STYLES[random(#STYLES) + 1]
  local comma, colon = ", ", "\": "
  if style == "utf8" then comma, colon = ",", "\":" end
  local fields = fields_of(random, index, style)
  local members = {}
  for _, name in ipairs(users.FIELDS) do
    local value = fields[name]
    if NULLABLE[name] then
      local fate = fate_of(random, index, name)
      value = fate == "value" and value or fate == "null" and "null" or nil
    end
    if value then members[#members + 1] = "\"" .. name .. colon .. value end
  end
  local text = "{" .. table.concat(members, comma)
  local parts, codes = {}, {}
  for literal, code in (text .. "\4"):gmatch("([^\1-\4]*)([\1-\4])") do
    parts[#parts + 1] = literal
    codes[#codes + 1] = code
  end
  codes[#codes] = false
  return { parts = parts, codes = codes, uuid = uuid_of(random):sub(9, 24) }
end

local blocks, block_count = {}, 0

local function block_of(seed)
  local block = blocks[seed]
  if block then return block end
  local random = random_source(seed)
  block = {}
  for index = 1, BLOCK do
    block[index] = template(random, index)
  end
  if block_count >= 64 then blocks, block_count = {}, 0 end
  blocks[seed], block_count = block, block_count + 1
  return block
end

--- Appends the text parts of user `i` to `buffer` after its first `used` ones; returns how many there are then.
local function append_user(buffer, used, block, i, org_id, extra)
  local user = block[(i - 1) % BLOCK + 1]
  local parts, codes = user.parts, user.codes
  local number = ("%d"):format(100000 + i)
  for k = 1, #parts do
    used = used + 1
    buffer[used] = parts[k]
    local code = codes[k]
    if code then
      used = used + 1
      if code == NUMBER then
        buffer[used] = number
      elseif code == ORG then
        buffer[used] = org_id
      else
        -- Odd factors permute the residues, so ids differ; the remainders keep the products exact.
        buffer[used] = ("%08x%s%06x%06x"):format((i % 1048576) * 2654435761 % 4294967296, user.uuid,
          math.floor(i / 1048576), (i % 16777216) * 7368787 % 16777216)
      end
    end
  end
  if extra then
    buffer[used + 1], buffer[used + 2] = ", ", extra
    used = used + 2
  end
  used = used + 1
  buffer[used] = "}"
  return used
end

--- Whether the i-th generated user is soft-deleted, so that only `include_deleted` shows it.
function users.is_deleted(i)
  return i % DELETED_EVERY == 0
end

--- How many users a list of `n` non-deleted ones has.
function users.count(n, include_deleted)
  if not include_deleted then return n end
  return n + math.floor(n / (DELETED_EVERY - 1))
end

--- The JSON text of the i-th generated user. `options`: org_id, extra (raw JSON members to append).
function users.user_json(seed, i, options)
  options = options or {}
  local buffer = {}
  append_user(buffer, 0, block_of(seed), i, options.org_id or users.ORG, options.extra)
  return table.concat(buffer)
end

--- An iterator over the text of a list, in pieces of about 64 KB. `options` as of `user_json`.
function users.pieces(seed, n, include_deleted, options)
  options = options or {}
  local org_id, extra = options.org_id or users.ORG, options.extra
  local block = block_of(seed)
  local total = n + math.floor(n / (DELETED_EVERY - 1))
  local i, first, ended = 0, true, false
  -- How many users make a piece is guessed from the mean size of one, to spare counting the bytes of each part.
  local sample = 0
  for k = 1, 8 do sample = sample + #users.user_json(seed, k * 7, options) end
  local per_piece = math.max(1, math.floor(PIECE * 8 / sample))
  return function()
    if ended then return nil end
    local buffer, used, taken = {}, 0, 0
    if first then
      buffer[1], used = "[", 1
    end
    while taken < per_piece and i < total do
      i = i + 1
      if include_deleted or i % DELETED_EVERY ~= 0 then
        if first then
          first = false
        else
          used = used + 1
          buffer[used] = ", "
        end
        used = append_user(buffer, used, block, i, org_id, extra)
        taken = taken + 1
      end
    end
    if i >= total then
      ended = true
      buffer[used + 1] = "]"
    end
    return table.concat(buffer)
  end
end

--- The text of a whole list.
function users.list_json(seed, n, include_deleted, options)
  local pieces = {}
  for piece in users.pieces(seed, n, include_deleted, options) do
    pieces[#pieces + 1] = piece
  end
  return table.concat(pieces)
end

return users
