import { once } from 'node:events'
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals'
import { systemClock } from '../../../../src/lib/clock.js'
import { silentLogger } from '../../../../src/lib/logger.js'
import { createMover, type Mover, type Target } from '../../../../src/proxies/haproxy/runtime/mover.js'
import { readImage } from '../../../../src/proxies/haproxy/runtime/read-image.js'
import { readRunning } from '../../../../src/proxies/haproxy/runtime/state.js'
import { createFakeClock, type FakeClock } from '../../../support/clock.js'
import { type DriverRig, hostOf, type Stacks, startDriverRig } from '../../../support/driver-rig.js'
import { describeHaproxys } from '../../../support/haproxy-bins.js'
import { freePort } from '../../../support/ports.js'
import { seededRandom } from '../../../support/random.js'
import { type SocketRelay, startSocketRelay } from '../../../support/socket-relay.js'
import { until } from '../../../support/wait.js'

const signal = new AbortController().signal
const EVERYTHING = 'show servers state'
const stacksOf = (ports: Record<string, number[]>) => new Map(Object.entries(ports))

describeHaproxys([], 'a change soon after another one', ({ bin, atLeast }) => {
  let rig: DriverRig
  let relay: SocketRelay
  let mover: Mover
  let clock: FakeClock

  const target = async (stacks: Stacks): Promise<Target> => {
    rig.publish(stacks)
    const configs = ['haproxy.cfg', 'haproxy-backends.cfg'].map((name) => join(rig.dir, name))
    const files = { configs, others: [rig.map], certificates: [] }
    return { ...(await readImage(files)), onDisk: undefined }
  }
  /** As a change of files is made: planned when they are staged, done when they are in place. */
  const change = async (stacks: Stacks) => {
    const wanted = await target(stacks)
    await mover.plan(wanted, signal)
    const moved = await mover.move(wanted, signal)
    if (!('steps' in moved)) throw new Error(JSON.stringify(moved))
    return moved.steps.count
  }
  const served = async () => {
    const { servers, maps } = await readRunning(rig.socket, { maps: [rig.map] }, signal)
    const entries = [...(maps.get(rig.map) ?? [])]
    return new Map(entries.map(([host, backend]) => [host, [...(servers.get(backend)?.keys() ?? [])].sort()]))
  }
  const wantedOf = (stacks: Stacks) =>
    new Map([...stacks].map(([stack, ports]) => [hostOf(stack), ports.map((port) => `s${port}`).sort()]))

  beforeAll(async () => {
    rig = await startDriverRig({ bin })
    await target(stacksOf({ one: [1] }))
    await rig.apply()
    relay = await startSocketRelay(join(rig.dir, 'admin.sock'))
  })
  afterAll(async () => {
    await rig?.stop()
    await relay?.close()
  })
  beforeEach(async () => {
    const first = await target(stacksOf({ one: [1] }))
    await rig.master.reload(signal)
    clock = createFakeClock()
    // Removals of what is in use are looked at as real time passes.
    const timed = { ...clock, sleep: systemClock.sleep }
    mover = createMover({ socket: relay.path, spares: 8, env: {}, clock: timed, log: silentLogger(), signal })
    mover.loaded(first.image, undefined)
  })

  test('asks for the servers of what was touched alone; after ten seconds for all again', async () => {
    const before = relay.count(EVERYTHING)
    await change(stacksOf({ one: [1, 2] }))
    expect(relay.count(EVERYTHING)).toBe(before + 1)
    const touched = relay.count(`${EVERYTHING} one`)
    await change(stacksOf({ one: [2] }))
    expect([relay.count(EVERYTHING), relay.count(`${EVERYTHING} one`)]).toEqual([before + 1, touched + 1])
    await clock.pass(10_001)
    await change(stacksOf({ one: [2, 3] }))
    expect(relay.count(EVERYTHING)).toBe(before + 2)
  })

  test('knows map entries as its own steps have left them; the next pass finds those of others', async () => {
    const asked = () => relay.count(`show map ${rig.map}`)
    await change(stacksOf({ one: [1] }))
    const before = asked()
    for (const stacks of [
      { one: [1], two: [2] },
      { one: [1], three: [3] },
    ])
      await change(stacksOf(stacks))
    expect(asked()).toBe(before)
    await rig.socket.ask(`del map ${rig.map} ${hostOf('three')}`, signal)
    const last = await target(stacksOf({ one: [1], three: [3] }))
    const first = expect.arrayContaining([expect.stringContaining(`add ${hostOf('three')}`)])
    expect(await mover.move(last, signal)).toMatchObject({ steps: { first } })
    expect(await served()).toEqual(wantedOf(stacksOf({ one: [1], three: [3] })))
  })

  test('ends where the files say, whatever came before it', async () => {
    const { next, pick } = seededRandom(811)
    const stacks = stacksOf({ one: [1] })
    for (let round = 0; round < 60; round++) {
      const ports = [1, 2, 3].filter(() => next() < 0.6)
      if (next() < 0.25) stacks.delete(pick(['two', 'three', 'four']))
      else stacks.set(pick(['one', 'two', 'three', 'four']), ports)
      await change(stacks)
      await until(`round ${round}`, async () => {
        expect(await served()).toEqual(wantedOf(stacks))
        return true
      })
    }
    // Far more rounds than looks at everything: time has not passed for the mover.
    expect(relay.count(`${EVERYTHING} one`)).toBeGreaterThan(10)
  })

  test('puts right what somebody else did to what it touches, and the next pass what they did elsewhere', async () => {
    await change(stacksOf({ one: [1], two: [2] }))
    await rig.socket.ask('set server one/s1 state maint', signal)
    await rig.socket.ask('del server one/s1', signal)
    const stacks = stacksOf({ one: [1], two: [2, 3] })
    await change(stacks)
    expect(await mover.move(await target(stacks), signal)).toMatchObject({ steps: { count: 1 } })
    expect(await served()).toEqual(wantedOf(stacks))
  })

  test('knows that a server is gone which had a connection when it was looked at', async () => {
    const app = await startSlowApp()
    try {
      const stacks = stacksOf({ one: [1], slow: [app.port] })
      await change(stacks)
      const asked = request({ host: '127.0.0.1', port: rig.port, headers: { host: hostOf('slow') } }).end()
      const answer = await app.arrived
      await change(stacksOf({ one: [1] }))
      // It looks while the server still has its connection.
      await change(stacksOf({ one: [1, 2] }))
      answer.end()
      const [response] = (await once(asked, 'response')) as [IncomingMessage]
      response.resume()
      await until('the server is gone', () => mover.describe()['leaving'] === 0)
      // From 3.4 on its backend, which was added, goes once it is empty.
      expect(await change(stacksOf({ one: [1, 2, 3] }))).toBe(atLeast(3, 4) ? 2 : 1)
    } finally {
      app.close()
    }
  })
})

async function startSlowApp() {
  const server = createServer()
  const arrived = once(server, 'request').then(([, response]) => response as ServerResponse)
  const port = await freePort()
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  return {
    port,
    arrived,
    close: () => {
      server.closeAllConnections()
      server.close()
    },
  }
}
