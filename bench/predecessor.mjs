const SORRY = `backend be_sorry
  http-request return status 503 content-type text/plain string sorry
`

/**
 * An operator's haproxy.cfg as predecessor 1's users have it: a frontend of its own that looks the host up in the domain
 * map with `map_dom`, and a `be_sorry`. The `defaults` are ours but for what is measured.
 * @param options.sorry its own `be_sorry`; empty where the rendered backends bring one
 */
export const predecessorConfig = ({ out, port, sorry = SORRY }) => `global
  tune.ssl.default-dh-param 2048
defaults
  mode http
  option httplog
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
  timeout queue 30s
  timeout tunnel 1h
frontend www
  bind 127.0.0.1:${port}
  use_backend %[req.hdr(host),lower,map_dom(${out}/domain.map,be_sorry)]
  default_backend be_sorry
${sorry}`
