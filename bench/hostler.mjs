// The compiled program as a user runs it, with HAProxy's base configuration in a folder of its own.
import { spawn } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { copyFileSync, mkdirSync, readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { findProgram } from '../scripts/servers.mjs'
import { DOMAIN } from './fleet.mjs'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const MAIN = join(ROOT, 'dist', 'main.js')

/** Below the range from which the system takes the ports of outgoing connections. */
export async function freePort() {
  for (let tries = 0; tries < 50; tries++) {
    const port = randomInt(12_000, 32_000)
    const free = await new Promise((resolve) => {
      const server = createServer().once('error', () => resolve(false))
      server.listen(port, () => server.close(() => resolve(true)))
    })
    if (free) return port
  }
  throw new Error('no port is free')
}

/** A folder to publish to and the settings for it; nothing of the machine's own environment. */
export async function prepare(folder, overrides = {}) {
  const out = join(folder, 'out')
  mkdirSync(out, { recursive: true })
  copyFileSync(join(ROOT, 'haproxy', 'haproxy.cfg'), join(out, 'haproxy.cfg'))
  const port = await freePort()
  const env = {
    PATH: `${process.env.PATH}:/usr/sbin:/sbin`,
    HOME: folder,
    HOSTLER_DOMAIN: DOMAIN,
    HOSTLER_BIND: '127.0.0.1',
    HOSTLER_HTTP_PORT: String(port),
    HOSTLER_PRIVATE_LISTEN: '127.0.0.1:0',
    HOSTLER_PUBLIC_LISTEN: `127.0.0.1:${await freePort()}`,
    HOSTLER_STATE_DIR: join(folder, 'state'),
    HOSTLER_LOG_FORMAT: 'json',
    HAPROXY_BIN: findProgram('haproxy'),
    HAPROXY_CONFIG: join(out, 'haproxy.cfg'),
    HAPROXY_BACKEND_CONFIG: join(out, 'haproxy-backends.cfg'),
    HAPROXY_DOMAIN_MAP: join(out, 'domain.map'),
    HAPROXY_SSL_CERT: join(out, 'server.pem'),
    HOSTLER_CERT_DIR: join(out, 'certs'),
    HOSTLER_TRAEFIK_DIR: out,
    ...overrides,
  }
  return { folder, out, port, env }
}

/** Starts a command; its log lines are kept as objects. */
export function start(cleanup, command, { env, folder }, nodeArgs = []) {
  const lines = []
  const waits = new Set()
  const child = spawn(process.execPath, [...nodeArgs, MAIN, command], {
    ...{ cwd: folder, env, stdio: ['ignore', 'ignore', 'pipe'] },
  })
  const ended = once(child, 'exit')
  let rest = ''
  child.stderr.setEncoding('utf8').on('data', (chunk) => {
    const parts = (rest + chunk).split('\n')
    rest = parts.pop()
    for (const part of parts) {
      const line = parse(part)
      lines.push(line)
      for (const wait of waits) wait(line)
    }
  })
  const stop = cleanup.add(async () => {
    child.kill('SIGTERM')
    const timer = setTimeout(() => child.kill('SIGKILL'), 20_000)
    await ended
    clearTimeout(timer)
  })

  /** The next line, or one there already from `since` on, that is what is looked for. */
  function line(matches, { since = lines.length, timeoutMs = 30_000 } = {}) {
    const known = lines.slice(since).find(matches)
    if (known) return Promise.resolve(known)
    return new Promise((resolve, reject) => {
      const finish = (settle, value) => {
        clearTimeout(timer)
        waits.delete(look)
        settle(value)
      }
      const failed = (why) =>
        new Error(
          `hostler ${command} ${why}:\n${lines
            .slice(-20)
            .map((l) => JSON.stringify(l))
            .join('\n')}`,
        )
      const timer = setTimeout(() => finish(reject, failed('did not say what was waited for')), timeoutMs)
      const look = (next) => matches(next) && finish(resolve, next)
      waits.add(look)
      ended.then(() => waits.has(look) && finish(reject, failed('ended')))
    })
  }
  /** Every line from now on. */
  const follow = (look) => void waits.add(look)
  const applied = (options) => line(({ msg }) => msg === 'the proxy has the new configuration', options)
  return { child, lines, line, follow, applied, stop, mark: () => lines.length }
}

const parse = (text) => {
  try {
    return JSON.parse(text)
  } catch {
    return { msg: text }
  }
}

/** Megabytes (10^6 bytes): resident now, and at most since the start. */
export function memoryOf(pid) {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  const read = (name) => (Number(new RegExp(`${name}:\\s+(\\d+)`).exec(status)?.[1]) * 1024) / 1e6
  return { resident: read('VmRSS'), peak: read('VmHWM') }
}

/** Processor time that a process has used so far, in ticks of 10 ms. */
export function ticksOf(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ')
  return Number(fields[11]) + Number(fields[12])
}

/** Waits until a process hardly uses the processor any more. */
export async function untilQuiet(pid, timeoutMs = 30_000) {
  for (const deadline = performance.now() + timeoutMs; performance.now() < deadline; ) {
    const before = ticksOf(pid)
    await delay(500)
    if (ticksOf(pid) - before <= 1) return
  }
}
