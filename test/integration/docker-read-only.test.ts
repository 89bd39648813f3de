import { createServer, request, type Server } from 'node:http'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { startDockerd, type TestDockerd } from '../support/dockerd.js'
import { freePort } from '../support/ports.js'
import { createRig, type Rig } from '../support/rig.js'
import { describeWith } from '../support/servers.js'
import { tempDir } from '../support/temp.js'
import { until } from '../support/wait.js'

describeWith(['dockerd', 'haproxy', 'busybox'], 'behind an API proxy that lets nothing but reading through', () => {
  let dockerd: TestDockerd
  let proxy: { readonly server: Server; readonly host: string; readonly refused: string[] }
  let rig: Rig

  beforeAll(async () => {
    dockerd = await startDockerd()
    proxy = await readingOnly(dockerd.socket)
    rig = await createRig({
      HOSTLER_SOURCES: 'docker',
      DOCKER_HOST: proxy.host,
      HOSTLER_DOMAIN: 'ci.test',
      HOSTLER_PUBLIC_LISTEN: `127.0.0.1:${await freePort()}`,
    })
    await rig.start()
  })
  afterAll(async () => {
    await rig?.close()
    proxy?.server.closeAllConnections()
    proxy?.server.close()
    await dockerd?.stop()
  })

  const status = async (host: string) => (await rig.ask(host)).status

  test('containers are routed to as they come and go, and nothing but reading is asked for', async () => {
    const { container } = await dockerd.run({ labels: { 'hostler.port': '80', 'hostler.stack': 'shop' } })
    await until('it answers', async () => (await status('shop.ci.test')) === 200)
    await container.remove({ force: true })
    await until('its route is gone', async () => (await status('shop.ci.test')) === 404)
    expect(proxy.refused).toEqual([])
  })

  test('a stack that sleeps cannot be woken, and whoever asks for it is told at once', async () => {
    const labels = { 'hostler.port': '80', 'hostler.stack': 'sleepy', 'hostler.wake': 'true' }
    const { container } = await dockerd.run({ labels, start: false })
    await until('its route is there', async () => (await status('sleepy.ci.test')) === 502)
    expect(JSON.parse((await rig.ask('sleepy.ci.test')).body)).toMatchObject({
      detail: expect.stringContaining('its container could not be started; the log says why'),
    })
    expect(new Set(proxy.refused)).toEqual(new Set(['POST']))
    expect((await container.inspect()).State.Status).toBe('created')
  })
})

/** As the usual ones answer what they do not let through. */
async function readingOnly(target: string) {
  const path = join(tempDir(), 'd.sock')
  const refused: string[] = []
  const server = createServer((asked, answer) => {
    const { method = '', url, headers } = asked
    if (method !== 'GET') {
      refused.push(method)
      return void answer.writeHead(403).end('<html><body><h1>403 Forbidden</h1></body></html>')
    }
    const passed = request({ socketPath: target, method, path: url, headers }, (found) => {
      answer.writeHead(found.statusCode ?? 502, found.headers)
      answer.flushHeaders()
      found.pipe(answer)
    })
    passed.on('error', () => answer.destroy())
    answer.on('close', () => passed.destroy())
    passed.end()
  })
  await new Promise<void>((resolve) => server.listen(path, resolve))
  return { server, host: `unix://${path}`, refused }
}
