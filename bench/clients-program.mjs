// Clients in a process of their own, so that what the benchmark does meanwhile delays none of them:
// node clients-program.mjs PORT COUNT EVERY_MS HOST…, forked. COUNT of them keep their connection and as many connect anew
// each time; each asks every EVERY_MS. Told `{ phase }` by its parent they note times under that name from then on; told
// `{ stop: true }` they end, and it says `{ phases, failures, answered }`.
import { Agent } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import { ask } from './requests.mjs'
import { summarise } from './statistics.mjs'

const [port, count, everyMs] = process.argv.slice(2, 5).map(Number)
const hosts = process.argv.slice(5)
const failures = new Map()
const phases = new Map()
let [phase, answered, running] = ['', 0, true]

async function client(kind, index) {
  const agent = new Agent({ keepAlive: kind === 'keep-alive', maxSockets: 1 })
  let due = performance.now() + (index * everyMs) / (2 * count)
  for (let turn = index; running; turn++) {
    await delay(Math.max(0, due - performance.now()))
    await askOnce(kind, { port, host: hosts[turn % hosts.length], agent })
    // One that comes late does not make up for it: that would be a burst.
    due = Math.max(due + everyMs, performance.now())
  }
  agent.destroy()
}

async function askOnce(kind, target) {
  const began = performance.now()
  const noted = phase
  const failure = await ask(target).then(
    (status) => (status === 200 ? undefined : `status ${status}`),
    (error) => error.code ?? error.message,
  )
  if (failure !== undefined) failures.set(`${kind}: ${failure}`, (failures.get(`${kind}: ${failure}`) ?? 0) + 1)
  else answered++
  note(`${noted} ${kind}`, performance.now() - began)
  note(noted, performance.now() - began)
}

function note(name, ms) {
  if (!phases.has(name)) phases.set(name, [])
  phases.get(name).push(ms)
}

const clients = Array.from({ length: 2 * count }, (_, index) => client(index % 2 ? 'new' : 'keep-alive', index))

process.on('message', async (message) => {
  if (!message.stop) phase = message.phase
  if (!message.stop) return
  running = false
  await Promise.all(clients)
  const summaries = Object.fromEntries([...phases].map(([name, times]) => [name, summarise(times)]))
  process.send({ phases: summaries, failures: Object.fromEntries(failures), answered })
})
process.on('disconnect', () => process.exit(0))
