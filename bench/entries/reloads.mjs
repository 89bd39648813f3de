// 30 reloads under 8 keep-alive clients: how many requests fail. The baseline is the same without the option in our frontend
// that makes keep-alive clients survive, which is what a predecessor's configuration looks like.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { Agent, createServer, request } from 'node:http'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { DOMAIN } from '../fleet.mjs'
import { prepare, start } from '../hostler.mjs'

export const needs = ['haproxy']
const RELOADS = 30
const CLIENTS = 8
const FRONTEND = fileURLToPath(new URL('../../templates/haproxy/haproxy-frontends.cfg.hbs', import.meta.url))
const BASE = fileURLToPath(new URL('../../haproxy/haproxy.cfg', import.meta.url))

export async function measure({ cleanup }) {
  const ours = await run(cleanup, false)
  const theirs = await run(cleanup, true)
  const row = (what, { failed, asked }, target) => ({
    ...{ what: `${RELOADS} reloads: failed requests of ${what}`, unit: 'failed', ...(target && { target }) },
    ...{ figures: { failed }, note: `of ${asked} requests` },
  })
  const none = { of: 'failed', atMost: 0 }
  return [
    row(`${CLIENTS} keep-alive clients`, ours.kept, none),
    row(`${CLIENTS} clients with new connections`, ours.fresh, none),
    row(`${CLIENTS} keep-alive clients, without idle-close-on-response`, theirs.kept),
  ]
}

async function run(cleanup, withoutOption) {
  const folder = cleanup.folder('reloads')
  const app = createServer((_, response) => response.end('ok'))
  await new Promise((resolve) => app.listen(0, '127.0.0.1', resolve))
  const stopApp = cleanup.add(async () => app.closeAllConnections() ?? app.close())
  const stacks = join(folder, 'stacks.yml')
  const describe = (extra) =>
    writeFileSync(
      stacks,
      JSON.stringify({ instances: [entry('app', app.address().port), ...(extra ? [entry('other', 9)] : [])] }),
    )
  describe(false)
  const env = {
    HOSTLER_SOURCES: 'file',
    HOSTLER_FILE: stacks,
    HAPROXY_RELOAD_INTERVAL: '0',
    ...overlay(folder, withoutOption),
  }
  const prepared = await prepare(folder, env)
  if (withoutOption) {
    writeFileSync(prepared.env.HAPROXY_CONFIG, readFileSync(BASE, 'utf8').replace('option idle-close-on-response', ''))
  }
  const hostler = start(cleanup, 'run', prepared)
  await hostler.applied({ since: 0 })
  const load = startLoad(prepared.port)
  await delay(300)
  for (let reload = 0; reload < RELOADS; reload++) {
    const applied = hostler.applied()
    describe(reload % 2 === 0)
    await applied
    await delay(60)
  }
  await delay(300)
  const result = await load.stop()
  await hostler.stop()
  await stopApp()
  return result
}

const entry = (stack, port) => ({
  name: `${stack}-1`,
  stack,
  address: '127.0.0.1',
  labels: { 'hostler.port': String(port) },
})

function overlay(folder, withoutOption) {
  if (!withoutOption) return {}
  const templates = join(folder, 'templates')
  mkdirSync(templates)
  const text = readFileSync(FRONTEND, 'utf8').replace('option idle-close-on-response', '')
  writeFileSync(join(templates, 'haproxy-frontends.cfg.hbs'), text)
  return { HOSTLER_TEMPLATES: templates }
}

/** Each client asks again as soon as it is answered; a keep-alive one pauses now and then, so that its connection idles. */
function startLoad(port) {
  let running = true
  const kept = { asked: 0, failed: 0 }
  const fresh = { asked: 0, failed: 0 }
  const client = async (count, agent, pause) => {
    while (running) {
      count.asked++
      const ok = await ask(port, agent)
      if (!ok) count.failed++
      await delay(pause())
    }
    agent.destroy()
  }
  const clients = Array.from({ length: CLIENTS }, (_, index) => [
    client(kept, new Agent({ keepAlive: true, maxSockets: 1 }), () => (kept.asked % 5) + index),
    client(fresh, new Agent({ keepAlive: false }), () => 10),
  ]).flat()
  return {
    async stop() {
      running = false
      await Promise.all(clients)
      return { kept, fresh }
    },
  }
}

const ask = (port, agent) =>
  new Promise((resolve) => {
    const asked = request(
      { port, host: '127.0.0.1', agent, headers: { host: `app.${DOMAIN}` }, timeout: 5000 },
      (response) => {
        response.resume().on('end', () => resolve(response.statusCode === 200))
        response.on('error', () => resolve(false))
      },
    )
    asked.on('error', () => resolve(false))
    asked.on('timeout', () => asked.destroy(new Error('no answer')))
    asked.end()
  })
