import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { fileURLToPath } from 'node:url'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import type { RunningHostler } from '../support/hostler.js'
import { operatorConfig } from '../support/operator-config.js'
import { freePort } from '../support/ports.js'
import { createRig, type Rig } from '../support/rig.js'
import { describeWith } from '../support/servers.js'
import { startUpstream, type Upstream } from '../support/upstreams.js'
import { until } from '../support/wait.js'

const HOST = 'app.ci.example.com'
const RENDERED = [
  '503.http',
  'certificates.list',
  'cookie.map',
  'domain.map',
  'haproxy-backends.cfg',
  'haproxy-frontends.cfg',
  'path.map',
  'sorry.html',
]

let rig: Rig
let app: Upstream

async function fresh(env: Record<string, string> = {}): Promise<void> {
  rig = await createRig(env)
  app = await startUpstream('app')
  rig.keep(app)
  stacks()
}

function stacks(...more: string[]): void {
  rig.stacks(['app', ...more].map((name) => ({ name, stack: name, labels: { port: app.port } })))
}

describeWith(['haproxy'], 'hostler render', () => {
  beforeEach(() => fresh())
  afterEach(() => rig?.close())

  test('prints every file, and touches none', async () => {
    const { code, stdout, stderr } = await rig.run(['render'])
    expect([code, stderr]).toEqual([0, ''])
    for (const name of RENDERED) expect(stdout).toContain(`==> ${rig.path(`out/${name}`)} <==\n`)
    expect(stdout).toContain(`  server app 127.0.0.1:${app.port}\n`)
    expect(readdirSync(rig.path('out'))).toEqual([])
  })

  test('--out writes them elsewhere', async () => {
    const { code, stdout } = await rig.run(['render', '--out', 'new/folder'])
    expect([code, stdout]).toEqual([0, ''])
    expect(readdirSync(rig.path('new/folder')).sort()).toEqual(RENDERED)
    expect(rig.read('new/folder/domain.map')).toBe(`${HOST} app\n`)
  })

  test('--diff exits 1 and shows what would change, 0 when nothing would', async () => {
    expect(await rig.run(['render', '--out', 'out'])).toMatchObject({ code: 0 })
    expect(await rig.run(['render', '--diff'])).toEqual({ code: 0, stdout: '', stderr: '' })
    stacks('late')
    const { code, stdout } = await rig.run(['render', '--diff'])
    expect(code).toBe(1)
    expect(stdout).toContain(`--- ${rig.path('out/domain.map')}\n`)
    expect(stdout).toContain('+late.ci.example.com late\n')
    expect(rig.read('out/domain.map')).toBe(`${HOST} app\n`)
  })

  test('--context prints what templates get', async () => {
    const { code, stdout } = await rig.run(['render', '--context'])
    const context = JSON.parse(stdout)
    expect([code, context.domain, context.http.port]).toEqual([0, 'ci.example.com', rig.ports.http])
    expect(context.backends[0]).toMatchObject({ name: 'app', servers: [{ address: '127.0.0.1', weight: null }] })
  })

  test('a list of instances that is not there is named, with the setting', async () => {
    rmSync(rig.path('stacks.yml'))
    const { code, stderr } = await rig.run(['render'])
    expect(code).toBe(2)
    expect(stderr).toMatch(/^hostler: cannot open .*stacks\.yml.*\(setting file\.path\).*\n$/)
  })
})

