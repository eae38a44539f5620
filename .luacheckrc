std = "max"
max_line_length = 120
cache = false
files["spec/**/*_spec.lua"].std = "max+busted"
files["spec/support/mock_selftest.lua"].std = "max+busted"
files["spec/support/mock/api.lua"].std = "ngx_lua"
