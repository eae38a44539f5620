--- What nginx.conf calls: one function for each location.
return {
  home = require("site.home").show,
  json = require "site.json",
  csv = require "site.csv",
  roster = require "site.roster",
  health = require "site.health",
  problem = require("site.failure").of_status,
}
