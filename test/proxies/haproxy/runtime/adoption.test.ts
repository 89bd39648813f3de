import { statSync } from 'node:fs'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { readWorker } from '../../../../src/proxies/haproxy/runtime/state.js'
import { type DriverRig, hostOf, startDriverRig } from '../../../support/driver-rig.js'
import { describeHaproxys } from '../../../support/haproxy-bins.js'
import { startUpstream, type Upstream } from '../../../support/upstreams.js'
import { until } from '../../../support/wait.js'

const signal = new AbortController().signal

describeHaproxys([], 'a HAProxy', ({ bin }) => {
  let rig: DriverRig
  let app: Upstream
  beforeAll(async () => {
    rig = await startDriverRig({ bin })
    app = await startUpstream('app')
  })
  afterAll(async () => {
    await rig?.stop()
    await app?.close()
  })
  const reloads = async () => (await rig.master.processes(signal)).master.reloads
  const stacks = (...names: string[]) => new Map(names.map((name) => [name, [app.port]]))

  test('whose worker dies is served by another one, without a reload', async () => {
    rig.publish(stacks('one'))
    expect((await rig.apply()).how).toBe('start')
    const { pid } = await readWorker(rig.socket, signal)
    process.kill(pid, 'SIGKILL')
    await until('another HAProxy runs', async () => (await readWorker(rig.socket, signal)).pid !== pid)
    await until('it is looked after', () => rig.describe()['running'])
    expect(await rig.apply()).toEqual({ how: 'nothing', ms: 0 })
    expect((await rig.get(hostOf('one'))).status).toBe(200)
    expect(await reloads()).toBe(0)
  })

  // From here on the first driver is one of a Hostler that was killed, though it would start a HAProxy that dies.
  test('that a killed Hostler left behind is not reloaded when it has loaded what lies on disk', async () => {
    await rig.restart()
    expect(await rig.apply()).toEqual({ how: 'nothing', ms: 0 })
    expect(rig.describe()).toMatchObject({ running: true, adopted: true, worker: expect.any(Number) })
    rig.publish(stacks('one', 'two'))
    expect((await rig.apply()).how).toBe('runtime')
    expect((await rig.get(hostOf('two'))).status).toBe(200)
    expect(await reloads()).toBe(0)
  })

  test('and that was changed at run time is reloaded once, for nobody knows what it has loaded', async () => {
    await rig.restart()
    expect(await rig.apply()).toMatchObject({ how: 'reload', why: 'what HAProxy has loaded is not known' })
    expect((await rig.get(hostOf('two'))).status).toBe(200)
    expect(await rig.apply()).toEqual({ how: 'nothing', ms: 0 })
    expect(await reloads()).toBe(1)
  })

  test('that somebody else reloads is not reloaded again, and is changed further', async () => {
    rig.publish(stacks('one', 'two', 'three'))
    expect((await rig.apply()).how).toBe('runtime')
    await until('the files are older than what comes now', () => Date.now() > statSync(rig.map).ctimeMs + 50)
    await rig.master.reload(signal)
    expect(await rig.apply()).toEqual({ how: 'nothing', ms: 0 })
    expect((await rig.get(hostOf('three'))).status).toBe(200)
    rig.publish(stacks('one'))
    expect((await rig.apply()).how).toBe('runtime')
    expect((await rig.get(hostOf('three'))).status).toBe(503)
    expect(await reloads()).toBe(2)
  })
})
