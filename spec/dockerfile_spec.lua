--- The Dockerfile of examples/nginx. No image can be pulled here: the instructions are checked one by one, and the
-- build runs with a LuaJIT in OpenResty's folders.

local cjson = require "cjson"
local helper = require "spec.support.helper"
local podero = require "podero"

-- The image has LuaJIT only.
if not jit then return end

local FILE = "examples/nginx/Dockerfile"

local quoted = helper.quoted

--- Runs a shell command that has to succeed. Returns its output.
local function shell(line)
  local output, code = helper.shell(line)
  assert.equal(0, code, line .. "\n" .. output)
  return (output:gsub("%s+$", ""))
end

--- The instructions of a Dockerfile: an array of { name, words }, without comments, continued lines joined.
local function instructions(text)
  local list, whole = {}, nil
  for line in text:gmatch("([^\n]*)\n") do
    if not line:find "^%s*#" then
      whole = (whole or "") .. line
      if whole:find "\\$" then
        whole = whole:gsub("\\$", "")
      elseif whole ~= "" then
        local name, words = whole:match("^(%u+) +(.-)%s*$")
        assert.truthy(name, "no instruction: " .. whole)
        list[#list + 1], whole = { name = name, words = words }, nil
      else
        whole = nil
      end
    end
  end
  assert.is_nil(whole)
  return list
end

--- Whether it is a JSON array of strings, which Docker runs without a shell.
local function is_exec_form(words)
  local ok, list = pcall(cjson.decode, words)
  if not ok or type(list) ~= "table" or #list == 0 then return false end
  for _, word in ipairs(list) do
    if type(word) ~= "string" then return false end
  end
  return true
end

--- Whether the repository has this path of a COPY; a folder ends in a slash.
local function is_in_repository(path)
  return select(2, helper.shell(("test %s %s"):format(path:find "/$" and "-d" or "-f", quoted(path)))) == 0
end

--- For each instruction that is allowed: a function that returns what is wrong with its words, or nil.
local CHECKS = {
  FROM = function(words, stages)
    local image, stage = words:match("^(%S+) AS (%l+)$")
    image = image or words:match("^%S+$")
    if not image then return "FROM IMAGE [AS STAGE]" end
    if stage then stages[stage] = true end
    return not image:find "^openresty/openresty:[%w.-]*alpine$" and "another image than OpenResty's Alpine" or nil
  end,
  RUN = function(words)
    return select(2, helper.shell("sh -n -c " .. quoted(words))) ~= 0 and "no shell command" or nil
  end,
  COPY = function(words, stages)
    local stage, rest = words:match("^%-%-from=(%l+) (.*)$")
    if stage and not stages[stage] then return "no stage " .. stage end
    if stage then return not rest:find "^/%S+ /%S*$" and "FROM TO" or nil end
    local from, to = words:match("^(%S+) (%S+)$")
    if not from then return "FROM TO" end
    return not is_in_repository(from) and from .. " is not in the repository" or not to:find "/$" and to or nil
  end,
  WORKDIR = function(words) return not words:find "^/%S+$" and "no absolute path" or nil end,
  USER = function(words) return not words:find "^%l+$" and "no user" or nil end,
  EXPOSE = function(words) return not words:find "^%d+$" and "no port" or nil end,
  HEALTHCHECK = function(words)
    return not (words:find "^CMD %[" and is_exec_form(words:sub(5))) and "CMD [\"PROGRAM\", …]" or nil
  end,
  CMD = function(words) return not is_exec_form(words) and "[\"PROGRAM\", …]" or nil end,
}

--- What is wrong with a Dockerfile, as an array of lines.
local function complaints(text)
  local found, stages, list = {}, {}, instructions(text)
  for index, instruction in ipairs(list) do
    local check = CHECKS[instruction.name]
    local wrong = not check and "unknown instruction" or check and check(instruction.words, stages)
    if index == 1 and instruction.name ~= "FROM" then wrong = "comes before FROM" end
    if wrong then found[#found + 1] = ("%s %s: %s"):format(instruction.name, instruction.words, wrong) end
  end
  if list[#list].name ~= "CMD" then found[#found + 1] = "it does not end with CMD" end
  return found
end

describe("the Dockerfile of examples/nginx", function()
  local text = helper.read(FILE)

  --- The words of the first instruction of this name that have this text.
  local function words_of(name, part)
    for _, instruction in ipairs(instructions(text)) do
      if instruction.name == name and instruction.words:find(part, 1, true) then return instruction.words end
    end
    error("no " .. name .. " with " .. part)
  end

  it("has only valid instructions", function()
    assert.same({}, complaints(text))
  end)

  it("would be refused with an invalid instruction", function()
    local cases = {
      "RUNN true", "COPY nothing.lua ./", "COPY --from=nowhere /a /b", "RUN if true; fi", "CMD nginx", "WORKDIR podero",
      "FROM alpine",
    }
    for _, wrong in ipairs(cases) do
      assert.equal(1, #complaints(text:gsub("USER nobody", wrong)), wrong)
    end
  end)

  it("copies only what its .dockerignore allows", function()
    local ignored = helper.read(FILE .. ".dockerignore")
    assert.truthy(ignored:find("\n*\n", 1, true))
    for _, instruction in ipairs(instructions(text)) do
      local from = instruction.name == "COPY" and instruction.words:match("^([%l%u][^ ]*)")
      if from then
        local top = from:find "^examples" and "examples/nginx" or from:gsub("/$", "")
        assert.truthy(ignored:find("\n!" .. top .. "\n", 1, true), from)
      end
    end
  end)

  it("installs only Alpine's build tools and libcurl", function()
    assert.equal("apk add --no-cache build-base curl-dev", words_of("RUN", "build-base"))
    assert.equal("apk add --no-cache ca-certificates libcurl", words_of("RUN", "libcurl"))
  end)

  describe("builds", function()
    local dir

    setup(function() dir = shell "mktemp -d \"${TMPDIR:-/tmp}/podero-docker.XXXXXX\"" end)
    teardown(function() helper.shell("rm -rf " .. dir) end)

    it("a module and a command that find each other in OpenResty's folders", function()
      local root = dir .. "/usr/local/openresty"
      shell(("mkdir -p %s/luajit/bin %s/luajit/include %s/podero"):format(root, root, dir))
      shell(("cp \"$(command -v luajit)\" %s/luajit/bin/"):format(root))
      shell(("ln -s %s %s/luajit/include/luajit-2.1"):format(shell "pkg-config --variable=includedir luajit", root))
      -- OpenResty contains it.
      shell(("mkdir %s/lualib && ln -s %s %s/lualib/"):format(root, assert(package.searchpath("cjson", package.cpath)),
        root))
      for _, instruction in ipairs(instructions(text)) do
        local from, to = instruction.words:match("^([^-]%S*) (%S+)$")
        if instruction.name == "COPY" and from and not to:find "^/" then
          local target = ("%s/podero/%s"):format(dir, to)
          shell(from:find "/$" and ("cp -R %s %s"):format(from, target) or ("cp %s %s"):format(from, target))
        end
      end
      local line = words_of("RUN", "make install"):gsub("/usr/local/openresty", root)
      line = line:gsub("/installed", dir .. "/installed")
      shell(("cd %s/podero && env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL CFLAGS=-O0 %s"):format(dir, line))
      shell(("cp -R %s/installed%s/. %s"):format(dir, root, root))
      local without = "cd / && env -u LUA_PATH -u LUA_CPATH "
      assert.equal(podero._VERSION, shell(("%s %s/installed/usr/local/bin/podero --version"):format(without, dir)))
      assert.equal(podero._VERSION, shell(("%s LUA_CPATH='%s/lualib/?.so' %s/luajit/bin/luajit -e %s"):format(
        without, root, root, quoted "print(require \"podero\"._VERSION)")))
    end)

    it("a site that uses OpenResty's Lua and listens on all addresses", function()
      shell(("mkdir %s/site && cp examples/nginx/nginx.conf %s/site"):format(dir, dir))
      shell((words_of("RUN", "sed -i"):gsub("/site", dir .. "/site")))
      local conf = helper.read(dir .. "/site/nginx.conf")
      assert.is_nil(conf:find "\n *load_module")
      assert.equal(2, select(2, conf:gsub("\n *listen 8080[ ;]", "")))
      assert.equal(2, select(2, conf:gsub("\n *listen", "")))
    end)
  end)
end)
