-- Goes through up to 1,000 of the routes, spread over all of them. Argument: how many routes there are.
local requests = {}
local next = 0

function init(args)
  local routes = tonumber(args[1])
  local count = math.min(routes, 1000)
  for i = 0, count - 1 do
    requests[i] = wrk.format("GET", "/area" .. (i * 7919) % routes .. "/items/" .. i)
  end
end

function request()
  next = next + 1
  if requests[next] == nil then next = 0 end
  return requests[next]
end
