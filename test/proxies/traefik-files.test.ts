import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from '@jest/globals'
import { Ajv } from 'ajv'
import fc from 'fast-check'
import { parse } from 'yaml'
import { systemClock } from '../../src/lib/clock.js'
import { silentLogger } from '../../src/lib/logger.js'
import type { Plan } from '../../src/model/plan.js'
import { createTraefik } from '../../src/proxies/traefik/index.js'
import { afterTemplating } from '../../src/proxies/traefik/revision.js'
import { tempDir } from '../support/temp.js'
import { type BackendSketch, planOf, settingsOf } from '../support/traefik-plan.js'

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url))
const GOLDEN = here('../golden/traefik')
const SEPARATOR = '=====\n'
const acceptedBySchema = schemaCheck()

/** The public schema is a lint: it is stricter than Traefik in one place, and does not know some newer fields. */
function schemaCheck() {
  const schema = JSON.parse(readFileSync(here('../fixtures/traefik-v3-file-provider.schema.json'), 'utf8'))
  // Traefik takes `servers: []`, and answers 503.
  delete schema.definitions.httpLoadBalancerService.properties.servers.minItems
  return new Ajv({ strict: false, validateFormats: false }).compile(schema)
}

function proxyFor(settings: string, dir = tempDir(), more: Record<string, unknown> = {}) {
  const base = settingsOf(settings)
  const traefik = { ...base.traefik, dir, ...more }
  return createTraefik({ ...base, traefik }, { log: silentLogger(), clock: systemClock, duty: 'drive' })
}

function render(plan: Plan, settings = '{}', more = {}): string {
  const files = proxyFor(settings, undefined, more).render(plan)
  expect(files).toHaveLength(1)
  return files[0]?.content ?? ''
}

