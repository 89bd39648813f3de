import type { Duplex } from 'node:stream'

/** How long a client may go on talking to an app that has said its last word: it might as well be gone. */
const LAST_WORDS_MS = 30_000

/**
 * Joins two connections until both sides have ended: bytes as they come, as fast as the slower side takes them. A client that
 * ends may still listen; a side that breaks ends both. No time-out otherwise: a silent WebSocket is a live one.
 * @param early what each side has sent already, for the other
 */
export function tunnel(client: Duplex, app: Duplex, early: { fromClient: Buffer; fromApp: Buffer }): Promise<void> {
  return new Promise((resolve) => {
    let timer: NodeJS.Timeout | undefined
    let open = 2
    const close = () => {
      clearTimeout(timer)
      client.destroy()
      app.destroy()
      if (--open === 0) resolve()
    }
    for (const side of [client, app]) side.on('error', () => side.destroy()).once('close', close)
    app.once('end', () => {
      timer = setTimeout(() => client.destroy(), LAST_WORDS_MS).unref()
    })
    if (early.fromClient.length > 0) app.write(early.fromClient)
    if (early.fromApp.length > 0) client.write(early.fromApp)
    client.pipe(app)
    app.pipe(client)
    // One that was destroyed before has told nobody here.
    for (const side of [client, app]) if (side.closed) close()
  })
}
