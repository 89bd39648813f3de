import { Agent, get } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'

/** One request to a proxy on loopback. Resolves to its status; rejects when there is no whole answer. */
export const ask = async (target) => (await exchange(target)).status

/** The text of an answer, on a connection of its own. @throws when it is none with status 200 */
export async function readText(target) {
  const { status, body } = await exchange({ ...target, agent: oneWay() })
  if (status !== 200) throw new Error(`${target.host}${target.path ?? '/'} answered with status ${status}`)
  return body
}

/** Asks over and over, each time on a connection of its own, until the status is 200 and the text is what is wanted. */
export async function untilServed(target, { timeoutMs = 15_000, everyMs = 2, isWanted = () => true } = {}) {
  for (const deadline = performance.now() + timeoutMs; performance.now() < deadline; ) {
    const { status, body } = await exchange({ ...target, agent: oneWay() }).catch(() => ({ status: 0 }))
    if (status === 200 && isWanted(body)) return
    await delay(everyMs)
  }
  throw new Error(`${target.host} did not answer as it should in ${timeoutMs} ms`)
}

const oneWay = () => new Agent({ keepAlive: false })

/** The same with all of the answer, and when its first byte came; with more headers and another patience if wanted. */
export function exchange({ port, host, path = '/', agent, headers, timeoutMs = 10_000 }) {
  const options = { host: '127.0.0.1', port, path, headers: { ...headers, host }, agent, timeout: timeoutMs }
  const began = performance.now()
  return new Promise((resolve, reject) => {
    const asked = get(options, (response) => {
      let body = ''
      const { statusCode: status, headers: got } = response
      const firstByteMs = performance.now() - began
      response
        .setEncoding('utf8')
        .on('data', (chunk) => {
          body += chunk
        })
        .on('error', reject)
        .on('end', () => resolve({ status, headers: got, body, firstByteMs }))
    })
    asked.on('error', reject).on('timeout', () => asked.destroy(new Error(`no answer in ${timeoutMs} ms`)))
  })
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
