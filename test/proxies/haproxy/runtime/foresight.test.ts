import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals'
import { systemClock } from '../../../../src/lib/clock.js'
import { silentLogger } from '../../../../src/lib/logger.js'
import { createMover, type Mover, type Target } from '../../../../src/proxies/haproxy/runtime/mover.js'
import { readImage } from '../../../../src/proxies/haproxy/runtime/read-image.js'
import { createFakeClock, type FakeClock } from '../../../support/clock.js'
import { type DriverRig, hostOf, startDriverRig } from '../../../support/driver-rig.js'
import { describeHaproxys } from '../../../support/haproxy-bins.js'
import { type SocketRelay, startSocketRelay } from '../../../support/socket-relay.js'
import { startUpstream, type Upstream } from '../../../support/upstreams.js'

const signal = new AbortController().signal
const EVERYTHING = 'show servers state'
const inputs = { spares: 8, env: {}, log: silentLogger(), signal }

describeHaproxys([], 'what was planned for staged files', ({ bin, atLeast }) => {
  /** For a stack: its backend where HAProxy can add one, a server, a map entry. */
  const count = atLeast(3, 4) ? 3 : 2
  let rig: DriverRig
  let app: Upstream
  let relay: SocketRelay
  let mover: Mover
  let clock: FakeClock

  const target = async (...names: string[]): Promise<Target> => {
    rig.publish(new Map(names.map((name) => [name, [app.port]])))
    const configs = ['haproxy.cfg', 'haproxy-backends.cfg'].map((name) => join(rig.dir, name))
    const files = { configs, others: [rig.map], certificates: [] }
    return { ...(await readImage(files)), onDisk: undefined }
  }
  const status = async (stack: string) => (await rig.get(hostOf(stack))).status

  beforeAll(async () => {
    rig = await startDriverRig({ bin })
    app = await startUpstream('app')
    await target('one')
    await rig.apply()
    relay = await startSocketRelay(join(rig.dir, 'admin.sock'))
  })
  afterAll(async () => {
    await rig?.stop()
    await app?.close()
    await relay?.close()
  })
  beforeEach(async () => {
    clock = createFakeClock()
    mover = createMover({ ...inputs, socket: relay.path, clock })
    // As at a load: what an earlier test has changed goes.
    const first = await target('one')
    await rig.master.reload(signal)
    mover.loaded(first.image, undefined)
  })

  test('is done when they are in place, and HAProxy is not asked for everything again', async () => {
    const before = relay.count(EVERYTHING)
    expect(await mover.plan(await target('one', 'two'), signal)).toMatchObject({ steps: { length: count } })
    expect(relay.count(EVERYTHING)).toBe(before + 1)
    expect(await mover.move(await target('one', 'two'), signal)).toMatchObject({ steps: { count } })
    expect(relay.count(EVERYTHING)).toBe(before + 1)
    expect(await status('two')).toBe(200)
  })

  test('is done once: the next move looks at what there is', async () => {
    await mover.plan(await target('one', 'two'), signal)
    await mover.move(await target('one', 'two'), signal)
    const before = relay.count(EVERYTHING)
    expect(await mover.move(await target('one', 'two'), signal)).toMatchObject({ steps: { count: 0 } })
    expect(relay.count(EVERYTHING)).toBe(before + 1)
  })

  test('is not done to other files', async () => {
    await mover.plan(await target('one', 'two'), signal)
    expect(await mover.move(await target('one', 'three'), signal)).toMatchObject({ steps: { count } })
    expect([await status('two'), await status('three')]).toEqual([503, 200])
  })

  test('is not done a second later', async () => {
    await mover.plan(await target('one', 'two'), signal)
    const before = relay.count(EVERYTHING)
    await clock.pass(1001)
    expect(await mover.move(await target('one', 'two'), signal)).toMatchObject({ steps: { count } })
    expect(relay.count(EVERYTHING)).toBe(before + 1)
  })

  test('is not done when another move came first', async () => {
    await mover.plan(await target('one', 'two'), signal)
    const planned = await target('one', 'two', 'three')
    await mover.plan(planned, signal)
    await mover.move(await target('one', 'two'), signal)
    expect(await mover.move(planned, signal)).toMatchObject({ steps: { count } })
    expect([await status('two'), await status('three')]).toEqual([200, 200])
  })

  test('is not done to a worker that somebody has started since', async () => {
    const planned = await target('one', 'two')
    await mover.plan(planned, signal)
    await rig.master.reload(signal)
    expect(await mover.move(planned, signal)).toEqual({ reload: 'somebody else has reloaded HAProxy' })
  })

  test('is planned anew for a worker that takes over while HAProxy is asked', async () => {
    const { onDisk: _, ...first } = await target('one')
    const configs = ['haproxy.cfg', 'haproxy-backends.cfg'].map((name) => join(rig.dir, name))
    const here: Target = { ...first, onDisk: { configs, others: [rig.map], certificates: [] } }
    const patient = createMover({ ...inputs, socket: relay.path, clock: systemClock })
    patient.loaded(first.image, undefined)
    await patient.move(here, signal)
    await delay(100) // Files as young as a worker may have been written after it has read them.
    relay.before(EVERYTHING, async () => void (await rig.master.reload(signal)))
    expect(await patient.move(here, signal)).toEqual({ steps: { count: 0, first: [] } })
  })
})
