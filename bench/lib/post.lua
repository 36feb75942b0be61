-- Posts JSON. Arguments: the body, and a cookie.
function init(args)
  wrk.method = "POST"
  wrk.headers["Content-Type"] = "application/json"
  wrk.headers["Cookie"] = args[2]
  wrk.body = args[1]
end
