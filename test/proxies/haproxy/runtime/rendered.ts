import type { Settings } from '../../../../src/config/schema.js'
import type { Instance } from '../../../../src/model/instance.js'
import { createPlanner } from '../../../../src/model/planner.js'
import { type CertificateContext, createContextMaker } from '../../../../src/proxies/haproxy/context.js'
import { spareNames } from '../../../../src/proxies/haproxy/runtime/spares.js'
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
const CONFIGS = ['haproxy-backends.cfg', 'haproxy-frontends.cfg']

export const ROLES = {
  configs: ['/h/haproxy.cfg', '/h/haproxy-backends.cfg', '/h/haproxy-frontends.cfg'],
  maps: ['/h/domain.map', '/h/path.map', '/h/cookie.map'],
  lists: ['/h/certificates.list'],
  certificates: ['/h/server.pem'],
}

/**
 * Every file as the packaged templates render them for these instances, on a base configuration, with spares.
 * @param root what their paths begin with
 */
export function createRenderer(pool = 0, { root = '/h/', bind = '', port = 80 } = {}) {
  const templates = createTemplates('haproxy', '')
  const makeContext = createContextMaker()
  const plan = createPlanner(rules)
  const certificates: CertificateContext[] = []
  const files = Object.fromEntries([...NAMES, ...CONFIGS].map((name) => [name, `${root}${name}`]))
  const https = { enabled: false, port: 443, redirect: false, redirectCode: 301 }
  const settings = { domain: rules.domain, direct: rules.direct, http: { bind, port }, https } as unknown as Settings
  return (instances: readonly Instance[]): ConfigImage => {
    const operator = { frontends: false, sorry: false }
    const context = makeContext(plan(instances), {
      ...{ settings, files, certificates, operator, public: undefined, spares: spareNames(pool) },
    })
    const texts = templates.render(context).map(({ name, text }): [string, string] => [`${root}${name}`, text])
    return new Map([[`${root}haproxy.cfg`, BASE], ...texts])
  }
}