describeWith(['haproxy'], 'hostler check', () => {
  beforeEach(() => fresh())
  afterEach(() => rig?.close())

  const problems = async (env: Record<string, string> = {}) => {
    const { code, stdout } = await rig.run(['check'], env)
    return { code, lines: stdout.split('\n').filter((line) => line.startsWith('FAIL')) }
  }

  test('says ok to each part, exits 0, and leaves nothing behind', async () => {
    const before = readdirSync(rig.dir)
    const { code, stdout, stderr } = await rig.run(['check'])
    expect([code, stderr]).toEqual([0, ''])
    expect(
      stdout
        .trim()
        .split('\n')
        .map((line) => line.split(':')[0]),
    ).toEqual(['ok    settings', 'ok    source file', 'ok    labels', 'ok    haproxy', 'ok    haproxy'])
    expect([readdirSync(rig.dir), readdirSync(rig.path('out'))]).toEqual([before, []])
  })

  test('a bad template fails with file, line and the nearest name', async () => {
    rig.write('mine/_backend.hbs', 'backend {{nam}}\n')
    const { code, lines } = await problems({ HOSTLER_TEMPLATES: rig.path('mine') })
    expect(code).toBe(1)
    expect(lines).toEqual([
      'FAIL  haproxy: templates: template _backend.hbs line 1: no field is called "nam" here. Did you mean name?',
    ])
  })

  test('a bad page for people who wait fails likewise', async () => {
    const env = { HOSTLER_TEMPLATES: rig.path('mine'), HOSTLER_PUBLIC_LISTEN: '127.0.0.1:0' }
    rig.write('mine/pages/_head.hbs', '<title>{{headline}}</title>')
    expect(await problems(env)).toEqual({ code: 0, lines: [] })
    rig.write('mine/pages/waiting.html.hbs', '{{headlin}}')
    expect(await problems(env)).toEqual({
      code: 1,
      lines: [
        'FAIL  pages: templates: template waiting.html.hbs line 1: no field is called "headlin" here. Did you mean headline?',
      ],
    })
  })

  test('a bad label fails with container, label, value and remedy', async () => {
    rig.stacks([{ name: 'web-1', stack: 'app', labels: { port: 'abc' } }])
    const { code, lines } = await problems()
    expect(code).toBe(1)
    expect(lines).toEqual(['FAIL  labels: web-1: hostler.port="abc": it is not a port; write a number from 1 to 65535'])
  })

  test('a bad haproxy.cfg fails with its line', async () => {
    rig.write('haproxy.cfg', 'global\n  nonsense\n')
    const { code, lines } = await problems()
    expect(code).toBe(1)
    expect(lines).toHaveLength(1)
    expect(lines[0]).toContain(`${rig.path('haproxy.cfg')}:2 (global): unknown keyword 'nonsense'`)
  })

  test('several problems are told together', async () => {
    const { code, lines } = await problems({ HOSTLER_DOMAIN: '', HAPROXY_CONFIG: '/nowhere', HOSTLER_FILE: '/nowhere' })
    expect(code).toBe(1)
    expect(lines.map((line) => line.split(':')[0])).toEqual(['FAIL  settings', 'FAIL  source file', 'FAIL  haproxy'])
  })
})

describeWith(['haproxy'], 'hostler status', () => {
  beforeEach(() => fresh())
  afterEach(() => rig?.close())

  test('asks the running process, for people and for programs', async () => {
    rig.stacks([
      { name: 'app', stack: 'app', labels: { port: app.port } },
      { name: 'wrong', stack: 'wrong', labels: { port: 'abc' } },
    ])
    const private_ = { HOSTLER_PRIVATE_LISTEN: `127.0.0.1:${await freePort()}` }
    const hostler = await rig.start(['run'], { env: private_ })
    const { code, stdout, stderr } = await rig.run(['status'], private_)
    expect([code, stderr]).toEqual([0, ''])
    for (const text of ['ready', HOST, `127.0.0.1:${app.port}`, 'wrong', 'hostler.port', 'it is not a port']) {
      expect(stdout).toContain(text)
    }
    const json = await rig.run(['status', '--json'], private_)
    expect(JSON.parse(json.stdout).plan).toEqual((await hostler.state()).plan)
  })

  test('exits 3 with one line and a remedy when nothing runs', async () => {
    const { code, stdout, stderr } = await rig.run(['status'], { HOSTLER_PRIVATE_LISTEN: '127.0.0.1:1' })
    expect([code, stdout]).toEqual([3, ''])
    expect(stderr).toMatch(/^hostler: Hostler cannot be reached at http:\/\/127\.0\.0\.1:1: .*hostler run.*\n$/)
  })
})

describe('hostler config', () => {
  beforeEach(() => fresh())
  afterEach(() => rig?.close())

  test('tells each setting and where it came from, the flag over the environment over the file; secrets are masked', async () => {
    rig.write('hostler.yml', 'domain: file.example.com\nhttps:\n  redirectCode: 308\nstats:\n  username: from-file\n')
    rig.write('password', 'hunter2\n')
    const env = { STATS_PASSWORD_FILE: rig.path('password'), HOSTLER_SOURCES: '', DOCKER_HOST: 'tcp://u:hunter3@h:1' }
    const { code, stdout } = await rig.run(['--set', 'http.port=8123', 'config'], env)
    expect(code).toBe(0)
    const row = (key: string) =>
      stdout
        .split('\n')
        .find((line) => line.startsWith(`${key} `))
        ?.split(/ {2,}/)
    expect(row('domain')).toEqual(['domain', 'ci.example.com', 'env HOSTLER_DOMAIN'])
    expect(row('http.port')).toEqual(['http.port', '8123', 'flag'])
    expect(row('https.redirectCode')).toEqual(['https.redirectCode', '308', 'hostler.yml'])
    expect(row('stats.username')).toEqual(['stats.username', 'from-file', 'hostler.yml'])
    expect(row('stats.password')).toEqual(['stats.password', '********', 'env STATS_PASSWORD_FILE'])
    expect(row('sources')).toEqual(['sources', 'docker', 'default'])
    expect(stdout).not.toMatch(/hunter/)
  })
})

