import { mkdirSync, readdirSync, readFileSync, rmdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, expect, test } from '@jest/globals'
import { createRuntimeSocket } from '../../src/proxies/haproxy/runtime/socket.js'
import type { StatePreview } from '../../src/reconcile/preview.js'
import { VERSION } from '../../src/version.js'
import type { RunningHostler } from '../support/hostler.js'
import { freePort } from '../support/ports.js'
import { createRig, type Rig } from '../support/rig.js'
import { describeWith } from '../support/servers.js'
import { startUpstream, type Upstream } from '../support/upstreams.js'
import { until } from '../support/wait.js'

const signal = new AbortController().signal
const HEAD = `Hostler ${VERSION}`
const NOTHING = '● haproxy  nothing to do: it has what the files say\n'
/** Without the seconds since a server's state last changed, in `show servers state`. */
const untimed = (text: string) => text.replace(/^(\d+ \S+ \d+(?: \S+){6}) \d+/gm, '$1')
const hostOf = (stack: string) => `${stack}.ci.example.com`

describeWith(['haproxy'], 'hostler plan', () => {
  let rig: Rig
  let hostler: RunningHostler
  let app: Upstream

  const stacks = (...names: string[]) =>
    rig.stacks(names.map((name) => ({ name: `${name}-1`, stack: name, service: 'web', labels: { port: app.port } })))
  const rules = (text: string) => rig.write('templates/haproxy/_rules.hbs', text)
  const plan = async () => {
    const { code, stdout, stderr } = await rig.run(['plan'])
    expect(stderr).toBe('')
    return { code, stdout }
  }
  const preview = async () => (JSON.parse((await hostler.get('/api/plan')).body) as StatePreview).proxies[0]
  const proxy = async () => (await hostler.state()).proxies[0]
  const untilFailing = () => until('publishing fails', async () => (await proxy())?.error !== undefined)

  async function start(env: Record<string, string> = {}): Promise<void> {
    const listen = `127.0.0.1:${await freePort()}`
    rig = await createRig({ HOSTLER_PRIVATE_LISTEN: listen, HAPROXY_SPARE_BACKENDS: '4', ...env })
    Object.assign(rig.env, { HOSTLER_TEMPLATES: rig.path('templates'), HOSTLER_TRAEFIK_DIR: rig.path('traefik') })
    rules('')
    app = await startUpstream('app')
    rig.keep(app)
    stacks('base', 'shop')
    hostler = await rig.start()
  }
  afterEach(() => rig?.close())

  /** No set of files can be put in place while something lies where its journal goes. */
  const journal = () => rig.path('out/.hostler/journal.json')
  const hold = () => mkdirSync(journal())
  const letGo = () => rmdirSync(journal())

  /** All that could have been changed: files with their times, HAProxy's processes, servers and maps, and what is told. */
  async function everything() {
    const socket = createRuntimeSocket(rig.path('state/haproxy-admin.sock'))
    const asked = ['show servers state', 'show backend', `show map ${rig.path('out/domain.map')}`, 'show ssl cert']
    const files = readdirSync(rig.path('out'), { withFileTypes: true }).filter((entry) => entry.isFile())
    const { changes, applies, details } = (await proxy()) ?? {}
    return {
      haproxy: await Promise.all(asked.map(async (command) => untimed((await socket.ask(command, signal)).text))),
      files: files.map(({ name }) => {
        const path = join(rig.path('out'), name)
        return [name, readFileSync(path, 'utf8'), statSync(path).mtimeMs, statSync(path).ino]
      }),
      told: { changes, applies, details },
    }
  }

  test('tells the steps for a new stack and the reason to reload for an edited template; nothing changes by asking', async () => {
    await start()
    expect(await plan()).toEqual({ code: 0, stdout: `${HEAD}  nothing to do  domain ci.example.com\n\n${NOTHING}` })
    hold()
    stacks('base', 'late')
    await untilFailing()
    const before = await everything()
    const { code, stdout } = await plan()
    expect(code).toBe(1)
    expect(
      stdout.split('    the last attempt failed: ')[0],
    ).toBe(`${HEAD}  something is in the way  domain ci.example.com

✗ haproxy  4 steps at run time, no reload
    + add server late/late-1 at 127.0.0.1:${app.port} [hostler_spare_001]
    + add ${hostOf('late')} → late to domain.map
    - remove ${hostOf('shop')} from domain.map
    - drain and remove server shop/shop-1
    writes domain.map, haproxy-backends.cfg
`)
    const rule = 'http-request deny deny_status 403 if { path_beg /-/ }'
    rules(`  ${rule}\n`)
    expect(await preview()).toMatchObject({ how: 'reload', why: `frontend hostler has changed: ${rule}` })
    const { stdout: reload } = await plan()
    expect(reload).toContain(`✗ haproxy  reload, because frontend hostler has changed: ${rule}\n`)
    expect(reload).toContain('    writes domain.map, haproxy-backends.cfg, haproxy-frontends.cfg\n')
    await Promise.all(Array.from({ length: 10 }, preview))
    expect(await everything()).toEqual(before)
    letGo()
    await rig.untilServedBy('app', hostOf('late'))
    await until('all is in force', async () => (await plan()).stdout.endsWith(NOTHING))
    const [last] = (await proxy())?.changes ?? []
    expect(last).toMatchObject({
      how: 'reload',
      why: `frontend hostler has changed: ${rule}`,
      backends: { count: 2, first: ['late', 'shop'] },
      files: ['domain.map', 'haproxy-backends.cfg', 'haproxy-frontends.cfg'].map((name) => rig.path(`out/${name}`)),
    })
  })

  test('compares with what HAProxy really has: a server that somebody deleted is missed at once', async () => {
    await start()
    const socket = createRuntimeSocket(rig.path('state/haproxy-admin.sock'))
    await socket.ask('set server base/base-1 state maint', signal)
    await socket.ask('del server base/base-1', signal)
    const text = `add server base/base-1 at 127.0.0.1:${app.port}`
    expect(await preview()).toMatchObject({ how: 'runtime', steps: [{ action: 'add', text }], files: [] })
    expect((await rig.ask(hostOf('base'))).status).toBe(503)
  })

  test('speaks of the stack that a spare serves, also when it was put there before; so does what status tells', async () => {
    await start()
    stacks('base', 'shop', 'late')
    await rig.untilServedBy('app', hostOf('late'))
    const steps = [`add server late/late-1 at 127.0.0.1:${app.port} [hostler_spare_001]`, /late → late to domain.map$/]
    // Its hostname may have come a change earlier than its server.
    const last = await until('it is told', async () =>
      (await proxy())?.changes.find((change) => change.steps?.first[0] === steps[0]),
    )
    expect(last).toMatchObject({ how: 'runtime', backends: { count: 1, first: ['late'] } })
    const { stdout } = await rig.run(['status'])
    expect(stdout).toMatch(/CHANGES {2}the last \d changes of haproxy\n.*\n +.* runtime +\d+ ms {2}late\n/)
    expect(stdout).not.toContain('hostler_spare_')
    hold()
    stacks('base', 'shop')
    await untilFailing()
    expect((await preview())?.steps.map(({ text }) => text)).toEqual([
      `remove ${hostOf('late')} from domain.map`,
      'drain and remove server late/late-1 [hostler_spare_001]',
    ])
    letGo()
  })

  test('answers while a reload waits for its turn, and says when that comes', async () => {
    await start({ HAPROXY_RELOAD_INTERVAL: '1h' })
    rules('  http-request set-header X-Edit 1\n')
    await until('the first edit is loaded', async () => (await proxy())?.applies['reload'] === 1)
    rules('  http-request set-header X-Edit 2\n')
    await until('the second one is published', () => rig.read('out/haproxy-frontends.cfg').includes('X-Edit 2'))
    const { code, stdout } = await plan()
    expect(code).toBe(0)
    expect(stdout).toMatch(
      /○ haproxy {2}reload in 59m \d+s, when its turn comes, because frontend hostler has changed: .*X-Edit 2\n$/,
    )
    rules('  http-request set-header X-Edit 1\n')
    await until('it is as it was', async () => (await plan()).stdout.endsWith(NOTHING))
  })

  test('says what is wrong with a template, and exits 1; --json says the same', async () => {
    await start()
    rules('{{nonsense}}\n')
    await untilFailing()
    const { code, stdout } = await plan()
    expect(code).toBe(1)
    expect(stdout).toContain(
      '✗ haproxy  nothing can be done: template _rules.hbs line 1: no field is called "nonsense"',
    )
    const json = await rig.run(['plan', '--json'])
    expect(JSON.parse(json.stdout)).toEqual(JSON.parse((await hostler.get('/api/plan')).body))
  })

  test('tells of files that somebody else writes (hostler haproxy), and of the one that Traefik reads', async () => {
    await start({ HOSTLER_PROXY: 'haproxy,traefik' })
    expect((await plan()).stdout).toMatch(/● traefik {2}nothing to do: .*\n$/)
    await hostler.stop()
    hostler = await rig.start(['haproxy'])
    expect((await plan()).stdout).toBe(`${HEAD}  nothing to do  domain ci.example.com\n\n${NOTHING}`)
  })

  test('exits 3 with one line and a remedy when nothing runs', async () => {
    rig = await createRig({ HOSTLER_PRIVATE_LISTEN: '127.0.0.1:1' })
    const { code, stdout, stderr } = await rig.run(['plan'])
    expect([code, stdout]).toEqual([3, ''])
    expect(stderr).toMatch(/^hostler: Hostler cannot be reached at http:\/\/127\.0\.0\.1:1: .*hostler run.*\n$/)
  })
})
