import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import type { Ask } from './ask.js'

/** One request and what is needed to answer it. */
export interface Visit {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly ask: Ask
  /** Fires when the client is gone or has its answer. */
  readonly signal: AbortSignal
  /** Monotonic milliseconds. */
  readonly startedAt: number
  /** The client asks for another protocol on this connection: WebSocket. */
  readonly upgrade?: Upgrade
  /** What has become of it so far, for the log and for metrics. */
  readonly record: VisitRecord
}

export interface VisitRecord {
  group?: string
  /** It names its container, rather than asking a host. */
  isNamed?: boolean
  heldMs?: number
  /** When it was no longer held, in monotonic milliseconds. */
  readyAt?: number
}

export interface Upgrade {
  readonly protocol: string
  readonly socket: Duplex
  /** Stops listening to the client, and gives what it has sent behind its request so far. */
  readonly takeEarly: () => Buffer
}
