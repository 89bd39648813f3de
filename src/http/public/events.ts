/** What the public port tells of itself, for metrics and for the idle clock. Every one is optional. */
export interface PublicEvents {
  /** A request has begun to wait for a group, or no longer does. */
  held?(group: string, by: 1 | -1): void
  /** A request has begun to be its app's: a stream or a WebSocket until it ends. @returns what is called then */
  session?(group: string): () => void
  /** The first byte of the app's answer to a request that was held, in milliseconds since its group was ready. */
  firstByte?(group: string, ms: number): void
  /** A request has ended. */
  ended?(outcome: Outcome, status: number): void
}

export type Outcome =
  /** The app's own answer. */
  | 'app'
  /** The app's answer, broken off by the app or the client. */
  | 'cut'
  | 'waiting-page'
  | 'wake-events'
  /** A probe or the like, which starts nothing. */
  | 'ignored'
  | 'no-route'
  /** It has a route, and nothing behind it can be started. */
  | 'not-ready'
  | 'wake-failed'
  /** Held as long as may be. */
  | 'late'
  /** As many are held as may be. */
  | 'full'
  /** The app takes no connections, or closes them without an answer. */
  | 'no-answer'
  /** It makes no sense, or goes round in circles. */
  | 'refused'
  /** The client left before there was an answer. */
  | 'gone'
  | 'stopping'
  | 'broken'
