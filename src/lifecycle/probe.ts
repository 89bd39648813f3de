import { request as httpRequest } from 'node:http'
import { connect as connectHttp2 } from 'node:http2'
import { connect as connectTcp, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { connect as connectTls } from 'node:tls'
import { withDeadline } from '../lib/signals.js'
import type { HealthCheck, ProxyProtocol, Scheme } from '../model/plan.js'

/** What must answer before a container gets traffic: a port of its own, and nothing else. */
export interface ProbeTarget {
  readonly address: string
  readonly port: number
  readonly scheme: Scheme
  readonly proxyProtocol?: ProxyProtocol
  /** Somebody else listens for it on the host and accepts whether or not the app does. */
  readonly forwarded: boolean
  /** Without this answer it gets no traffic, however long it takes. */
  readonly insists?: boolean
  /** Asked where the container names it; else it is enough that the port accepts. */
  readonly check?: Pick<HealthCheck, 'path' | 'status'> & { readonly host: string }
}

/** One try. Rejects only when the signal fires; whatever else goes wrong is a no. */
export type Probe = (target: ProbeTarget, timeoutMs: number, signal: AbortSignal) => Promise<boolean>

/** A forwarder that reaches nobody behind it closes what it has accepted, within a millisecond on an idle machine. */
const FORWARDED_MS = 50

export const probe: Probe = async (target, timeoutMs, signal) => {
  try {
    return await withDeadline({ timeoutMs, what: 'a probe' }, signal, (inner) => attempt(target, inner))
  } catch {
    signal.throwIfAborted()
    return false
  }
}

async function attempt(target: ProbeTarget, signal: AbortSignal): Promise<boolean> {
  const { check } = target
  if (check) return inRanges(await askStatus(target, check, signal), check.status)
  return connected(target, signal, async (socket) => {
    if (target.forwarded) await staysOpen(socket, signal)
    return true
  })
}

/** The status that a container answers at a path of its own; no redirect is followed. Rejects when it does not answer. */
export const askStatus = (
  target: ProbeTarget,
  { path, host }: { readonly path: string; readonly host: string },
  signal: AbortSignal,
): Promise<number> => connected(target, signal, (socket) => answerOf(socket, target, { path, host }, signal))

/** Opens a connection for `use`, which ends with it. */
async function connected<T>(target: ProbeTarget, signal: AbortSignal, use: (socket: Socket) => Promise<T>): Promise<T> {
  const socket = connectTcp({ host: target.address, port: target.port, noDelay: true })
  const broken = new Promise<never>((_, reject) => {
    socket.on('error', reject)
    socket.on('close', () => reject(new Error('it closes the connection')))
    signal.addEventListener('abort', () => reject(signal.reason), { once: true })
  })
  broken.catch(() => undefined)
  try {
    await Promise.race([broken, new Promise<void>((resolve) => socket.once('connect', () => resolve()))])
    return await Promise.race([broken, use(socket)])
  } finally {
    socket.destroy()
  }
}

async function staysOpen(socket: Socket, signal: AbortSignal): Promise<void> {
  // Without a reader the end of the stream would go unseen.
  socket.resume()
  await delay(FORWARDED_MS, undefined, { signal })
}

function answerOf(
  socket: Socket,
  { scheme, proxyProtocol }: ProbeTarget,
  { path, host }: { readonly path: string; readonly host: string },
  signal: AbortSignal,
): Promise<number> {
  if (proxyProtocol) socket.write(proxyProtocol === 'v1' ? UNKNOWN_V1 : LOCAL_V2)
  const ask = scheme === 'h2c' ? askHttp2 : askHttp
  return ask(scheme === 'https' ? connectTls({ socket, rejectUnauthorized: false }) : socket, path, host, signal)
}

/** "Somebody who stands for nobody": how a proxy begins its own checks. PROXY protocol, sections 2.1 and 2.2. */
const UNKNOWN_V1 = 'PROXY UNKNOWN\r\n'
const LOCAL_V2 = Buffer.from('0d0a0d0a000d0a515549540a20000000', 'hex')

const AGENT = 'hostler'

function askHttp(socket: Socket, path: string, host: string, signal: AbortSignal): Promise<number> {
  return new Promise((resolve, reject) => {
    const headers = { host, 'user-agent': AGENT, connection: 'close' }
    const asked = httpRequest({ createConnection: () => socket, path, headers, signal }, (response) => {
      response.resume()
      resolve(response.statusCode ?? 0)
    })
    asked.on('error', reject)
    asked.end()
  })
}

function askHttp2(socket: Socket, path: string, host: string, signal: AbortSignal): Promise<number> {
  return new Promise((resolve, reject) => {
    const session = connectHttp2(`http://${host}`, { createConnection: () => socket })
    session.on('error', reject)
    const stream = session.request({ ':path': path, ':authority': host, 'user-agent': AGENT }, { signal })
    stream.on('error', reject)
    stream.on('response', (headers) => {
      resolve(headers[':status'] ?? 0)
      session.destroy()
    })
    stream.end()
  })
}

/** @param ranges as read from the label: `200`, `200-399` or a comma list of those */
const inRanges = (status: number, ranges: string): boolean =>
  ranges.split(',').some((range) => {
    const [first = '', last = first] = range.split('-')
    return status >= Number(first) && status <= Number(last)
  })
