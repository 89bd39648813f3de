import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, test } from '@jest/globals'
import { fetchPreview, fetchState, urlOf } from '../../src/cli/fetch.js'
import { createMetrics } from '../../src/http/metrics.js'
import { createPrivateServer } from '../../src/http/private-server.js'
import { silentLogger } from '../../src/lib/logger.js'
import { freePort } from '../support/ports.js'
import { calmProxy, samplePreview } from '../support/previews.js'
import { largeState, troubledState } from '../support/states.js'

const servers: Server[] = []

afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections()
    server.close()
  }
})

async function answering(listener: RequestListener): Promise<string> {
  const server = createServer(listener)
  servers.push(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

const failure = (message: string | RegExp) => ({
  name: 'HostlerError',
  code: 'UNREACHABLE',
  message: expect.stringMatching(message),
})

describe('asking a running Hostler', () => {
  test.each([
    ['troubled', troubledState()],
    ['large', largeState(10_000)],
  ])('gives its state as it is: %s', async (_, state) => {
    const server = createPrivateServer({
      listen: { host: '127.0.0.1', port: 0 },
      state: () => state,
      preview: async () => samplePreview(),
      metrics: createMetrics(),
      log: silentLogger(),
    })
    const { port } = await server.start()
    try {
      expect(await fetchState({ host: '0.0.0.0', port })).toEqual(state)
    } finally {
      await server.stop()
    }
  })

  test('gives what comes next as it is', async () => {
    const preview = samplePreview(calmProxy({ how: 'reload', why: 'domain.map is gone', files: ['/a'] }))
    const url = await answering(({ url: path }, response) => {
      response.end(path === '/api/plan' ? JSON.stringify(preview) : '{}')
    })
    expect(await fetchPreview(url)).toEqual(preview)
    const other = await answering((_, response) => void response.end('{"version":"1","domain":"","proxies":[]}'))
    await expect(fetchPreview(other)).rejects.toMatchObject(failure('what answers there is not Hostler'))
  })

  test('says where nothing listens, and what to do', async () => {
    const port = await freePort()
    await expect(fetchState({ host: '127.0.0.1', port })).rejects.toMatchObject(
      failure(
        `^Hostler cannot be reached at http://127.0.0.1:${port}: nothing listens there\\. Start it with "hostler run", or set private\\.listen`,
      ),
    )
  })

  test('gives up on a server that accepts and says nothing', async () => {
    const url = await answering(() => undefined)
    await expect(fetchState(url, { timeoutMs: 50 })).rejects.toMatchObject(failure('no answer within 50 ms'))
  })

  test('gives up on a server that never ends its answer', async () => {
    const url = await answering((_, response) => void response.writeHead(200).write('{"version":'))
    await expect(fetchState(url, { timeoutMs: 50 })).rejects.toMatchObject(failure('no answer within 50 ms'))
  })

  test.each(['<html>', '{}', 'null', '[]', '{"version":"1","startedAt":1,"domain":"","problems":[],"plan":{}}'])(
    'knows that %s is not an answer of Hostler',
    async (body) => {
      const url = await answering((_, response) => void response.end(body))
      await expect(fetchState(url)).rejects.toMatchObject(failure('what answers there is not Hostler'))
    },
  )

  test('passes on what a refusal says of itself', async () => {
    const url = await answering(
      (_, response) => void response.writeHead(403).end('{"detail":"call it by\\u001b[1m name"}'),
    )
    await expect(fetchState(url)).rejects.toMatchObject(failure('it answered 403: call it by \\[1m name'))
  })

  test('does not repeat a password of the URL', async () => {
    await expect(fetchState('http://ci:hunter2@127.0.0.1:1')).rejects.toMatchObject(
      failure(/^(?!.*hunter2).*\*\*\*@127/),
    )
  })

  test.each([
    ['0.0.0.0', 'http://127.0.0.1:80'],
    ['::', 'http://[::1]:80'],
    ['fd00::2', 'http://[fd00::2]:80'],
    ['hostler', 'http://hostler:80'],
  ])('an address to listen on, %s, is called at %s', (host, url) => expect(urlOf({ host, port: 80 })).toBe(url))
})
