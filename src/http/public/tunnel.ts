import type { Duplex } from 'node:stream'

/**
 * Joins two connections until both sides have ended: bytes as they come, as fast as the slower side takes them. A side that
 * ends may still listen; one that breaks ends both. No time-out: a silent WebSocket is a live one.
 * @param early what each side has sent already, for the other
 */
export function tunnel(client: Duplex, app: Duplex, early: { fromClient: Buffer; fromApp: Buffer }): Promise<void> {
  return new Promise((resolve) => {
    let open = 2
    const close = () => {
      client.destroy()
      app.destroy()
      if (--open === 0) resolve()
    }
    for (const side of [client, app]) side.on('error', () => side.destroy()).once('close', close)
    if (early.fromClient.length > 0) app.write(early.fromClient)
    if (early.fromApp.length > 0) client.write(early.fromApp)
    client.pipe(app)
    app.pipe(client)
    if (client.destroyed || app.destroyed) {
      client.destroy()
      app.destroy()
    }
  })
}