describeWith(['haproxy'], 'hostler run', () => {
  beforeEach(() => fresh())
  afterEach(() => rig?.close())

  test('takes every path from where it was started', async () => {
    await rig.start(['run'], {
      env: {
        HOSTLER_FILE: 'stacks.yml',
        HOSTLER_STATE_DIR: 'state',
        HAPROXY_CONFIG: 'haproxy.cfg',
        HAPROXY_BACKEND_CONFIG: 'new/haproxy-backends.cfg',
        HAPROXY_DOMAIN_MAP: './new/../new/domain.map',
        HAPROXY_SSL_CERT: 'server.pem',
        HOSTLER_CERT_DIR: 'certs',
      },
    })
    expect((await rig.ask(HOST)).echo?.app).toBe('app')
    expect(
      readdirSync(rig.path('new'))
        .filter((name) => name !== '.hostler')
        .sort(),
    ).toEqual(RENDERED)
    stacks('late')
    await rig.untilServedBy('app', 'late.ci.example.com')
  })
})

describeWith(['haproxy'], 'hostler generate', () => {
  beforeEach(() => fresh())
  afterEach(() => rig?.close())

  test.each(['generate', 'generate-maps'])(
    '%s writes and follows, and leaves HAProxy to somebody else',
    async (name) => {
      const hostler = await rig.start([name])
      expect(rig.read('out/domain.map')).toBe(`${HOST} app\n`)
      stacks('late')
      await until('the map follows', () => rig.read('out/domain.map').includes('late'))
      await expect(rig.ask(HOST)).rejects.toThrow('ECONNREFUSED')
      expect(await hostler.stop()).toBe(0)
    },
  )

  test('needs neither a base configuration nor a HAProxy', async () => {
    await rig.start(['generate'], { env: { HAPROXY_CONFIG: rig.path('none.cfg'), HAPROXY_BIN: '/nowhere' } })
    expect(rig.read('out/domain.map')).toBe(`${HOST} app\n`)
  })
})

describeWith(['haproxy'], 'hostler haproxy', () => {
  let hostler: RunningHostler

  beforeEach(async () => {
    await fresh({ HOSTLER_FILE: '/nowhere', HOSTLER_DOMAIN: '' })
    rig.write('haproxy.cfg', operatorConfig({ http: rig.ports.http, map: rig.path('out/domain.map'), sorry: 'gone' }))
  })
  afterEach(() => rig?.close())

  const files = (map: string, backends: string) => {
    rig.write('out/domain.map', map)
    rig.write('out/haproxy-backends.cfg', backends)
  }
  const backend = (name: string) => `backend ${name}\n  server s 127.0.0.1:${app.port}\n`

  test('starts HAProxy when the files appear, loads changes, and keeps a bad one out', async () => {
    hostler = await rig.start(['haproxy'], { ready: false })
    await until('it is told what is missing', async () => (await hostler.get('/readyz')).body.includes('domain.map'))
    files(`${HOST} app\n`, backend('app'))
    await rig.untilServedBy('app', HOST)
    await hostler.ready()

    rig.write('out/domain.map', `${HOST} app\nlate.ci.example.com app\n`)
    await rig.untilServedBy('app', 'late.ci.example.com')

    rig.write('out/haproxy-backends.cfg', `${backend('app')}backend other\n  nonsense here\n`)
    await until('it is told', async () => (await hostler.get('/readyz')).body.includes('nonsense'))
    expect((await rig.ask(HOST)).status).toBe(200)

    files(`${HOST} other\n`, backend('other'))
    await until('it is mended', async () => (await hostler.get('/readyz')).status === 200)
    expect((await rig.ask(HOST)).status).toBe(200)
    expect((await rig.ask('late.ci.example.com')).status).toBe(410)
    expect(await hostler.stop()).toBe(0)
    await expect(rig.ask(HOST)).rejects.toThrow('ECONNREFUSED')
  })

  test('with our own base configuration too', async () => {
    rig.write('haproxy.cfg', readFileSync(fileURLToPath(new URL('../../haproxy/haproxy.cfg', import.meta.url)), 'utf8'))
    hostler = await rig.start(['haproxy'], { ready: false })
    stacks()
    const generator = await rig.start(['generate'], {
      env: {
        HOSTLER_FILE: rig.path('stacks.yml'),
        HOSTLER_DOMAIN: 'ci.example.com',
        HOSTLER_STATE_DIR: rig.path('other-state'),
      },
    })
    await rig.untilServedBy('app', HOST)
    stacks('late')
    await rig.untilServedBy('app', 'late.ci.example.com')
    expect(await generator.stop()).toBe(0)
    expect((await rig.ask(HOST)).status).toBe(200)
  })
})

