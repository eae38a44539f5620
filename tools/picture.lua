--- Records pictures/podero.svg: the command on a terminal, against a mock Partner API.
--   lua5.4 tools/picture.lua   (as `make picture` does, with the command on PATH)
local mock = require "spec.support.mock"

local LARGE = "3f0c6a52-91d7-4b1e-a8c4-5d2e7f908b16"
local COLUMNS, ROWS = 120, 19

-- What is typed; each line is shown behind a prompt and then run.
local LINES = {
  "podero users $ORG --role admin --role staff",
  "podero users $LARGE_ORG --format ndjson --output users.ndjson",
  "podero token",
  "podero users 12345",
}

local function shell(command, ...)
  assert(os.execute(command:format(...)))
end

local pipe = io.popen("mktemp -d")
local folder = pipe:read("l")
pipe:close()

local script = assert(io.open(folder .. "/session.sh", "w"))
for _, line in ipairs(LINES) do
  script:write(("printf '\\033[32m$\\033[0m %%s\\n' '%s'\n%s\n"):format(line, line))
end
script:write("sleep 1\n") -- the last frame is one that stays
script:close()

local server = mock.start { tls = false }
server:configure { organizations = { [mock.ORG] = { users = 60, seed = 17 }, [LARGE] = { users = 100000 } } }
local environment = ("PODERO_BASE_URL=%s PODERO_CLIENT_ID=%s PODERO_CLIENT_SECRET=%s"):format(
  server.url, mock.credentials.client_id, mock.credentials.client_secret)
-- `script` gives termtosvg the terminal that it wants to stand on.
shell("cd %s && env TERM=xterm ORG=%s LARGE_ORG=%s %s script -qefc "
  .. "'termtosvg -s -t window_frame -g %dx%d -c \"sh session.sh\" frames' /dev/null >/dev/null </dev/null",
  folder, mock.ORG, LARGE, environment, COLUMNS, ROWS)
server:stop()

-- Not every viewer keeps spaces in a row.
local frames = assert(io.popen(("cat \"$(ls %s/frames/*.svg | sort | tail -n 1)\""):format(folder)))
local picture = frames:read("a"):gsub("(<text[^>]*>)([^<]*)", function(tag, text)
  return tag .. text:gsub(" ", "\194\160")
end)
frames:close()
shell("rm -r %s", folder)
local file = assert(io.open("pictures/podero.svg", "w"))
file:write(picture)
file:close()
