import type { Settings } from '../../../../src/config/schema.js'
import type { Instance } from '../../../../src/model/instance.js'
import { createPlanner } from '../../../../src/model/planner.js'
import { type CertificateContext, createContextMaker } from '../../../../src/proxies/haproxy/context.js'
import type { ConfigImage } from '../../../../src/proxies/haproxy/runtime/types.js'
import { createTemplates } from '../../../../src/render/templates.js'
import { rules } from '../../../support/instances.js'

export const BASE = `global
  stats socket /run/admin.sock level admin

defaults hostler
  mode http
  balance roundrobin
  timeout connect 5s
  .if streq("$ENABLE_STATS",true)
listen stats
  mode http
  bind ":1936"
  stats auth "user:\${STATS_PASSWORD}"
  .endif
`

const NAMES = ['domain.map', 'path.map', 'cookie.map', 'certificates.list', 'sorry.html', '503.http']
const FILES = Object.fromEntries(
  [...NAMES, 'haproxy-backends.cfg', 'haproxy-frontends.cfg'].map((name) => [name, `/h/${name}`]),
)

export const ROLES = {
  configs: ['/h/haproxy.cfg', '/h/haproxy-backends.cfg', '/h/haproxy-frontends.cfg', '/h/haproxy-spares.cfg'],
  maps: ['/h/domain.map', '/h/path.map', '/h/cookie.map'],
  lists: ['/h/certificates.list'],
  certificates: ['/h/server.pem'],
}

export const spareSections = (pool: number): string =>
  Array.from(
    { length: pool },
    (_, index) => `backend hostler_spare_${String(index + 1).padStart(3, '0')}\n  mode http\n`,
  ).join('\n')

/** Every file as the packaged templates render them for these instances, on a base configuration, with spares. */
export function createRenderer(pool = 0) {
  const templates = createTemplates('haproxy', '')
  const makeContext = createContextMaker()
  const plan = createPlanner(rules)
  const certificates: CertificateContext[] = []
  const https = { enabled: false, port: 443, redirect: false, redirectCode: 301 }
  const settings = { domain: rules.domain, http: { bind: '', port: 80 }, https } as unknown as Settings
  return (instances: readonly Instance[]): ConfigImage => {
    const operator = { frontends: false, sorry: false }
    const context = makeContext(plan(instances), { settings, files: FILES, certificates, operator })
    const texts = templates.render(context).map(({ name, text }): [string, string] => [`/h/${name}`, text])
    return new Map([['/h/haproxy.cfg', BASE], ...texts, ['/h/haproxy-spares.cfg', spareSections(pool)]])
  }
}
