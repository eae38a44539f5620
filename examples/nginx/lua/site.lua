--- What nginx.conf calls: one function for each location.
return {
  json = require "site.json",
  csv = require "site.csv",
  roster = require "site.roster",
  health = require "site.health",
}
