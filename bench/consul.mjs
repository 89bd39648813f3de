// A real Consul on loopback: one server that is an agent too.
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ensureConsul } from '../scripts/extra-consul.mjs'
import { freePort } from './hostler.mjs'
import { startStore } from './store-server.mjs'

const NODE = 'bench'

export async function startConsul(cleanup) {
  const folder = cleanup.folder('consul')
  mkdirSync(join(folder, 'data'))
  const [http, server, serf] = [await freePort(), await freePort(), await freePort()]
  const config = {
    ...{ server: true, bootstrap_expect: 1, node_name: NODE, bind_addr: '127.0.0.1', client_addr: '127.0.0.1' },
    ...{ data_dir: join(folder, 'data'), disable_update_check: true, performance: { raft_multiplier: 1 } },
    ports: { http, https: -1, dns: -1, grpc: -1, server, serf_lan: serf, serf_wan: -1 },
  }
  writeFileSync(join(folder, 'agent.json'), JSON.stringify(config))
  const url = `http://127.0.0.1:${http}`
  const api = createApi(url)
  // With its leader it knows of itself; before that, what it is told would be thrown away.
  const answers = async () => JSON.stringify(await api.get(`/catalog/node/${NODE}`)).includes('"consul"')
  const command = [await ensureConsul(), 'agent', '-config-file', join(folder, 'agent.json')]
  const store = await startStore(cleanup, { folder, command, answers })
  return { ...store, ...api, url, node: NODE }
}

function createApi(url) {
  const call = async (method, path, body) => {
    const answer = await fetch(`${url}/v1${path}`, { method, ...(body && { body: JSON.stringify(body) }) })
    const text = await answer.text()
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`)
    return { value: text === '' ? undefined : JSON.parse(text), index: Number(answer.headers.get('x-consul-index')) }
  }
  return {
    get: async (path) => (await call('GET', path)).value,
    put: (path, body) => call('PUT', path, body),
    /** Asks by blocking queries until the answer is what is wanted; resolves to when that was. */
    async until(path, isWanted, now, timeoutMs = 60_000) {
      let index = 0
      for (const deadline = performance.now() + timeoutMs; performance.now() < deadline; ) {
        const answer = await call('GET', `${path}${path.includes('?') ? '&' : '?'}index=${index}&wait=10s`)
        if (isWanted(answer.value)) return now()
        // A service that goes may take the index of its queries back.
        index = answer.index < index ? 0 : answer.index
      }
      throw new Error(`Consul did not come to what is waited for at ${path}`)
    },
  }
}
