std = "max"
max_line_length = 120
cache = false
exclude_files = { "build/" }
files["spec/**/*_spec.lua"].std = "max+busted"
files["spec/browser/*.lua"].std = "max+busted"
files["spec/deb/*.lua"].std = "max+busted"
files["spec/support/*_selftest.lua"].std = "max+busted"
files["spec/support/mock/api.lua"].std = "ngx_lua"
-- These let go of large values by assigning nil to them.
files["spec/json_spec.lua"].ignore = { "31" }
files["spec/decoder_spec.lua"].ignore = { "31" }
-- Declarations for editors: no bodies, one line a field.
files["types/**/*.lua"].ignore = { "212", "241", "631" }
files["examples/nginx/lua/**/*.lua"].std = "ngx_lua"
files["examples/metrics/lua/**/*.lua"].std = "ngx_lua"
files["bench/nginx/handlers.lua"].std = "ngx_lua"
