// A thousand requests at once for one stack that sleeps, each on a connection of its own, through a real HAProxy: one start
// for all of them, and an answer for each. Several times over.
import { Agent } from 'node:http'
import { openInn } from '../inn.mjs'
import { ask } from '../requests.mjs'
import { summarise } from '../statistics.mjs'

export const needs = ['haproxy', 'dockerd', 'busybox']
const AT_ONCE = 1000
const ROUNDS = 5
const STACK = 'crowd'

export async function measure({ cleanup, say }) {
  const inn = await openInn(cleanup, { name: 'crowd' })
  await inn.lodge(STACK)
  await inn.open()
  await inn.settled([STACK])
  const [starts, missing, times] = [[], [], []]
  for (let round = 0; round < ROUNDS; round++) {
    const before = await inn.starts(STACK)
    const { answered, failures, ms } = await askAtOnce(inn.target(STACK))
    times.push(ms)
    missing.push(AT_ONCE - answered)
    starts.push((await inn.starts(STACK)) - before)
    say(`${answered} answers, ${starts.at(-1)} starts, ${ms.toFixed(0)} ms ${JSON.stringify(failures)}`)
    await inn.sleep(STACK)
  }
  const what = `${AT_ONCE.toLocaleString('en')} requests at once for a stack that sleeps, ${ROUNDS} times`
  const worst = (unit, atMost, samples) => ({
    ...{ what: `${what}: ${unit}`, unit, target: { of: 'most', atMost } },
    figures: { most: Math.max(...samples) },
  })
  return [
    worst('starts', 1, starts),
    worst('without an answer', 0, missing),
    { what: `${what}: until the last is answered`, unit: 'ms', figures: summarise(times) },
  ]
}

async function askAtOnce(target) {
  const began = performance.now()
  const failures = {}
  const one = async () => {
    const agent = new Agent({ keepAlive: false })
    const status = await ask({ ...target, agent }).catch((error) => error.code ?? error.message)
    if (status !== 200) failures[status] = (failures[status] ?? 0) + 1
    return status === 200 ? 1 : 0
  }
  const answers = await Promise.all(Array.from({ length: AT_ONCE }, one))
  return { answered: answers.reduce((sum, many) => sum + many), failures, ms: performance.now() - began }
}
