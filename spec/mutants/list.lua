--- Lines that keep a promise, each with a change that breaks it and the spec that has to fail then; for run.lua.
--   file        below src/
--   find        a text that the file contains once
--   replace     what replaces it; "" removes it
--   spec        a spec file, without its folder and _spec.lua
--   filter      a Lua pattern for the names of its tests; all of them if it is missing
--   lua         the Lua to test with; lua5.4 if it is missing
return {
  -- a call has one way to succeed -------------------------------------------------------------------------------------
  {
    file = "lua/call_object.c", spec = "stopped_calls",
    find = "  if (!object->completed) {", replace = "  if (false) {",
  },
  {
    file = "core/http/transfer.c", spec = "status", filter = "receives an error whose body",
    find = "  if (has_error_status(x, code)) return false;\n", replace = "",
  },
  {
    file = "core/http/transfer.c", spec = "faults", filter = "closed between two header fields",
    find = "  if (code == CURLE_OK && !x->header_complete) {", replace = "  if (false) {",
  },
  {
    file = "core/call.c", spec = "abandoned_calls", filter = "nobody waits for",
    find = "  if (now < call->deadline) return;\n  wake_waiter(call);", replace = "  return;\n  wake_waiter(call);",
  },
  {
    file = "core/call.c", spec = "events", filter = "a response that came in time counts",
    find = "    read_late_response(call, environment);\n", replace = "",
  },

  -- waiting -----------------------------------------------------------------------------------------------------------
  {
    file = "lua/wait_nginx.lua", spec = "nginx_pump", filter = "has one pump", lua = "luajit",
    find = "  if running then return end -- the timer", replace = "  -- the timer",
  },
  {
    file = "lua/wait_nginx.lua", spec = "nginx_pump", filter = "has a notifier", lua = "luajit",
    find = "  if connected and socket:send(cookie) and c.notifier_start(new) then", replace = "  if true then",
  },
  {
    file = "lua/wait_nginx.lua", spec = "nginx_pump", filter = "or yields without it after it fails", lua = "luajit",
    find = "    yielder = nil\n    write_byte() -- the pump may be reading\n", replace = "",
  },
  {
    file = "lua/wait_nginx.lua", spec = "nginx_pump", filter = "no processor time while nothing", lua = "luajit",
    find = "      due, repeats = 0, repeats - 1", replace = "      due = 0",
  },
  {
    file = "lua/wait_nginx.lua", spec = "nginx", filter = "a pump without waiting calls", lua = "luajit",
    find = "      if due <= 0 or exiting then return end", replace = "",
  },
  {
    file = "lua/wait_nginx.lua", spec = "wait", filter = "global ngx that is not nginx's",
    find = 'local get_phase = type(ngx) == "table" and ngx.get_phase', replace = "local get_phase = ngx.get_phase",
  },
  {
    file = "lua/methods.lua", spec = "stopped_calls", filter = "its coroutine is closed",
    find = "function Waiter.__close(waiter)\n  c.stop(waiter.calls)", replace = "function Waiter.__close(waiter)",
  },
  {
    file = "lua/methods.lua", spec = "each_user", filter = "returns an iterator with close",
    find = "  iterator.is_over = true\n  c.stop(iterator.calls)", replace = "  iterator.is_over = true",
  },
  {
    file = "lua/call_object.c", spec = "connections", filter = "reuses the connections of abandoned loops",
    find = "  if (session_lacks_descriptors(object->session))\n", replace = "  if (false)\n",
  },

  -- sockets and connections -------------------------------------------------------------------------------------------
  {
    file = "core/loop/reactor_epoll.c", spec = "reactor", filter = "watches the new file of a reused number",
    find = "return errno == ENOENT && add_to_set(b, r, events);", replace = "return false;",
  },
  {
    file = "core/loop/reactor_epoll.c", spec = "reactor", filter = "does not spin on a file that was closed",
    find = "  if (stale) rebuild(b);\n", replace = "",
  },
  {
    file = "core/loop/reactor_epoll.c", spec = "reactor", filter = "watches the new file of a reused number",
    find = "  return events == 0 || wait_for(b, r, watcher, events | duplicate);", replace = "  return duplicate >= 0;",
  },
  {
    file = "core/http/connection.c", spec = "connections", filter = "goes silent",
    find = "  if (others.count == 0) return CONNECTION_DISCARD;",
    replace = "  if (others.count == 0) return CONNECTION_KEEP;",
  },
  {
    file = "core/http/connection.c", spec = "connections", filter = "server has closed 40 idle connections",
    find = "  if (t->out_of_memory || !was_lost(x, code)) return false;", replace = "  return false;",
  },
  {
    file = "core/call.c", spec = "request", filter = "POST",
    find = "      .fresh_connection = is_unsafe(call),\n", replace = "",
  },
  {
    file = "core/http/connection_limit.c", spec = "connections", filter = "counts the connections of each_user",
    find = "  unsigned max_private = max > 1 ? max - 1 : 1;", replace = "  unsigned max_private = max;",
  },
  {
    file = "core/fork.c", spec = "lifecycle", filter = "made before a fork",
    find = "  if (file.fork_count == count || fork_is_same_file(fd, file)) close(fd);",
    replace = "  close(fd), (void)file;",
  },
  {
    file = "core/http/openssl.c", spec = "http2", filter = "cannot hold a call",
    find = "  if (now - r->began <= MAX_ITERATION_SECONDS) return;", replace = "  return;",
  },

  -- tokens ------------------------------------------------------------------------------------------------------------
  {
    file = "core/oauth2/token_source.c", spec = "token_fetch", filter = "gets no response",
    find = "  if (is_late && (r == NULL || r->failure.kind == FAILURE_TIMEOUT))", replace = "  if (false)",
  },
  {
    file = "core/oauth2/token_source.c", spec = "store", filter = "with refresh tokens",
    find = "  if (s->refresh_token != NULL && strcmp(s->refresh_token, s->refresh_token_sent) == 0) {",
    replace = "  if (s->refresh_token != NULL) {",
  },
  {
    file = "core/oauth2/token_source.c", spec = "store", filter = "handed out once more",
    find = "  previous_tokens_remove(&s->previous, text);\n", replace = "",
  },
  {
    file = "core/oauth2/token_source.c", spec = "store", filter = "replaced, not refused",
    find = "token == &s->access_token ? s->generation : 0, false);",
    replace = "token == &s->access_token ? s->generation : 0, true);",
  },
  {
    file = "core/oauth2/token_source.c", spec = "token", filter = "if the API refuses the first use",
    find = "  if (s->is_unproven) forget_refresh_token(s);\n", replace = "",
  },
  {
    file = "core/oauth2/token_source.c", spec = "django",
    find = "  return r->status == 500 || !token_refusal_is_temporary(r, t);",
    replace = "  return !token_refusal_is_temporary(r, t);",
  },
  {
    file = "core/oauth2/token_source.c", spec = "token_endpoints", filter = "from a store once",
    find = "  if (s->refresh_token != NULL) token_requester_use_endpoint(&s->requester, s->refresh_endpoint);\n",
    replace = "",
  },
  {
    file = "core/oauth2/token_source.c", spec = "token_endpoints", filter = "does not store it",
    find = "is_of_style ? s->refresh_token : NULL", replace = "s->refresh_token",
  },
  {
    file = "core/oauth2/token_request.c", spec = "token_endpoints", filter = "from a store once",
    find = "  } else if (!is_refresh && next", replace = "  } else if (next",
  },
  {
    file = "core/oauth2/token_request.c", spec = "token_endpoints", filter = "no longer there",
    find = "    if (is_refresh || works) return false;", replace = "    if (works) return false;",
  },
  {
    file = "core/oauth2/token_response.c", spec = "token", filter = "with empty strings",
    find = "  if (event != JSON_STRING || r->size == 0) return true;",
    replace = "  if (event != JSON_STRING) return true;",
  },
  {
    file = "core/oauth2/token_response.c", spec = "status", filter = "a token of more than 64 KB",
    find = "  return token != NULL && strlen(token) > MAX_TOKEN_BYTES;", replace = "  return token == NULL && false;",
  },
  {
    file = "core/oauth2/refusals.c", spec = "token_endpoints", filter = "an error reports",
    find = "  if (refusals->url != NULL && refusals->rank <= rank && !retryable) return false;\n", replace = "",
  },
  {
    file = "core/oauth2/token_refusal.c", spec = "token_endpoints", filter = "is not a token endpoint's",
    find = "  if (r->status == 404 || r->status == 405 || r->status == 410) return CLASS_FOREIGN;\n", replace = "",
  },
  {
    file = "lua/methods.lua", spec = "store", filter = "stays held",
    find = '  elseif (err == nil or err == "exists") and c.postpone(call, CHECK_SECONDS) then',
    replace = '  elseif err == nil or err == "exists" then\n    c.postpone(call, CHECK_SECONDS)',
  },
  {
    file = "lua/methods.lua", spec = "store", filter = "does not have a lock deleted",
    find = "  if shared.can_delete and c.clock() - locked < UNLOCK_SECONDS then",
    replace = "  if shared.can_delete then",
  },

  -- tests of programs -------------------------------------------------------------------------------------------------
  {
    file = "lua/call_arguments.c", spec = "mock_module", filter = "same queries and header fields",
    find = "push_query_option(L, method, &out->options, out->opts, first);", replace = "first;",
  },
  {
    file = "lua/call_arguments.c", spec = "mock_module", filter = "says of a closed client",
    find = "  argument_refuse_surplus(L, 4, 3, name);\n  if (client->is_closed) return fail_closed(L, client);\n"
      .. "  read_value_options(L, client, METHOD_GET, out);",
    replace = "  read_value_options(L, client, METHOD_GET, out);\n"
      .. "  if (client->is_closed) return fail_closed(L, client);",
  },
  {
    file = "lua/argument.c", spec = "mock_module", filter = "same queries and header fields",
    find = "  for (int level = 2; strncmp(", replace = "  for (int level = 2; level < 3 && strncmp(",
  },
  {
    file = "lua/mock.lua", spec = "mock_module", filter = "shares results",
    find = "    results[alias], errors[alias] = results[id], errors[id]\n", replace = "",
  },
  {
    file = "lua/mock.lua", spec = "mock_module", filter = "no array of users",
    find = "    if users[i] == nil then return nil,", replace = "    if false then return nil,",
  },
  {
    file = "lua/mock.lua", spec = "mock_module", filter = "URL and header fields",
    find = '  err.url = url or base_url .. call.path .. (call.query and "?" .. call.query or "")', replace = "",
  },
  {
    file = "lua/mock.lua", spec = "mock_nginx", filter = "logs an error", lua = "luajit",
    find = "    c.raise_failure(failure)", replace = "    error(failure, 0)",
  },
  {
    file = "lua/mock.c", spec = "mock_module", filter = "queries, methods and bodies",
    find = "  if (size > max)\n", replace = "  if (false)\n",
  },
  {
    file = "command/http_server.lua", spec = "command_mock", filter = "not received in time",
    find = "  return clock() < connection.deadline", replace = "  return true",
  },
  {
    file = "command/http_server.lua", spec = "command_mock", filter = "uses no processor time",
    find = "then accept_at = clock() + ACCEPT_PAUSE_SECONDS end", replace = "then accept_at = 0 end",
  },
  {
    file = "command/http_server.lua", spec = "command_mock", filter = "reads slowly",
    find = "accepted:settimeout(0)", replace = "accepted:settimeout(10)",
  },
  {
    file = "command/mock_api.lua", spec = "command_mock", filter = "deleted users",
    find = "includes_deleted and lists.all or lists.users", replace = "lists.users",
  },
  {
    file = "command/commands/mock.lua", spec = "command_mock", filter = "dies at once",
    find = "  system.catch_signals()", replace = "  --",
  },

  -- what a peer may cost ----------------------------------------------------------------------------------------------
  {
    file = "core/http/receive.c", spec = "status", filter = "two codings",
    find = "++x->content_codings > 1)", replace = "++x->content_codings > 9)",
  },
  {
    file = "core/http/receive.c", spec = "status", filter = "does not read the proxy",
    find = "  if (r->status < 200) return !is_tunnel_refused(x);", replace = "  if (r->status < 200) return true;",
  },
  {
    file = "core/http/receive.c", spec = "retry", filter = "Retry%-After",
    find = "  r->retry_after = fmin(fmax(seconds, 0), MAX_RETRY_AFTER_SECONDS);",
    replace = "  r->retry_after = seconds;",
  },
  {
    file = "core/http/receive.c", spec = "status", filter = "receives Retry%-After",
    find = "(now != -1 ? (double)now : clock_wall())", replace = "(now != -1 ? clock_wall() : clock_wall())",
  },
  {
    file = "core/http/receive.c", spec = "status", filter = "looks like a status line",
    find = "  bool is_due = !x->in_header && x->response.status < 200;", replace = "  bool is_due = true;",
  },
  {
    file = "core/http/receive.c", spec = "status", filter = "that receives a header",
    find = "  x->field_too_large = size > MAX_FIELD_BYTES;", replace = "  x->field_too_large = false;",
  },
  {
    file = "core/http/receive.c", spec = "faults", filter = "gzip bomb",
    find = "  if (x->past_deadline) return 0;\n", replace = "",
  },
  {
    file = "core/http/transfer.c", spec = "status", filter = "fails that call only",
    find = "!x->out_of_memory && (x->paused || has_long_field(x));", replace = "false;",
  },
  {
    file = "core/http/transfer.c", spec = "connections", filter = "no descriptor is left",
    find = "  if (x->no_descriptor) return (struct report){FAILURE_NETWORK, true, \"\", \"too many open files\"};\n",
    replace = "",
  },
  {
    file = "core/http/transfer.c", spec = "status", filter = "answers CONNECT",
    find = "  f->retryable = status == 408 || status == 429 || status >= 500;", replace = "  f->retryable = true;",
  },
  {
    file = "core/oauth2/redact.c", spec = "secrets", filter = "in time that grows no faster",
    find = "  if (s->has_first_gap && text.at >= s->skipped_end[way]) skip_non_ascii(&after);",
    replace = "  if (s->has_first_gap) skip_non_ascii(&after);",
  },
  {
    file = "core/oauth2/token_source.c", spec = "secrets", filter = "of digits",
    find = "  return redact_is_number(secrets, SECRETS_MAX, number);",
    replace = "  return false && redact_is_number(secrets, 0, number);",
  },
  {
    file = "lua/json_value.c", spec = "json", filter = "count 16 bytes each",
    find = "  if (v->reader.values > v->max_values) return too_large(v, JSON_VALUE_TOO_MANY);\n", replace = "",
  },
  {
    file = "lua/user_decoder.h", spec = "decoder", filter = "limits a user to 65,536 values",
    find = "#define USER_MAX_VALUES 65536", replace = "#define USER_MAX_VALUES 655360",
  },

  -- options, paths and TLS --------------------------------------------------------------------------------------------
  {
    file = "core/http/url.c", spec = "options", filter = "are refused in spellings",
    find = "  if (path == NULL) return not_absolute;", replace = "  if (path == NULL) path = \"\";",
  },
  {
    file = "core/http/url.c", spec = "options", filter = "are refused in spellings",
    find = "  if (memchr(text, '%', (size_t)(path - text)) != NULL) return \"has a percent sign in its host\";\n",
    replace = "",
  },
  {
    file = "core/syntax.c", spec = "injection", filter = "however encoded",
    find = "#define MAX_DECODINGS 3", replace = "#define MAX_DECODINGS 0",
  },
  {
    file = "core/session.c", spec = "options", filter = "a byte order mark",
    find = "  if (fault == NULL) return true;\n  name_text(text, name);",
    replace = "  return true;\n  name_text(text, name);",
  },
  {
    file = "lua/query.c", spec = "get", filter = "NaN",
    find = "    if (!isfinite(lua_tonumber(L, -1)))\n", replace = "    if (false)\n",
  },
}
