/** A base configuration as predecessor 1's users keep it: frontends of their own over the domain map. */
export interface OperatorConfig {
  readonly http: number
  /** The rendered domain map. */
  readonly map: string
  readonly https?: { readonly port: number; readonly certificate: string }
  /** What their own `be_sorry` answers; without it there is none. */
  readonly sorry?: string
  /** More lines for the `www` frontend. */
  readonly more?: string
  /** More lines for `global`, and at the end. */
  readonly global?: string
  readonly end?: string
}

export function operatorConfig({ http, map, https, sorry, more = '', global = '', end = '' }: OperatorConfig): string {
  const use = `use_backend %[req.hdr(host),lower,map_dom(${map},be_sorry)]`
  return `global
    maxconn 200
${global}defaults
    log global
    option httplog
    mode http
    timeout connect 5s
    timeout client 20s
    timeout server 20s
    option forwardfor
    option http-server-close
frontend www
    bind 127.0.0.1:${http}
${more}    ${use}
${https === undefined ? '' : `frontend www-https\n    bind 127.0.0.1:${https.port} ssl crt ${https.certificate}\n    http-request set-header X-Forwarded-Proto https\n    ${use}\n`}${
  sorry === undefined
    ? ''
    : `backend be_sorry\n    http-request return status 410 content-type text/plain string "${sorry}"\n`
}${end}`
}
