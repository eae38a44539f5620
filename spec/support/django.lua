-- Lua 5.1 and LuaJIT do not look for init.lua in the current folder.
return require "spec.support.django.init"
