import { readFileSync, writeFileSync } from 'node:fs'
import { Agent, createServer, get, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { freePort } from './ports.js'

/** A folder with a HAProxy configuration that answers on one free port. */
export interface Bench {
  readonly dir: string
  readonly config: string
  readonly masterSocket: string
  readonly port: number
  readonly url: string
  /** Writes the configuration anew: `say` is what the proxy answers, `more` is appended as it stands. */
  write(say: string, more?: string): void
  /** Arguments for the configuration. */
  args(): string[]
}

export async function createBench(dir: string): Promise<Bench> {
  const port = await freePort()
  const config = join(dir, 'haproxy.cfg')
  const bench: Bench = {
    dir,
    config,
    masterSocket: join(dir, 'master.sock'),
    port,
    url: `http://127.0.0.1:${port}/`,
    write: (say, more = '') => writeFileSync(config, configText({ port, dir, say, more })),
    args: () => ['-f', config],
  }
  bench.write('v1')
  return bench
}

export function configText({ port, dir, say, more }: { port: number; dir: string; say: string; more: string }): string {
  return `global
    maxconn 200
    stats socket ${join(dir, 'admin.sock')} mode 600 level admin
defaults
    mode http
    timeout connect 1s
    timeout client 20s
    timeout server 20s
    option idle-close-on-response
frontend web
    bind 127.0.0.1:${port}
    http-request return status 200 content-type text/plain string "${say}" if !{ path_beg /app }
    default_backend app
backend app
${more}`
}

/** The body that one fresh connection gets; rejects when there is none. */
export async function ask(url: string): Promise<string> {
  const { body } = await request(url, new Agent({ keepAlive: false }))
  return body
}

function request(url: string, agent: Agent, headers = {}): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    get(url, { agent, headers, timeout: 10_000 }, (response) => {
      let body = ''
      response.setEncoding('utf8')
      response.on('data', (chunk: string) => {
        body += chunk
      })
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body }))
      response.on('error', reject)
    })
      .on('timeout', function (this: { destroy(error: Error): void }) {
        this.destroy(new Error('no answer in 10 s'))
      })
      .on('error', reject)
  })
}

/** Clients with one keep-alive connection each that ask without a pause worth the name, or with one, and count. */
export function keepAliveClients(
  url: string,
  count: number,
  headers: Readonly<Record<string, string>> = {},
  pauseMs = 1,
) {
  let running = true
  const failures: string[] = []
  let answered = 0
  const clients = Array.from({ length: count }, async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    while (running) {
      try {
        const { status } = await request(url, agent, headers)
        if (status === 200) answered += 1
        else failures.push(`status ${status}`)
      } catch (error) {
        failures.push(String(error))
      }
      await delay(pauseMs)
    }
    agent.destroy()
  })
  return {
    answered: () => answered,
    async stop() {
      running = false
      await Promise.all(clients)
      return { answered, failures }
    },
  }
}

/** A backend server; `/app/slow` sends its first bytes at once and the rest when `finish` is called. */
export async function createApp() {
  const waiting: (() => void)[] = []
  const server: Server = createServer((request, response) => {
    if (!request.url?.includes('slow')) return void response.end('app')
    response.write('slow ')
    waiting.push(() => response.end('done'))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as AddressInfo).port,
    waiting: () => waiting.length,
    finish: () => {
      for (const end of waiting.splice(0)) end()
    },
    close: () => {
      server.closeAllConnections()
      return new Promise((resolve) => server.close(resolve))
    },
  }
}

/** Whether a process lives: a zombie that nobody has collected does not. */
export function alive(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) [ZX]/s.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))
  } catch {
    return false
  }
}
