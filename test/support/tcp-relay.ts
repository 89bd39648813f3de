import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

/** Stands before a server, and hangs or breaks off where a test says so. */
export interface TcpRelay {
  /** `http://HOST:PORT` */
  readonly endpoint: string
  /** It accepts whoever comes and lets nothing through, neither way, until `goOn`. */
  hang(): void
  goOn(): void
  /** Breaks off every connection. */
  cut(): void
  /** From now on requests get through and answers do not; `cut` and `goOn` end it. */
  swallowAnswers(): void
  stop(): Promise<void>
}

/** @param port of the server; without one it hangs from the start */
export async function startTcpRelay(port?: number): Promise<TcpRelay> {
  const pairs = new Set<readonly [client: Socket, target: Socket | undefined]>()
  let state: 'open' | 'hung' | 'deaf' = port === undefined ? 'hung' : 'open'
  const apply = ([client, target]: readonly [Socket, Socket | undefined]) => {
    if (!target) return
    if (state === 'hung') client.pause()
    else client.resume()
    if (state === 'open') target.resume()
    else target.pause()
  }
  const server = createServer((client) => {
    const target = port === undefined ? undefined : connect(port, '127.0.0.1')
    const pair = [client, target] as const
    pairs.add(pair)
    const end = () => {
      pairs.delete(pair)
      client.destroy()
      target?.destroy()
    }
    for (const socket of [client, target]) socket?.on('error', end).on('close', end)
    client.on('data', (chunk) => target?.write(chunk))
    target?.on('data', (chunk) => client.write(chunk))
    apply(pair)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const become = (next: typeof state) => {
    state = next
    for (const pair of pairs) apply(pair)
  }
  const cut = () => {
    for (const [client] of pairs) client.destroy()
  }
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    hang: () => become('hung'),
    goOn: () => become('open'),
    swallowAnswers: () => become('deaf'),
    cut,
    async stop() {
      cut()
      server.close()
      await once(server, 'close')
    },
  }
}
