import { readFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, test } from '@jest/globals'
import { createTraefikActivity } from '../../src/proxies/traefik/activity.js'

const recorded = (name: string) =>
  readFileSync(new URL(`../fixtures/traefik-metrics/${name}.txt`, import.meta.url), 'utf8')
const { signal } = new AbortController()

const servers: Server[] = []
afterEach(async () => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  }
})

type Answer = (request: IncomingMessage, response: ServerResponse) => void

/** Traefik's metrics from a server that answers so. */
async function reader(
  answer: Answer,
  { services = ['app-r1', 'app-r10', 'app-r2'], path = '/metrics', user = '' } = {},
) {
  const server = createServer(answer)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  servers.push(server)
  const { port } = server.address() as AddressInfo
  const url = `http://${user}127.0.0.1:${port}${path}`
  return createTraefikActivity({ url, entryPoints: ['web', 'websecure'], services: () => services })
}

/** The same text each time, as a process that goes on would write it. */
function alive(text: string): Answer {
  let allocated = 0
  return (_, response) => {
    allocated += 4096
    response.end(text.replace(/^(go_memstats_alloc_bytes_total) .*$/m, `$1 ${allocated}`))
  }
}

const without = (text: string, ...metrics: string[]) =>
  text.replace(new RegExp(`^(?:${metrics.join('|')})[{ ].*\n`, 'gm'), '')

const failure = (message: string) => ({ code: 'TRAEFIK_METRICS', message: expect.stringContaining(message) })

describe('the traffic of Traefik', () => {
  test('v3: counts requests of every code, method and protocol; what is open it does not tell', async () => {
    expect(await (await reader(alive(recorded('v3'))))(signal)).toEqual([
      { backend: 'app-r1', total: 43, counting: '1795265544.12' },
      { backend: 'app-r10', total: 1_200_000, counting: '1795265544.12' },
      { backend: 'app-r2', total: 0, counting: '1795265544.12' },
    ])
  })

  test('v2: tells what is open, WebSockets too, of services that had a request', async () => {
    expect(await (await reader(alive(recorded('v2'))))(signal)).toEqual([
      { backend: 'app-r1', total: 43, current: 3, counting: '1795265544.12' },
      { backend: 'app-r10', total: 1_200_000, counting: '1795265544.12' },
      { backend: 'app-r2', total: 0, counting: '1795265544.12' },
    ])
  })

  test('another process is another counting', async () => {
    const processes = ['1795265544.12', '1795265999.5'].map((start) =>
      alive(recorded('v3').replace(/^(process_start_time_seconds) .*$/m, `$1 ${start}`)),
    )
    // The second one has to differ from the first in what it has allocated, as it would.
    const second = processes[1] as Answer
    second({} as IncomingMessage, { end: () => undefined } as unknown as ServerResponse)
    const read = await reader((request, response) => processes.shift()?.(request, response))
    expect((await read(signal))[0]?.counting).not.toBe((await read(signal))[0]?.counting)
  })

  test('is asked for with the user and password of its URL, as plain text', async () => {
    const seen: IncomingMessage['headers'][] = []
    const text = alive(recorded('v3'))
    const read = await reader(
      (request, response) => {
        seen.push(request.headers)
        expect(request.url).toBe('/base/metrics?x=1')
        text(request, response)
      },
      { path: '/base/metrics?x=1', user: 'ci:s%20cret@' },
    )
    await read(signal)
    expect(seen[0]).toMatchObject({
      authorization: `Basic ${Buffer.from('ci:s cret').toString('base64')}`,
      accept: expect.stringContaining('text/plain'),
    })
  })

  test('is not known where nobody says where the metrics are', async () => {
    const read = createTraefikActivity({ url: '', entryPoints: ['web'], services: () => ['a'] })
    await expect(read(signal)).rejects.toMatchObject(failure('HOSTLER_TRAEFIK_METRICS'))
  })

  test.each<[string, Answer, string]>([
    ['an error', (_, response) => response.writeHead(500).end('traefik_config_reloads_total 1\n'), 'answers 500'],
    ['a redirect', (_, response) => response.writeHead(302, { location: '/' }).end(), 'answers 302'],
    ['nothing', (_, response) => response.end(), "Traefik's metrics"],
    ["somebody else's metrics", (_, response) => response.end('node_cpu_seconds_total 5\n'), "Traefik's metrics"],
    [
      'half of an answer',
      (_, response) => response.write('traefik_config_reloads_total 1\n', () => response.destroy()),
      'cannot be read',
    ],
    [
      'a text that ends within a line',
      (_, response) => response.end(recorded('v3').slice(0, -2)),
      'ends within a line',
    ],
    [
      'a garbled count',
      (_, response) => response.end(recorded('v3').replace(/"} 40\n/g, '"} forty\n')),
      'has no value',
    ],
    ['a hang-up', (request) => request.socket.destroy(), 'cannot be read'],
  ])('is not known from %s', async (_, answer, message) => {
    await expect((await reader(answer))(signal)).rejects.toMatchObject(failure(message))
  })

  test('is not known from an answer that is the same as the last one: it comes from a cache', async () => {
    const read = await reader((_, response) => response.end(recorded('v3')))
    await read(signal)
    await expect(read(signal)).rejects.toMatchObject(failure('what it had before'))
  })

  test('is not known where requests were answered but none is counted by service', async () => {
    const uncounted = without(recorded('v3'), 'traefik_service_requests_total')
    await expect((await reader(alive(uncounted)))(signal)).rejects.toMatchObject(failure('addServicesLabels'))
    const untouched = without(uncounted, 'traefik_entrypoint_requests_total')
    expect((await (await reader(alive(untouched)))(signal)).map(({ total }) => total)).toEqual([0, 0, 0])
  })

  test('a count that is no number hides no other', async () => {
    const text = recorded('v3').replace(/file"} 2\n/, 'file"} NaN\n')
    expect((await (await reader(alive(text)))(signal))[0]?.total).toBe(41)
  })

  test('the message holds no password', async () => {
    const read = await reader((_, response) => response.writeHead(401).end(), { user: 'ci:secret@' })
    const error = await read(signal).catch((thrown) => thrown)
    expect(error).toMatchObject(failure('answers 401'))
    expect(String(error.message)).not.toContain('secret')
  })

  test('of 10,000 services is read whole', async () => {
    const services = Array.from({ length: 10_000 }, (_, index) => `app-${index}`)
    const labels = (service: string) => `code="200",method="GET",protocol="http",service="${service}@file"`
    const bucket = (service: string) =>
      `traefik_service_request_duration_seconds_bucket{${labels(service)},le="0.1"} 1\n`
    const line = (service: string, index: number) =>
      `${bucket(service).repeat(5)}traefik_service_requests_total{${labels(service)}} ${index}\n`
    const read = await reader(alive(`${recorded('v3')}${services.map(line).join('')}`), { services })
    const found = await read(signal)
    expect(found.map(({ total }) => total)).toEqual(services.map((_, index) => index))
  })
})
