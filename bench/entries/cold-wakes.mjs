// The first request of a stack that sleeps, by plain curl through a real HAProxy, 500 times: whether it gets the app's own
// answer, and how long after the app began to listen. Between two of them the stack is put to sleep, its container stopped.
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { hostOf, namesOf, openInn } from '../inn.mjs'
import { summarise } from '../statistics.mjs'
import { createWallClock } from '../wall-clock.mjs'

export const needs = ['haproxy', 'dockerd', 'busybox', 'curl']
const WAKES = 500
/** One wakes while the other is put to sleep. */
const STACKS = namesOf('cold', 2)
const run = promisify(execFile)

export async function measure({ cleanup, say }) {
  const inn = await openInn(cleanup, { name: 'cold-wakes' })
  for (const stack of STACKS) await inn.lodge(stack)
  await inn.open()
  await inn.settled(STACKS)
  const samples = []
  await Promise.all(
    STACKS.map(async (stack) => {
      while (samples.length < WAKES) {
        const sample = { failure: 'none yet' }
        samples.push(sample)
        if (samples.length % 100 === 0) say(`wake ${samples.length}`)
        Object.assign(sample, await wakeByCurl(stack, inn.port))
        if (sample.failure) say(`${stack}: ${sample.failure}`)
        await inn.sleep(stack)
      }
    }),
  )
  return rowsOf(samples)
}

/** @returns when its first byte came, beside what the app says of when it began to listen */
async function wakeByCurl(stack, port) {
  const wallMs = createWallClock()
  const began = wallMs()
  let firstAt
  const asked = run('curl', ['-sS', '-N', '-i', '--max-time', '60', ...resolving(stack, port)])
  asked.child.stdout.once('data', () => {
    firstAt = wallMs()
  })
  try {
    const { stdout } = await asked
    const [head, body] = stdout.split('\r\n\r\n')
    const listeningAt = Number(body)
    if (!head.startsWith('HTTP/1.1 200 ') || !(listeningAt > began)) return { failure: stdout }
    return { failure: undefined, tookMs: firstAt - began, fromListeningMs: firstAt - listeningAt }
  } catch (error) {
    return { failure: error.message }
  }
}

const resolving = (stack, port) => {
  const host = hostOf(stack)
  return ['--resolve', `${host}:${port}:127.0.0.1`, `http://${host}:${port}/listening`]
}

function rowsOf(samples) {
  const good = samples.filter(({ failure }) => failure === undefined)
  const of = (name) => summarise(good.map((sample) => sample[name]))
  return [
    {
      what: `failed first requests in ${samples.length} cold wakes by curl, no redirect followed, through HAProxy`,
      ...{ unit: 'failed', target: { of: 'failed', atMost: 0 }, figures: { failed: samples.length - good.length } },
    },
    {
      ...{
        id: 'wake-first-byte',
        what: 'the app listens → first byte at the client whose request was held',
        unit: 'ms',
      },
      target: [
        { of: 'p50', atMost: 30 },
        { of: 'p99', atMost: 100 },
      ],
      figures: of('fromListeningMs'),
    },
    { what: 'curl starts → its first byte, of which Docker takes most', unit: 'ms', figures: of('tookMs') },
  ]
}
