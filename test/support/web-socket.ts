import { Agent, WebSocket } from 'undici'

export interface TestWebSocket {
  /** Sends a text and resolves with what comes back. */
  echo(text: string): Promise<string>
  /** Resolves when it is closed, by whomever. */
  readonly closed: Promise<void>
  isOpen(): boolean
  close(): Promise<void>
}

/** Opens a WebSocket to a host that this machine's port answers for. */
export async function openWebSocket(host: string, port: number, path = '/ws'): Promise<TestWebSocket> {
  const dispatcher = new Agent({
    headersTimeout: 60_000,
    connect: { lookup: (_name, _options, found) => found(null, [{ address: '127.0.0.1', family: 4 }]) },
  })
  const socket = new WebSocket(`ws://${host}:${port}${path}`, { dispatcher })
  const closed = new Promise<void>((resolve) => socket.addEventListener('close', () => resolve()))
  await new Promise<void>((resolve, reject) => {
    socket.addEventListener('open', () => resolve())
    socket.addEventListener('error', (event) => reject(event.error ?? new Error('the WebSocket was refused')))
  })
  return {
    closed,
    isOpen: () => socket.readyState === WebSocket.OPEN,
    echo: (text) =>
      new Promise((resolve, reject) => {
        socket.addEventListener('message', ({ data }) => resolve(String(data)), { once: true })
        socket.addEventListener('close', () => reject(new Error('the WebSocket was closed')), { once: true })
        socket.send(text)
      }),
    async close() {
      socket.close()
      await closed
      await dispatcher.destroy()
    },
  }
}
