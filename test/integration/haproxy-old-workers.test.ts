import { statSync } from 'node:fs'
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { createMasterSocket } from '../../src/proxies/haproxy/master-socket.js'
import { openTunnel, startTunnelServer } from '../support/executor-rig.js'
import type { RunningHostler } from '../support/hostler.js'
import { createRig, type Rig } from '../support/rig.js'
import { describeWith } from '../support/servers.js'
import { until } from '../support/wait.js'

const HOST = 'chat.ci.example.com'
const signal = new AbortController().signal

describeWith(['haproxy'], 'old workers of HAProxy', () => {
  let rig: Rig
  let server: Awaited<ReturnType<typeof startTunnelServer>>
  beforeEach(async () => {
    rig = await createRig({ HOSTLER_POLL_INTERVAL: '200ms' })
    server = await startTunnelServer()
    rig.stacks([{ name: 'chat', stack: 'chat', labels: { port: server.port } }])
  })
  afterEach(async () => {
    await rig?.close()
    await server?.close()
  })

  const oldWorkers = async (hostler: RunningHostler) => (await hostler.state()).proxies[0]?.details['old workers']
  const reload = async () =>
    expect(
      await createMasterSocket(rig.path('state/haproxy-master.sock'), { timeoutMs: 10_000 }).reload(signal),
    ).toMatchObject({ ok: true })

  /** HAProxy tells whole seconds: of files younger than that nobody knows which worker has read them, and we reload again. */
  const filesAreOld = () =>
    until('the files are older', () => Date.now() - statSync(rig.path('out/haproxy-backends.cfg')).ctimeMs > 2000)

  test('are as many as long connections need, are told, and the oldest is ended when there are too many', async () => {
    const hostler = await rig.start(['run'], { env: { HAPROXY_MAX_OLD_WORKERS: '2' } })
    await filesAreOld()
    const tunnels = [await openTunnel(rig.ports.http, HOST)]
    for (const count of [1, 2]) {
      await reload()
      tunnels.push(await openTunnel(rig.ports.http, HOST))
      await until(`${count} are told`, async () => (await oldWorkers(hostler)) === count)
      for (const tunnel of tunnels) expect(await tunnel.echo('hello')).toBe('hello')
    }
    expect(hostler.log()).toContain('an old worker of HAProxy still has connections')
    await reload()
    await until('the oldest is cut', () => !tunnels[0]?.isOpen())
    for (const tunnel of tunnels.slice(1)) expect(await tunnel.echo('hello')).toBe('hello')
    await until('two are left', async () => (await oldWorkers(hostler)) === 2)
    for (const tunnel of tunnels) tunnel.end()
    await until('none is left', async () => (await oldWorkers(hostler)) === 0)
  })

  test('end with their connections after a time that the operator sets', async () => {
    const bounded = await rig.start(['run'], { env: { HAPROXY_HARD_STOP_AFTER: '500ms' } })
    await filesAreOld()
    const tunnel = await openTunnel(rig.ports.http, HOST)
    await reload()
    await until('it is cut', () => !tunnel.isOpen())
    await until('none is left', async () => (await oldWorkers(bounded)) === 0)
  })
})
