import { randomInt } from 'node:crypto'
import { createServer } from 'node:net'

/** Below the range from which the system takes the ports of outgoing connections, so that none of those takes it meanwhile. */
const [FIRST, LAST] = [12_000, 32_000]

/** A TCP port that is free on every address right now. */
export async function freePort(): Promise<number> {
  for (let tries = 0; tries < 50; tries++) {
    const port = randomInt(FIRST, LAST)
    if (await isFree(port)) return port
  }
  throw new Error('no port is free')
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen(port, () => server.close(() => resolve(true)))
  })
}