describe('the golden files', () => {
  test.each(readdirSync(GOLDEN))('%s is what its plan renders to', (file) => {
    const [input = '', expected] = readFileSync(join(GOLDEN, file), 'utf8').split(SEPARATOR)
    const { settings, backends, certificates = [] } = parse(input)
    const certDir = tempDir()
    for (const name of certificates) writeFileSync(join(certDir, name), `certificate ${name}`)
    if (certificates.includes('split.pem')) writeFileSync(join(certDir, 'split.key'), 'key')
    // The folder's name differs from run to run; so would the revision, which stands for everything.
    const rendered = render(planOf(backends), JSON.stringify(settings), { certDir }).replaceAll(certDir, '/certs')
    const text = certificates.length > 0 ? rendered.replace(/[0-9a-f]{16}(?=[":])/g, 'REVISION') : rendered
    if (process.env['UPDATE_GOLDEN']) writeFileSync(join(GOLDEN, file), `${input}${SEPARATOR}${text}`)
    else expect(text).toBe(expected)
    expect(acceptedBySchema(parse(text)) || acceptedBySchema.errors).toBe(true)
  })
})

const label = fc.stringMatching(/^[a-z0-9]([a-z0-9_-]{0,8}[a-z0-9])?$/)
const host = fc.tuple(fc.boolean(), fc.array(label, { minLength: 1, maxLength: 4 })).map(([wild, labels]) => {
  return `${wild ? '*.' : ''}${labels.join('.')}`
})
const path = fc.oneof(fc.constant('/'), fc.stringMatching(/^(\/[A-Za-z0-9._~!$&()*+,;=:@-]{1,8}){1,3}$/))
const name = fc.stringMatching(/^[A-Za-z0-9_.-]{1,12}$/)
const backendSketch: fc.Arbitrary<BackendSketch> = fc.record(
  {
    name,
    scheme: fc.constantFrom('http', 'https', 'h2c'),
    sticky: fc.boolean(),
    healthCheck: fc.record({ path, status: fc.constantFrom('200', '200-399', '200,204') }),
    routes: fc.array(
      fc.record(
        {
          host,
          path,
          stripPath: fc.boolean(),
          cookie: fc.stringMatching(/^[A-Za-z0-9_.-]{1,6}=[A-Za-z0-9_.~!$&()*+:@/-]{1,6}$/),
          priority: fc.integer({ min: 1, max: 99_000 }),
        },
        { requiredKeys: ['host', 'priority'] },
      ),
      { minLength: 1, maxLength: 4 },
    ),
    servers: fc.array(
      fc.record(
        {
          // A name like 08 is half an IPv4 address, and no URL takes it.
          address: fc.oneof(
            fc.ipV4(),
            fc.ipV6(),
            label.filter((name) => URL.canParse(`http://${name}`)),
          ),
          port: fc.integer({ min: 1, max: 65_535 }),
          weight: fc.integer({ min: 0, max: 256 }),
        },
        { requiredKeys: ['address', 'port'] },
      ),
      { maxLength: 3 },
    ),
  },
  { requiredKeys: ['name', 'routes'] },
)
const anyPlan = fc.uniqueArray(backendSketch, { selector: ({ name }) => name, maxLength: 6 }).map(planOf)

interface Dynamic {
  http: {
    routers?: Record<string, { rule: string; priority: number; service: string; middlewares?: string[] }>
    services?: Record<string, { loadBalancer: { servers: { url: string; weight?: number }[] } }>
    middlewares: Record<string, unknown>
  }
}

describe('the rendered file', () => {
  test('is valid for any plan, passes its own check, and says the same as the plan', async () => {
    await fc.assert(
      fc.asyncProperty(anyPlan, fc.boolean(), async (plan, enabled) => {
        const proxy = proxyFor(JSON.stringify({ https: { enabled } }))
        const [file] = proxy.render(plan)
        const text = file?.content ?? ''
        const parsed = parse(afterTemplating(text)) as Dynamic
        expect(acceptedBySchema(parsed) || acceptedBySchema.errors).toBe(true)
        const staged = { files: [{ path: '', ...file, content: text, stagedPath: '', changed: true }], scratch: '' }
        expect(await proxy.check(staged, new AbortController().signal)).toEqual({ ok: true })

        const routers = Object.values(parsed.http.routers ?? {})
        expect(routers).toHaveLength(plan.routes.length * (enabled ? 2 : 1))
        for (const { backend, priority, wildcard, path, stripPath } of plan.routes) {
          const own = routers.filter((router) => router.service === backend)
          // Several routes of one backend may have the same priority.
          const same = own.filter((router) => router.priority === priority + (wildcard ? 100_000 : 200_000))
          expect(same.some(({ rule }) => rule.includes(`Path(\`${path}\`)`) === (path !== '/'))).toBe(true)
          if (!stripPath || enabled) continue
          const isThere = (used: string) => used in parsed.http.middlewares
          expect(same.some(({ middlewares }) => middlewares?.every(isThere) === true)).toBe(true)
        }
        for (const { name, servers, scheme } of plan.backends) {
          const urls = parsed.http.services?.[name]?.loadBalancer.servers.map(
            ({ url }) => new URL(url.replace(/^h2c/, 'http')),
          )
          expect(urls).toHaveLength(servers.length)
          expect(
            urls?.every(({ port, protocol }) => port !== '0' && protocol === (scheme === 'https' ? 'https:' : 'http:')),
          ).toBe(true)
        }
      }),
      { numRuns: 150 },
    )
  })

  test('tells exact hosts before wildcards, and an exact pair in a cookie', () => {
    const plan = planOf([
      {
        name: 'a',
        routes: [
          { host: '*.example.com', priority: 99_999 },
          { host: 'a.example.com', cookie: 'v=1.0' },
        ],
      },
    ])
    const { routers = {} } = (parse(render(plan)) as Dynamic).http
    const [exact, wild] = Object.values(routers).sort((a, b) => b.priority - a.priority)
    expect(wild?.rule).toBe('HostRegexp(`^[^.]+\\.example\\.com\\.?$`)')
    expect(exact?.rule).toContain('Host(`a.example.com`) && HeaderRegexp(`Cookie`, `')
    const pattern = new RegExp(/HeaderRegexp\(`Cookie`, `(.*)`\)/.exec(exact?.rule ?? '')?.[1] ?? '')
    const accepts = (cookie: string) => pattern.test(cookie)
    expect(['v=1.0', 'a=b; v=1.0', 'v=1.0; c=d', 'a=b;v=1.0;c=d'].map(accepts)).toEqual([true, true, true, true])
    expect(['v=1.00', 'vv=1.0', 'v=1x0', 'a=v=1.0', 'v=1.0.1'].map(accepts)).toEqual([
      false,
      false,
      false,
      false,
      false,
    ])
  })

  test('has another revision whenever anything in it differs, and the same for the same plan', () => {
    const plan = (port: number) => planOf([{ name: 'a', routes: [{ host: 'a' }], servers: [{ address: 'x', port }] }])
    const revision = (text: string) => /hostler-([0-9a-f]{16}):/.exec(text)?.[1]
    expect(revision(render(plan(1)))).toBe(revision(render(plan(1))))
    expect(revision(render(plan(1)))).not.toBe(revision(render(plan(2))))
  })

  test('changes when a certificate was renewed, since Traefik does not look at certificates by itself', () => {
    const certDir = tempDir()
    const proxy = proxyFor('{}', tempDir(), { certDir })
    writeFileSync(join(certDir, 'a.pem'), 'old')
    const before = proxy.render(planOf([]))
    writeFileSync(join(certDir, 'a.pem'), 'new')
    expect(proxy.render(planOf([]))[0]?.content).not.toBe(before[0]?.content)
    expect(proxy.watched()).toContain(certDir)
  })

  test('never holds braces that Traefik would run as a template, even from a template of the user', () => {
    const overlay = tempDir()
    writeFileSync(
      join(overlay, 'own.yml.hbs'),
      'http:\n  middlewares:\n    own:\n      addPrefix:\n        prefix: "/\\{{ env `SECRET` }}{{domain}}"\n',
    )
    const files = proxyFor(JSON.stringify({ templates: overlay })).render(planOf([]))
    const own = files.find(({ path }) => path.endsWith('/own.yml'))?.content ?? ''
    expect(own).toContain('prefix: "/{{"{{"}} env `SECRET` }}ci.example.com"')
    expect(afterTemplating(own)).toContain('{{ env `SECRET` }}')
  })
})

describe('the example in traefik/', () => {
  const read = (file: string) => parse(readFileSync(here(`../../traefik/${file}`), 'utf8'))

  test('agrees with itself and with our defaults', () => {
    const { entryPoints, providers } = read('traefik.yml')
    const { services } = read('compose.yml')
    const { traefik } = settingsOf()
    expect(providers.file).toEqual({ directory: traefik.dir, watch: true })
    expect(providers.providersThrottleDuration).toBe('100ms')
    expect(Object.keys(entryPoints)).toEqual(
      expect.arrayContaining([...traefik.entryPoints, ...traefik.tlsEntryPoints]),
    )
    expect(services.hostler.environment.TRAEFIK_URL).toBe(`http://traefik${entryPoints.traefik.address}`)
    expect(services.traefik.ports).toEqual([`$\{HTTP_PORT:-80}${entryPoints.web.address}`])
    expect(services.hostler.volumes).toContain(`routes:${traefik.dir}`)
    expect(services.traefik.volumes).toContain(`routes:${traefik.dir}:ro`)
  })
})
