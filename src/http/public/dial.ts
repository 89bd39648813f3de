import { connect, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { HostlerError } from '../../lib/errors.js'
import type { Scheme, Server } from '../../model/plan.js'
import { type Ends, proxyHeader } from './proxy-protocol.js'

export interface Dialling {
  readonly scheme: Scheme
  readonly ends: Ends
  readonly signal: AbortSignal
  /** For the connection and the TLS handshake, each. */
  readonly timeoutMs: number
}

/**
 * Connects to an app, ready for the first byte of a request: its PROXY protocol header is written, its TLS handshake
 * done. Every request has a connection of its own, so that none is lost on one that the app was about to close.
 * @throws HostlerError `UPSTREAM_REFUSED`; nothing of the request has been sent then
 */
export async function dial(server: Server, { scheme, ends, signal, timeoutMs }: Dialling): Promise<Socket> {
  const { address: host, port, proxyProtocol } = server
  const options = { host, port, noDelay: true, keepAlive: true, keepAliveInitialDelay: 30_000, allowHalfOpen: true }
  try {
    const socket = await opened(connect(options), 'connect', { signal, timeoutMs })
    if (proxyProtocol) socket.write(proxyHeader(proxyProtocol, ends))
    if (scheme !== 'https' && !server.options.includes('ssl')) return socket
    // Certificates of containers are of their own making; the proxies do not verify them either.
    const tls = connectTls({ socket, rejectUnauthorized: false, ALPNProtocols: ['http/1.1'] })
    return await opened(tls, 'secureConnect', { signal, timeoutMs })
  } catch (error) {
    if (signal.aborted) throw signal.reason
    throw new HostlerError('UPSTREAM_REFUSED', `connecting to ${host} port ${port} failed`, { cause: error })
  }
}

function opened(
  socket: Socket,
  event: 'connect' | 'secureConnect',
  { signal, timeoutMs }: Pick<Dialling, 'signal' | 'timeoutMs'>,
): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const give = (settle: () => void) => {
      socket.setTimeout(0)
      socket.off('timeout', late).off('close', closed).off(event, done)
      signal.removeEventListener('abort', gone)
      settle()
    }
    const fail = (error: unknown) =>
      give(() => {
        socket.destroy()
        reject(error)
      })
    const done = () => give(() => resolve(socket))
    const late = () => fail(new Error(`no answer within ${timeoutMs} ms`))
    const closed = () => fail(new Error('the connection was closed'))
    const gone = () => fail(signal.reason)
    socket.setTimeout(timeoutMs, late)
    // Stays: a socket without a listener for errors would end the process.
    socket.on('error', fail)
    socket.once('close', closed).once(event, done)
    if (signal.aborted) gone()
    else signal.addEventListener('abort', gone)
  })
}
