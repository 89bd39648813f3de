import { once } from 'node:events'
import { readFileSync, rmSync } from 'node:fs'
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { alive, keepAliveClients } from '../support/haproxy.js'
import type { RunningHostler } from '../support/hostler.js'
import { createRig, type Rig } from '../support/rig.js'
import { describeWith } from '../support/servers.js'
import { startUpstream, type Upstream } from '../support/upstreams.js'
import { until } from '../support/wait.js'

const HOST = 'app.ci.example.com'

describeWith(['haproxy'], 'when something is killed', () => {
  let rig: Rig
  let app: Upstream

  const stacks = (...names: string[]) =>
    rig.stacks(names.map((name) => ({ name, stack: name, labels: { port: app.port } })))
  const details = async (hostler: RunningHostler) => (await hostler.state()).proxies[0]?.details ?? {}
  const clients = () => keepAliveClients(`http://127.0.0.1:${rig.ports.http}/`, 4, { host: HOST })

  async function kill(hostler: RunningHostler): Promise<void> {
    hostler.child.kill('SIGKILL')
    await once(hostler.child, 'exit')
  }

  beforeEach(async () => {
    rig = await createRig()
    app = await startUpstream('app')
    rig.keep(app)
    stacks('app')
  })
  afterEach(() => rig?.close())

  test('HAProxy outlives Hostler, the next one adopts it and gives it what is new, and ends both in order', async () => {
    const first = await rig.start()
    const { pid } = await details(first)
    const { answered, stop } = clients()
    await until('they are served', () => answered() > 20)
    await kill(first)
    const then = answered()
    await until('they go on', () => answered() > then + 50)
    stacks('app', 'late')
    const second = await rig.start()
    await rig.untilServedBy('app', 'late.ci.example.com')
    expect(await details(second)).toMatchObject({ pid, adopted: true, running: true })
    expect((await stop()).failures).toEqual([])
    expect(await second.stop()).toBe(0)
    expect(alive(Number(pid))).toBe(false)
    await expect(rig.ask(HOST)).rejects.toThrow('ECONNREFUSED')
  })

  test('a killed worker or master of HAProxy is replaced', async () => {
    const hostler = await rig.start()
    for (const victim of ['worker', 'pid']) {
      const before = await details(hostler)
      process.kill(Number(before[victim]), 'SIGKILL')
      await until('another one runs', async () => {
        const { running, pid } = await details(hostler)
        return running && pid !== before['pid']
      })
      await rig.untilServedBy('app', HOST)
      stacks('app', victim)
      await rig.untilServedBy('app', `${victim}.ci.example.com`)
    }
    expect(await details(hostler)).toMatchObject({ deaths: 2 })
    await hostler.ready()
  })

  test.each([
    ['remembers what it knew', () => undefined],
    ['has lost its memory', () => rmSync(rig.path('state'), { recursive: true })],
  ])('with a source that is broken from the start, a Hostler that %s serves the old files', async (_, lose) => {
    const first = await rig.start()
    expect(await first.stop()).toBe(0)
    const files = () =>
      ['haproxy-backends.cfg', 'domain.map'].map((name) => readFileSync(rig.path(`out/${name}`), 'utf8'))
    const before = files()
    rig.write('stacks.yml', 'instances: [')
    lose()
    const second = await rig.start(['run'], { ready: false })
    await rig.untilServedBy('app', HOST)
    await until('it is told', async () => (await second.get('/readyz')).body.includes('stacks.yml'))
    expect((await second.get('/readyz')).status).toBe(503)
    expect((await second.get('/healthz')).status).toBe(200)
    expect(files()).toEqual(before)
    stacks('app', 'late')
    await rig.untilServedBy('app', 'late.ci.example.com')
    await second.ready()
  })

  test('a second Hostler on the same files gives way, and the first is not disturbed', async () => {
    const first = await rig.start()
    const { pid, worker } = await details(first)
    const { code, stderr } = await rig.run(['run'])
    expect(code).not.toBe(0)
    expect(stderr).toMatch(/another Hostler|held by/i)
    expect(await details(first)).toMatchObject({ pid, worker, deaths: 0 })
    expect((await rig.ask(HOST)).status).toBe(200)
  })
})