describeWith(['haproxy'], 'a start that cannot work', () => {
  let taken: Server
  let port: number

  beforeAll(async () => {
    await fresh()
    port = await freePort()
    taken = createServer((socket) => socket.destroy())
    await new Promise<void>((resolve) => taken.listen(port, '127.0.0.1', resolve))
  })
  afterAll(async () => {
    await rig?.close()
    await new Promise((resolve) => taken?.close(resolve))
  })

  test.each<[string, string[], () => Record<string, string>, number, RegExp]>([
    ['a missing domain', [], () => ({ HOSTLER_DOMAIN: '' }), 2, /domain is not set; set HOSTLER_DOMAIN/],
    ['a variable of ours that is none', [], () => ({ HOSTLER_DOMIAN: 'x' }), 2, /Did you mean HOSTLER_DOMAIN\?/],
    ['a flag that names no setting', ['--set', 'http.prot=1'], () => ({}), 2, /Did you mean http\.port\?/],
    ['a bad value', [], () => ({ HOSTLER_HTTP_PORT: '70000' }), 2, /"70000" is not a whole number from 1 to 65535/],
    ['an unknown command', ['rnu'], () => ({}), 2, /no command is called "rnu"\. Did you mean run\?/],
    ['a settings file that is missing', ['--config', '/nowhere'], () => ({}), 2, /\/nowhere: cannot be read/],
    ['a secret that is missing', [], () => ({ STATS_PASSWORD_FILE: '/nowhere' }), 2, /STATS_PASSWORD_FILE: \/nowhere/],
    ['templates that are missing', [], () => ({ HOSTLER_TEMPLATES: '/nowhere' }), 2, /set HOSTLER_TEMPLATES to/],
    ['a base configuration that is missing', [], () => ({ HAPROXY_CONFIG: '/nowhere' }), 2, /set HAPROXY_CONFIG to/],
    ['the same for haproxy', ['haproxy'], () => ({ HAPROXY_CONFIG: '/nowhere' }), 2, /set HAPROXY_CONFIG to/],
    [
      'a port that is taken',
      [],
      () => ({ HOSTLER_HTTP_PORT: String(port) }),
      2,
      /Port \d+ is answered by another program/,
    ],
    [
      'a stats port that is taken',
      [],
      () => ({ ENABLE_STATS: 'true', STATS_PORT: String(port) }),
      2,
      /Port \d+ is answered by another program/,
    ],
    [
      'a private port that is taken',
      [],
      () => ({ HOSTLER_PRIVATE_LISTEN: `127.0.0.1:${port}` }),
      2,
      /another process listens there.*HOSTLER_PRIVATE_LISTEN/,
    ],
    [
      'the same for haproxy',
      ['haproxy'],
      () => ({ HOSTLER_PRIVATE_LISTEN: `127.0.0.1:${port}` }),
      2,
      /another process listens there.*HOSTLER_PRIVATE_LISTEN/,
    ],
    ['no HAProxy', [], () => ({ HAPROXY_BIN: '/nowhere' }), 3, /`\/nowhere` was not found\. Install it/],
  ])('%s ends it with one line that says what to do', async (_, args, env, expected, line) => {
    const { code, stderr } = await rig.run(args, { ...env(), HOSTLER_LOG_LEVEL: 'warn' })
    expect(stderr).toMatch(line)
    expect(stderr.trim().split('\n')).toHaveLength(1)
    expect(code).toBe(expected)
    expect(existsSync(rig.path('out/domain.map'))).toBe(false)
  })

  test('several mistakes get a line each', async () => {
    const { code, stderr } = await rig.run([], { HOSTLER_HTTP_PORT: 'x', SSL_REDIRECTION_TYPE: '305', HOSTLER_X: '1' })
    expect(code).toBe(2)
    expect(stderr.trim().split('\n')).toHaveLength(3)
  })

  test('--help names every command and option', async () => {
    const { code, stdout } = await rig.run(['--help'])
    expect(code).toBe(0)
    const names = ['run', 'generate', 'generate-maps', 'haproxy', 'render', 'check', 'status', 'plan', 'config']
    for (const name of names) expect(stdout).toMatch(new RegExp(`^ {2}${name} `, 'm'))
    for (const option of ['--config', '--set', '--proxy', '--domain', '--log-level']) expect(stdout).toContain(option)
    const { stdout: render } = await rig.run(['render', '--help'])
    for (const option of ['--out', '--diff', '--context']) expect(render).toContain(option)
  })
})
