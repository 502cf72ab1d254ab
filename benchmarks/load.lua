-- wrk's side of benchmarks/load.py: GET the address, or PATCH the targets in turn.
-- Answers to PATCH are looked at, and the first one of another status is kept. Those to GET are only counted by wrk: to
-- hand every body to Lua would cost the load more than the request.
local targets, sent, threads = {}, 0, {}

function setup(thread)
  table.insert(threads, thread)
end

function init(args)
  expected = tonumber(args[2])
  for line in io.lines(args[1]) do
    local team, task = line:match("(%S+) (%S+)")
    local headers = { ["TaskForge-Team"] = team, ["Content-Type"] = "application/merge-patch+json" }
    for name, value in pairs(wrk.headers) do headers[name] = value end
    table.insert(targets, { path = "/v1/tasks/" .. task, headers = headers })
  end
  if #targets == 0 then
    local plain = wrk.format("GET")
    request = function() return plain end
  else
    local run = os.time() % 100000
    request = function()
      sent = sent + 1
      local target = targets[sent % #targets + 1]
      return wrk.format("PATCH", target.path, target.headers, '{"title":"Change ' .. sent .. ' of run ' .. run .. '"}')
    end
    response = function(status, _, body)
      if status ~= expected then
        unexpected = (unexpected or 0) + 1
        if unexpected == 1 then first = status .. " " .. body:sub(1, 300) end
      end
    end
  end
end

function done()
  local count, what = 0, nil
  for _, thread in ipairs(threads) do
    count = count + (thread:get("unexpected") or 0)
    what = what or thread:get("first")
  end
  print("Unexpected answers: " .. count)
  if what then print("First unexpected answer: " .. what:gsub("%s+", " ")) end
end
