--- Makes pictures/podero.svg: the command on a terminal, in front of a mock Partner API.
--   lua5.4 tools/picture.lua   (as `make picture` does, with the command on PATH)
package.path = "./?.lua;" .. package.path

local nginx = require "spec.support.nginx"
local picture = require "spec.support.picture"

-- "command" passes over the shell function of the same name.
nginx.write_file("pictures/podero.svg", picture.svg(picture.record(function() return "command podero" end)))
print "pictures/podero.svg"
