import { randomBytes } from 'node:crypto'
import { isIP } from 'node:net'
import type { Match } from '../../model/match.js'
import type { Server } from '../../model/plan.js'
import { dial } from './dial.js'
import { exchange, type Question } from './exchange.js'
import { exchangeH2c } from './exchange-h2c.js'
import { MARK_HEADER, plainAddress, requestHeaders } from './headers.js'
import type { Ends } from './proxy-protocol.js'
import type { Relayed } from './relay.js'
import type { Visit } from './visit.js'

/** Sends requests on to apps. */
export interface Forwarder {
  /**
   * @param answered called when the app begins to answer
   * @throws HostlerError `UPSTREAM_REFUSED`, `UPSTREAM_BROKEN`; nothing has been sent to the client then
   */
  forward(visit: Visit, match: Match, server: Server, answered: () => void): Promise<Relayed>
  /** We have sent this request on ourselves: a container whose address is ours, or a proxy behind which we are again. */
  isLoop(visit: Visit): boolean
}

/** As long as HAProxy's `timeout connect` would be too long for somebody who has waited already. */
const CONNECT_MS = 3_000

export function createForwarder(): Forwarder {
  const mark = randomBytes(8).toString('hex')
  return {
    isLoop: ({ request }) => String(request.headers[MARK_HEADER.toLowerCase()] ?? '').includes(mark),
    async forward(visit, { route, backend }, server, answered) {
      const { ask, signal } = visit
      const { scheme } = backend
      const socket = await dial(server, { scheme, ends: endsOf(visit), signal, timeoutMs: CONNECT_MS })
      const question: Question = {
        target: `${route.stripPath ? stripped(ask.path, route.path) : ask.path}${ask.query}`,
        headers: requestHeaders(visit, { mark, prefix: route.stripPath ? route.path : undefined }),
        answered,
      }
      return scheme === 'h2c' ? exchangeH2c(visit, socket, question) : exchange(visit, socket, question)
    },
  }
}

/** `/api/x` without `/api` is `/x`, as with both proxies. */
const stripped = (path: string, prefix: string): string => `/${path.slice(prefix.length).replace(/^\//, '')}`

/** Who speaks to the proxy in front of us: it adds its client at the end of X-Forwarded-For. */
function endsOf({ request }: Visit): Ends {
  const { headers, socket } = request
  const last = String(headers['x-forwarded-for'] ?? '')
    .split(',')
    .at(-1)
    ?.trim()
  const told = [last, String(headers['x-real-ip'] ?? '')].find((address) => isIP(address ?? '') !== 0)
  return {
    source:
      told === undefined
        ? { address: plainAddress(socket.remoteAddress), port: socket.remotePort ?? 0 }
        : { address: plainAddress(told), port: 0 },
    destination: { address: plainAddress(socket.localAddress), port: socket.localPort ?? 0 },
    secure: headers['x-forwarded-proto'] === 'https',
  }
}
