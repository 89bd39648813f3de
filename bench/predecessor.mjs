/** The frontend of predecessor 1's users: it looks the host up in the domain map with `map_dom`. */
export const predecessorFrontend = ({ map, port }) => `frontend www
  mode http
  bind 127.0.0.1:${port}
  use_backend %[req.hdr(host),lower,map_dom(${map},be_sorry)]
  default_backend be_sorry
`

/** An operator's whole haproxy.cfg of that kind, with a `be_sorry` of its own. */
export const predecessorConfig = ({ map, port }) => `defaults
  mode http
  option dontlognull
  option redispatch
  option forwardfor
  balance roundrobin
  retries 3
  timeout connect 5s
  timeout client 50s
  timeout server 50s
  timeout http-request 10s
  timeout http-keep-alive 10s
${predecessorFrontend({ map, port })}
backend be_sorry
  http-request return status 503 content-type text/plain string sorry
`
