// Predecessor 5's way into Consul: it asks every 5 seconds what runs, and registers or takes back what differs. What it asked
// was Rancher's API; here it is Docker itself, which is as fresh as can be.
import { setTimeout as delay } from 'node:timers/promises'

const POLL_MS = 5000
const TAG = 'rancon'

/** @param {import('dockerode')} docker @returns how to end it */
export async function startPolling(cleanup, docker, consul) {
  const ending = new AbortController()
  await poll(docker, consul)
  const polling = pollForever(docker, consul, ending.signal)
  return cleanup.add(async () => {
    ending.abort()
    await polling
  })
}

async function pollForever(docker, consul, signal) {
  while (!signal.aborted) {
    await delay(POLL_MS, undefined, { signal }).catch(() => undefined)
    if (!signal.aborted) await poll(docker, consul)
  }
}

async function poll(docker, consul) {
  const containers = await docker.listContainers({ filters: { label: ['hostler.port'] } })
  const there = await consul.get('/agent/services')
  const wanted = new Map(containers.map((container) => [container.Id, serviceOf(container)]))
  for (const [id, service] of wanted) if (!there[id]) await consul.put('/agent/service/register', service)
  for (const [id, { Tags }] of Object.entries(there)) {
    if (Tags.includes(TAG) && !wanted.has(id)) await consul.put(`/agent/service/deregister/${id}`)
  }
}

function serviceOf({ Id, Names, Labels, NetworkSettings }) {
  const [{ IPAddress: Address }] = Object.values(NetworkSettings.Networks)
  return { ID: Id, Name: Names[0].slice(1), Address, Port: Number(Labels['hostler.port']), Tags: [TAG] }
}
