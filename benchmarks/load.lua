-- wrk's side of benchmarks/load.py: GET the address, or PATCH the targets in turn. No response callback: it would cost
-- the load more than the request.
local targets, sent = {}, 0

function init(args)
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
  end
end
