import { Agent, get } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'

/** One request to a proxy on loopback. Resolves to its status; rejects when there is no whole answer. */
export function ask({ port, host, path = '/', agent }) {
  return new Promise((resolve, reject) => {
    const asked = get({ host: '127.0.0.1', port, path, headers: { host }, agent, timeout: 10_000 }, (response) => {
      response
        .on('error', reject)
        .on('end', () => resolve(response.statusCode))
        .resume()
    })
    asked.on('error', reject).on('timeout', () => asked.destroy(new Error('no answer in 10 s')))
  })
}

/** Asks over and over, each time on a connection of its own, until the status is 200. */
export async function untilServed(target, timeoutMs = 15_000) {
  for (const deadline = performance.now() + timeoutMs; performance.now() < deadline; ) {
    const status = await ask({ ...target, agent: new Agent({ keepAlive: false }) }).catch(() => 0)
    if (status === 200) return
    await delay(2)
  }
  throw new Error(`${target.host} did not answer with 200 in ${timeoutMs} ms`)
}

/** Clients that ask without pause, each on one connection that it keeps, or on a new one every time. */
export function startClients(target, { count, keepAlive }) {
  const failures = new Map()
  let [answered, running] = [0, true]
  const fail = (why) => failures.set(why, (failures.get(why) ?? 0) + 1)
  const clients = Array.from({ length: count }, async () => {
    const agent = new Agent({ keepAlive, maxSockets: 1 })
    while (running) {
      try {
        const status = await ask({ ...target, agent })
        if (status === 200) answered++
        else fail(`status ${status}`)
      } catch (error) {
        fail(error.code ?? error.message)
      }
      await delay(1)
    }
    agent.destroy()
  })
  return {
    async stop() {
      running = false
      await Promise.all(clients)
      const failed = [...failures.values()].reduce((sum, many) => sum + many, 0)
      return { answered, failed, failures: Object.fromEntries(failures) }
    },
  }
}
