--- Records pictures/podero.svg: the command in a terminal, with a mock Partner API.
--   lua5.4 tools/picture.lua      with the command on PATH; `make picture` does both
package.path = "./?.lua;" .. package.path

local nginx = require "spec.support.nginx"
local picture = require "spec.support.picture"

-- "command" bypasses the shell function with the same name.
nginx.write_file("pictures/podero.svg", picture.svg(picture.record(function() return "command podero" end)))
print "pictures/podero.svg"
