-- The object that is posted and must come back.
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = '{"id":4711,"kind":"say","room":"lobby","text":"hello there, how are you?","at":1700000000000}'
